"""Poses out of files: that they are rotations and translations of a sane size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.errors import FormatError

F64 = NDArray[np.float64]

_TOLERANCE = 1e-3
_FARTHEST = 1e12


def pose_at(rotation: F64, centre: F64, label: str) -> F64:
    """`cam_from_world` (4, 4) of a camera's axes in the world and its centre.

    Args:
        rotation: world_from_cam (3, 3), OpenCV axes.
        centre: (3,) in world space.
        label: names the camera in the error.

    Raises:
        FormatError: not finite, not a rotation, or farther away than any camera.
    """
    finite = bool(np.all(np.isfinite(rotation)) and np.all(np.isfinite(centre)))
    if (
        not finite
        or np.abs(rotation.T @ rotation - np.eye(3)).max() > _TOLERANCE
        or np.linalg.det(rotation) < 0
        or np.abs(centre).max() > _FARTHEST
    ):
        raise FormatError(f"the pose of {label!r} is not a rotation and translation")
    out = np.eye(4)
    out[:3, :3] = rotation.T
    out[:3, 3] = -rotation.T @ centre
    return out
