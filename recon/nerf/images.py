"""The training photos in main memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from recon.errors import TrainingError
from recon.formats.images import load_mask8, load_rgba8
from recon.kernels.field_tensors import TrainImage
from recon.kernels.layout import pinhole_view
from recon.nerf.detail import tile_shares
from recon.scene import PosedScene, View


def load_training_images(
    scene: PosedScene, long_side: int | None, threads: int, detail: float = 0.0
) -> tuple[TrainImage, ...]:
    """All training views, shrunk to at most `long_side` pixels; `detail` as for `tile_shares`.

    Raises:
        TrainingError: there are none.
        FormatError: a photo or mask cannot be decoded.
    """
    if not scene.train_views:
        raise TrainingError(
            "there are no training views", remedy="at least two photos with cameras are needed"
        )

    def load(view: View) -> TrainImage:
        camera = view.camera.fit_long_side(long_side)
        size = (camera.width, camera.height)
        rgba = load_rgba8(view.image_path, *size)
        weight = None if view.mask_path is None else load_mask8(view.mask_path, *size)
        return TrainImage(
            view=pinhole_view(camera),
            rgba=torch.from_numpy(rgba),
            weight=None if weight is None else torch.from_numpy(weight),
            share=torch.from_numpy(tile_shares(rgba, weight, detail)),
        )

    with ThreadPoolExecutor(max(1, threads)) as pool:
        return tuple(pool.map(load, scene.train_views))
