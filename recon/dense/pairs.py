"""Which photos a photo is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recon.geometry import Camera

F64 = NDArray[np.float64]

# Angles between rays to a point, degrees: at smaller ones depth is vague, at larger ones the
# pictures differ.
_BEST_ANGLE, _WIDTH = 8.0, 10.0
_SAMPLE = 1500  # points that decide
_CANDIDATES = 24  # nearest cameras that are looked at
_COMMON = 5.0  # a pair shares at least so many well-placed points


def ranked_neighbours(cameras: Sequence[Camera], xyz: F64, index: int) -> list[int]:
    """The cameras that see the same points (N, 3) as camera `index` from good angles, best first.

    A shared point counts fully where the rays to it meet at 8 degrees, and less to both sides;
    points hidden in one of the photos are not known to be.
    """
    centres = np.array([camera.centre for camera in cameras])
    mine = cameras[index].project(xyz).inside
    seen = xyz[mine]
    if len(seen) > _SAMPLE:
        seen = seen[np.linspace(0, len(seen) - 1, _SAMPLE).astype(int)]
    nearest = np.argsort(((centres - centres[index]) ** 2).sum(1), kind="stable")
    scores: list[tuple[float, int]] = []
    for other in nearest[: _CANDIDATES + 1].tolist():
        if other == index:
            continue
        shared = seen[cameras[other].project(seen).inside]
        a, b = shared - centres[index], shared - centres[other]
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cosine = (a * b).sum(1) / np.maximum(lengths, 1e-12)
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        excess = np.maximum(angle - _BEST_ANGLE, 0) / _WIDTH
        worth = float((np.minimum(angle / _BEST_ANGLE, 1) * np.exp(-(excess**2))).sum())
        if worth >= _COMMON:
            scores.append((worth, other))
    return [other for _, other in sorted(scores, key=lambda pair: (-pair[0], pair[1]))]
