"""Where no splat may be: in front of a lens, or where no training camera looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recon.geometry import Camera
from recon.scene import PosedScene

# Nothing lies nearer to a camera than this part of the distance of the nearest points that it
# shows; of those, so many may be outliers, and so many are needed to tell.
_NEAR = 0.5
_QUANTILE = 0.01
_FEWEST = 30
# Splats count as seen so far outside of a picture (parts of its size), and by this many standard
# deviations more.
_MARGIN = 0.15
_REACH = 3.0
_AT_ONCE = 4096  # splats: a few megabytes with a hundred cameras


@dataclass(frozen=True)
class Lenses:
    """The training cameras, and how near to each of them splats may come.

    A splat close in front of one camera can explain that camera's photo alone: it costs the loss
    nothing, and stands as a smudge before every other view (docs/performance.md, "In front of the
    lens").

    Attributes:
        rotation: (K, 3, 3) and translation (K, 3), cam_from_world.
        scale: (K, 2) focal lengths, in parts of the picture's size.
        middle: (K, 2) of the picture, from the principal point, likewise.
        near: (K,) least depth, scene units; 0 for cameras that show too few points.
    """

    rotation: torch.Tensor
    translation: torch.Tensor
    scale: torch.Tensor
    middle: torch.Tensor
    near: torch.Tensor

    @classmethod
    def of(cls, scene: PosedScene, device: torch.device) -> Lenses:
        """The lenses of a scene's training views."""
        cameras = [view.camera for view in scene.train_views]
        count = len(cameras)
        pose = torch.tensor([c.cam_from_world.tolist() for c in cameras], dtype=torch.float32)
        pose = pose.reshape(count, 4, 4)
        scale = torch.tensor([[c.fx / c.width, c.fy / c.height] for c in cameras])
        middle = torch.tensor([[0.5 - c.cx / c.width, 0.5 - c.cy / c.height] for c in cameras])
        points = scene.points.xyz.astype(np.float64)
        near = torch.tensor([_nearest(camera, points) for camera in cameras], dtype=torch.float32)
        lenses = cls(
            pose[:, :3, :3], pose[:, :3, 3], scale.view(count, 2), middle.view(count, 2), near
        )
        return lenses.to(device)

    def to(self, device: torch.device) -> Lenses:
        """The same on a device."""
        return Lenses(
            self.rotation.to(device),
            self.translation.to(device),
            self.scale.to(device),
            self.middle.to(device),
            self.near.to(device),
        )

    def _look(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Depth (N, K) of points (N, 3), and how far they lie from the middle of each picture along
        x and y (N, K), in parts of its size."""
        count = len(self.scale)
        seen = points @ self.rotation.reshape(3 * count, 3).T + self.translation.reshape(-1)
        x, y, depth = seen.view(len(points), count, 3).unbind(2)
        inverse = 1 / depth.clamp_min(1e-9)
        return (
            depth,
            (x * inverse * self.scale[:, 0] - self.middle[:, 0]).abs(),
            (y * inverse * self.scale[:, 1] - self.middle[:, 1]).abs(),
        )

    def misplaced(self, means: torch.Tensor, log_scales: torch.Tensor) -> torch.Tensor:
        """(N,) whether splats of these means and log scales (N, 3) stand in front of a lens, or
        where no camera looks."""
        parts = zip(means.split(_AT_ONCE), log_scales.split(_AT_ONCE), strict=True)
        return torch.cat([self._misplaced(*part) for part in parts])

    def _misplaced(self, means: torch.Tensor, log_scales: torch.Tensor) -> torch.Tensor:
        depth, x, y = self._look(means)
        reach = _REACH * log_scales.amax(1, keepdim=True).exp() / depth.clamp_min(1e-9)
        wide = 0.5 + _MARGIN
        ahead = depth > 0
        seen = ahead & (x < wide + reach * self.scale[:, 0]) & (y < wide + reach * self.scale[:, 1])
        before = ahead & (depth < self.near) & (x < wide) & (y < wide)
        return ~seen.any(1) | before.any(1)


def _nearest(camera: Camera, points: NDArray[np.float64]) -> float:
    """The least depth at which splats may stand before a camera, from the points (N, 3) that it
    shows."""
    seen = camera.project(points)
    shown = seen.depth[seen.inside]
    return _NEAR * float(np.quantile(shown, _QUANTILE)) if len(shown) >= _FEWEST else 0.0
