"""Poses and points out of files: that they are finite, rigid, and of a sane size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.errors import FormatError

F64 = NDArray[np.float64]

_TOLERANCE = 1e-3
FARTHEST = 1e12
"""Beyond this no coordinate of a camera or point is believed: its square must not overflow."""


def pose_at(rotation: F64, centre: F64, label: str) -> F64:
    """`cam_from_world` (4, 4) of a camera's axes in the world and its centre.

    Args:
        rotation: world_from_cam (3, 3), OpenCV axes.
        centre: (3,) in world space.
        label: names the camera in the error.

    Raises:
        FormatError: not finite, not a rotation, or farther away than any camera.
    """
    require_rigid(rotation, centre, label)
    return _joined(rotation.T, -rotation.T @ centre)


def pose_of(rotation: F64, shift: F64, label: str) -> F64:
    """`cam_from_world` (4, 4) of its parts (3, 3) and (3,), OpenCV axes.

    Raises:
        FormatError: see `pose_at`.
    """
    require_rigid(rotation, shift, label)
    return _joined(rotation, shift)


def require_rigid(rotation: F64, shift: F64, label: str, tolerance: float = _TOLERANCE) -> None:
    """Refuse what is no rotation, up to a tolerance, and translation of a sane size.

    Raises:
        FormatError: see `pose_at`.
    """
    # Sizes first: products of what a hostile file holds would overflow.
    sane = (
        np.all(np.isfinite(rotation))
        and np.all(np.isfinite(shift))
        and np.abs(rotation).max() <= 1.0 + tolerance
        and np.abs(shift).max() <= FARTHEST
    )
    if not sane or np.abs(rotation.T @ rotation - np.eye(3)).max() > tolerance:
        raise FormatError(f"the pose of {label!r} is not a rotation and translation")
    if np.linalg.det(rotation) < 0:
        raise FormatError(f"the pose of {label!r} mirrors the scene")


def all_near(points: F64) -> bool:
    """Whether points (N, 3) are finite and no farther away than is believed."""
    # A comparison with NaN is false.
    return bool(np.all(np.abs(points) <= FARTHEST))


def _joined(rotation: F64, shift: F64) -> F64:
    out = np.eye(4)
    out[:3, :3] = rotation
    out[:3, 3] = shift
    return out
