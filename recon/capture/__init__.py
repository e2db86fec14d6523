"""Photos as people have them: finding, checking, splitting, and poses that came along."""

from recon.capture.load import load_capture
from recon.capture.types import Capture, GivenPoses, Photo, PoseSource, SkippedPhoto

__all__ = ["Capture", "GivenPoses", "Photo", "PoseSource", "SkippedPhoto", "load_capture"]
