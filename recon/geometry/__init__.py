"""Cameras and rigid or similar transforms. Everything is named `target_from_source`."""

from recon.geometry.camera import Camera
from recon.geometry.transforms import Sim3, look_at, quat_from_rotation, rotation_from_quat

__all__ = ["Camera", "Sim3", "look_at", "quat_from_rotation", "rotation_from_quat"]
