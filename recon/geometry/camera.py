"""The pinhole camera that everything after undistortion works with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import OptionError

_NEAREST = 1e-6  # depth of points that have a pixel, scene units


@dataclass(frozen=True)
class Projected:
    """Points (N, 3) in a camera: pixels (N, 2), depths (N,), and which lie in the picture (N,)."""

    uv: NDArray[np.float64]
    depth: NDArray[np.float64]
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at a pose. Pixel centres lie at 0.5; axes are OpenCV's.

    Attributes:
        width, height: image size in pixels.
        fx, fy, cx, cy: intrinsics in pixels of that size.
        cam_from_world: (4, 4) float64, rigid. "world" is the space of the scene in hand
            (for a `PosedScene` the normalised one).
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    cam_from_world: NDArray[np.float64]

    def __post_init__(self) -> None:
        m = np.array(self.cam_from_world, dtype=np.float64)
        numbers = (self.fx, self.fy, self.cx, self.cy)
        if m.shape != (4, 4) or not np.all(np.isfinite(m)):
            raise OptionError("a camera pose must be a finite 4x4 matrix")
        if not np.all(np.isfinite(numbers)) or self.fx <= 0 or self.fy <= 0:
            raise OptionError(f"camera intrinsics must be finite, focal lengths > 0: {numbers}")
        if self.width < 1 or self.height < 1:
            raise OptionError(f"camera size must be positive: {self.width}x{self.height}")
        m.setflags(write=False)
        object.__setattr__(self, "cam_from_world", m)

    @property
    def world_from_cam(self) -> NDArray[np.float64]:
        """(4, 4) float64, the rigid inverse of `cam_from_world`."""
        r = self.cam_from_world[:3, :3]
        out = np.eye(4)
        out[:3, :3] = r.T
        out[:3, 3] = -r.T @ self.cam_from_world[:3, 3]
        return out

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,) camera centre in world space."""
        return -self.cam_from_world[:3, :3].T @ self.cam_from_world[:3, 3]

    def project(self, xyz: NDArray[np.float64]) -> Projected:
        """Points (N, 3), in the world, as this camera sees them."""
        m = self.cam_from_world
        # Written out: BLAS on matrices this thin spends most of its time on threads.
        x, y, z = (
            m[i, 0] * xyz[:, 0] + m[i, 1] * xyz[:, 1] + m[i, 2] * xyz[:, 2] + m[i, 3]
            for i in range(3)
        )
        ahead = z > _NEAREST
        safe = np.where(ahead, z, 1.0)
        uv = np.stack([self.fx * x / safe + self.cx, self.fy * y / safe + self.cy], 1)
        framed = ((uv >= 0) & (uv < [self.width, self.height])).all(1)
        return Projected(uv, z, ahead & framed)

    def unproject(
        self, uv: NDArray[np.floating[Any]], depth: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """The points (N, 3), in the world, that lie so deep (N,) behind pixels (N, 2)."""
        x = (uv[:, 0] - self.cx) / self.fx * depth
        y = (uv[:, 1] - self.cy) / self.fy * depth
        in_cam = np.stack([x, y, depth], 1) - self.cam_from_world[:3, 3]
        return np.einsum("nj,ji->ni", in_cam, self.cam_from_world[:3, :3])

    def resized(self, width: int, height: int) -> Camera:
        """The same view on a grid of `width` x `height` pixels."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=self.cx * sx,
            cy=self.cy * sy,
        )

    def at(self, cam_from_world: NDArray[np.float64]) -> Camera:
        """The same intrinsics at another pose."""
        return replace(self, cam_from_world=cam_from_world)

    def fit_long_side(self, long_side: int | None) -> Camera:
        """Shrunk, never enlarged, so that the longer side has at most `long_side` pixels."""
        longest = max(self.width, self.height)
        if long_side is None or longest <= long_side:
            return self
        scale = long_side / longest
        return self.resized(
            max(1, round(self.width * scale)),
            max(1, round(self.height * scale)),
        )
