"""The training photos, as bytes, at the sizes that the schedule asks for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from recon.dense import DensePhoto
from recon.errors import TrainingError
from recon.formats.images import load_mask8, load_rgb8, load_rgba8
from recon.geometry import Camera
from recon.kernels.layout import pinhole_view
from recon.kernels.ops import PinholeView
from recon.scene import PosedScene, View

U8 = NDArray[np.uint8]

_COUNTS = 128  # mask or alpha of a pixel that is more in than out


@dataclass(frozen=True)
class Target:
    """A view to train on.

    Attributes:
        view: the camera.
        image: (3, H, W) uint8; multiplied by alpha where there is one.
        weight: (H, W) uint8, how much pixels count, or None where all do.
        alpha: (H, W) uint8 of a photo of a scene with a background, else None.
    """

    view: PinholeView
    image: torch.Tensor
    weight: torch.Tensor | None
    alpha: torch.Tensor | None = None

    def on(self, background: torch.Tensor) -> torch.Tensor:
        """The photo (3, H, W) uint8 on a background (3,), sRGB 0..1."""
        if self.alpha is None:
            return self.image
        return _composed(self.image, self.alpha, background.to(self.image.device))


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
            pictures = list(pool.map(self._load, self._views, self._cameras))
        self._photos = [photo for photo, _ in pictures]
        self._alphas = [alpha for _, alpha in pictures]
        self._masks = [
            None if v.mask_path is None else load_mask8(v.mask_path, c.width, c.height)
            for v, c in zip(self._views, self._cameras, strict=True)
        ]
        self._factor = 1.0
        self._cache: dict[int, Target] = {}

    def _load(self, view: View, camera: Camera) -> tuple[U8, U8 | None]:
        """A photo; in a scene with a background multiplied by its alpha, and that."""
        size = camera.width, camera.height
        if self._background is None:
            return load_rgb8(view.image_path, *size), None
        rgba = load_rgba8(view.image_path, *size)
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])

    def __len__(self) -> int:
        return len(self._views)

    @property
    def full_size(self) -> tuple[int, int]:
        """Width and height of the largest photo at factor 1."""
        camera = max(self._cameras, key=lambda c: c.width * c.height)
        return camera.width, camera.height

    @property
    def byte_count(self) -> int:
        """Bytes of all photos, alphas and masks at factor 1."""
        planes = (*self._photos, *self._alphas, *self._masks)
        return sum(plane.nbytes for plane in planes if plane is not None)

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
        """`count` of the views, spread over all, shrunk to `long_side` pixels. What is
        transparent or masked does not count."""
        chosen = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int))
        return [self._shrunk(index, long_side) for index in chosen]

    def _shrunk(self, index: int, long_side: int) -> DensePhoto:
        camera = self._cameras[index].fit_long_side(long_side)
        size = camera.width, camera.height
        rgb, alpha = _resized(self._photos[index], size), self._alphas[index]
        planes = (self._masks[index], alpha)
        inside = [_resized(plane, size) >= _COUNTS for plane in planes if plane is not None]
        counts = np.logical_and.reduce(inside) if inside else None
        if alpha is not None:
            shown = _composed(
                torch.from_numpy(rgb).permute(2, 0, 1),
                torch.from_numpy(_resized(alpha, size)),
                torch.tensor(self._background),
            )
            rgb = shown.permute(1, 2, 0).contiguous().numpy()
        return DensePhoto(camera, rgb, counts)

    def _make(self, index: int, factor: float) -> Target:
        camera, size = self._cameras[index], None
        if factor != 1.0:
            size = (
                max(1, round(camera.width / factor)),
                max(1, round(camera.height / factor)),
            )
            camera = camera.resized(*size)

        def plane(source: U8 | None) -> torch.Tensor | None:
            if source is None:
                return None
            return torch.from_numpy(_resized(source, size)).to(self._device)

        image = torch.from_numpy(_resized(self._photos[index], size)).permute(2, 0, 1).contiguous()
        return Target(
            view=pinhole_view(camera),
            image=image.to(self._device),
            weight=plane(self._masks[index]),
            alpha=plane(self._alphas[index]),
        )


def _composed(image: torch.Tensor, alpha: torch.Tensor, background: torch.Tensor) -> torch.Tensor:
    """A picture (3, H, W) uint8 that is multiplied by its alpha (H, W) uint8, on a background."""
    behind = torch.mul(255.0 - alpha, background[:, None, None])
    return behind.add_(image).add_(0.5).to(torch.uint8)


def _resized(picture: U8, size: tuple[int, int] | None) -> U8:
    """Area-averaged to a width and height; a copy of it as it is for None."""
    if size is None:
        return picture.copy()
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
