"""The training photos, as bytes, at the sizes that the schedule asks for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from recon.dense import DensePhoto
from recon.errors import TrainingError
from recon.formats.images import load_mask8, load_rgb8
from recon.kernels.layout import pinhole_view
from recon.kernels.ops import PinholeView
from recon.scene import PosedScene

_COUNTS = 128  # weight of a pixel that is more in the mask than out of it


@dataclass(frozen=True)
class Target:
    """A view to train on: camera, photo (3, H, W) uint8, weight (H, W) uint8 or None."""

    view: PinholeView
    image: torch.Tensor
    weight: torch.Tensor | None


class TargetImages:
    """All training views of a scene, shrunk by a factor that may change.

    Photos are kept at full training size; the shrunk copies of the current factor are made on first
    use, kept on `device`, and dropped when the factor changes.
    """

    def __init__(
        self,
        scene: PosedScene,
        long_side: int | None,
        threads: int,
        device: torch.device | None = None,
    ) -> None:
        self._device = device
        self._views = scene.train_views
        self._background = scene.background
        if not self._views:
            raise TrainingError(
                "there are no training views", remedy="at least two photos with cameras are needed"
            )
        self._cameras = [v.camera.fit_long_side(long_side) for v in self._views]
        with ThreadPoolExecutor(max(1, threads)) as pool:
            self._photos = list(
                pool.map(
                    lambda pair: load_rgb8(
                        pair[0].image_path, pair[1].width, pair[1].height, scene.background
                    ),
                    zip(self._views, self._cameras, strict=True),
                )
            )
        self._masks = [
            None if v.mask_path is None else load_mask8(v.mask_path, c.width, c.height)
            for v, c in zip(self._views, self._cameras, strict=True)
        ]
        self._factor = 1.0
        self._cache: dict[int, Target] = {}

    def __len__(self) -> int:
        return len(self._views)

    @property
    def full_size(self) -> tuple[int, int]:
        """Width and height of the largest photo at factor 1."""
        camera = max(self._cameras, key=lambda c: c.width * c.height)
        return camera.width, camera.height

    @property
    def byte_count(self) -> int:
        """Bytes of all photos and masks at factor 1."""
        return sum(p.nbytes for p in self._photos) + sum(
            m.nbytes for m in self._masks if m is not None
        )

    def get(self, index: int, factor: float) -> Target:
        """View `index` with its images smaller by `factor`."""
        if factor != self._factor:
            self._cache.clear()
            self._factor = factor
        target = self._cache.get(index)
        if target is None:
            target = self._cache[index] = self._make(index, factor)
        return target

    def small(self, count: int, long_side: int) -> list[DensePhoto]:
        """`count` of the views, spread over all, shrunk to `long_side` pixels. What shows the
        scene's background or is masked does not count."""
        chosen = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int))
        return [self._shrunk(index, long_side) for index in chosen]

    def _shrunk(self, index: int, long_side: int) -> DensePhoto:
        camera = self._cameras[index].fit_long_side(long_side)
        size = camera.width, camera.height
        mask, counts = self._masks[index], None
        rgb = np.asarray(Image.fromarray(self._photos[index]).resize(size, Image.Resampling.BOX))
        if mask is not None:
            resized = Image.fromarray(mask).resize(size, Image.Resampling.BOX)
            counts = np.asarray(resized) >= _COUNTS
        if self._background is not None:
            behind = np.round(np.array(self._background) * 255).astype(np.uint8)
            shown = (rgb != behind).any(2)
            counts = shown if counts is None else counts & shown
        return DensePhoto(camera, rgb, counts)

    def _make(self, index: int, factor: float) -> Target:
        camera, photo, mask = self._cameras[index], self._photos[index], self._masks[index]
        if factor != 1.0:
            size = (
                max(1, round(camera.width / factor)),
                max(1, round(camera.height / factor)),
            )
            camera = camera.resized(*size)
            photo = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BOX))
            if mask is not None:
                mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BOX))
        return Target(
            view=pinhole_view(camera),
            image=torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1))).to(self._device),
            weight=None if mask is None else torch.from_numpy(np.array(mask)).to(self._device),
        )
