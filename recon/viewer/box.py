"""A box in the scene, to cut with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """A box in scene space.

    Attributes:
        centre: (3,).
        half: (3,) half extents along the box's own axes.
        scene_from_box: (3, 3) rotation.
    """

    centre: F64
    half: F64
    scene_from_box: F64

    def contains(self, points: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of the points (N, 3) lie inside."""
        local = (points.astype(np.float64) - self.centre) @ self.scene_from_box
        return np.all(np.abs(local) <= self.half, axis=1)

    def edges(self) -> NDArray[np.float32]:
        """(12, 2, 3) the box's edges, in scene space."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
        corners = (signs * self.half) @ self.scene_from_box.T + self.centre
        pairs = [(a, b) for a in range(8) for b in range(a) if (signs[a] != signs[b]).sum() == 1]
        return corners[np.array(pairs)].astype(np.float32)


@dataclass(frozen=True, eq=False)
class Cut:
    """A box and which side of it stays."""

    box: Box
    keep_inside: bool
