"""Depth by plane sweeping: native kernels behind checked arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.geometry import Camera
from recon.kernels import native_cpu

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class GreyView:
    """A photo as the sweep sees it: grey (H, W) float32 in 0..1, C-contiguous, of the camera's
    size."""

    camera: Camera
    grey: F32


@dataclass(frozen=True)
class Planes:
    """Planes of equal depth in front of a camera, at inverse depths first + i step, i < count."""

    count: int
    first: float
    step: float


@dataclass(frozen=True)
class DepthMap:
    """Inverse depth (H, W) and how alike the photos are there, -1..1 (H, W); see `plane_sweep`."""

    inverse_depth: F32
    score: F32


def plane_sweep(
    reference: GreyView, others: Sequence[GreyView], planes: Planes, isa: str = ""
) -> DepthMap:
    """For each pixel of `reference` the plane on which `others` show the same (Collins, "A
    space-sweep approach to true multi-image matching", 1996).

    Windows of 5x5 pixels are held against each other by normalised cross-correlation, which does
    not mind exposure; a pixel's score on a plane is the mean of its two best views, so that one may
    be hidden. Between planes, a parabola through the scores is followed to its top.

    Args:
        isa: instruction set, empty for the best.
    """
    height, width = reference.grey.shape
    depth, score = np.empty((2, height, width), np.float32)
    native_cpu.plane_sweep(
        reference.grey,
        [(view.grey, *projection(reference.camera, view.camera)) for view in others],
        (planes.count, planes.first, planes.step),
        (depth, score),
        isa,
    )
    return DepthMap(depth, score)


def projection(reference: Camera, other: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How pixels move: (x, y) of `reference` at inverse depth w is at A (x, y, 1) + w b in `other`.

    Returns:
        A (3, 3) and b (3,), in homogeneous pixels.
    """
    other_from_reference = np.vstack([other.cam_from_world[:3], [0, 0, 0, 1]]) @ np.linalg.inv(
        np.vstack([reference.cam_from_world[:3], [0, 0, 0, 1]])
    )
    k = intrinsics(other)
    rotation, translation = other_from_reference[:3, :3], other_from_reference[:3, 3]
    return k @ rotation @ np.linalg.inv(intrinsics(reference)), k @ translation


def intrinsics(camera: Camera) -> NDArray[np.float64]:
    """The matrix (3, 3) that takes directions in the camera to homogeneous pixels."""
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
