"""Cameras for photos: structure from motion, given poses, undistortion, normalisation."""

from recon.sfm.normalise import normalise
from recon.sfm.options import (
    Quality,
    SfmCancelled,
    SfmOptions,
    SfmProgress,
    SfmReport,
    StageTime,
)
from recon.sfm.pose import load_report, pose_capture
from recon.sfm.store import load_scene, save_scene

__all__ = [
    "Quality",
    "SfmCancelled",
    "SfmOptions",
    "SfmProgress",
    "SfmReport",
    "StageTime",
    "load_report",
    "load_scene",
    "normalise",
    "pose_capture",
    "save_scene",
]
