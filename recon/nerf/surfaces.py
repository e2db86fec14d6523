"""Where a scene's surfaces are, from a model that has been trained for a moment.

A field begins as fog: each ray has dozens of samples that count, and most of the early steps go
into finding out where nothing is. Splats find surfaces in seconds. Cells of the grid that lie on
none never count.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from recon.geometry import Camera
from recon.kernels.field_ops import FieldShape
from recon.model import RadianceModel, RenderOptions
from recon.nerf.reference import box_from_scene, unit_from_box
from recon.scene import PosedScene

Guide = Callable[[Callable[[], bool]], RadianceModel | None]
"""Trains a model for a moment; None where the argument says meanwhile that it should stop."""

_LONG_SIDE = 320  # of the depth images: a few pixels a cell
_LEAST_ALPHA = 0.3  # of pixels that have a surface
_REACH = 2  # cells around a surface that count as well


def surface_cells(model: RadianceModel, scene: PosedScene, shape: FieldShape) -> torch.Tensor:
    """(grid^3,) bool: cells, x fastest, within two cells of what `model` shows the training
    cameras."""
    cells = torch.zeros(1, 1, *(shape.grid,) * 3)
    for view in scene.train_views:
        points = torch.from_numpy(_seen(model, view.camera.fit_long_side(_LONG_SIDE)))
        unit = unit_from_box(shape, box_from_scene(shape, points))
        unit = unit[((unit >= 0) & (unit < 1)).all(1)]
        x, y, z = (unit * shape.grid).long().clamp_max(shape.grid - 1).unbind(1)
        cells[0, 0, z, y, x] = 1.0
    near = torch.nn.functional.max_pool3d(cells, 2 * _REACH + 1, 1, _REACH)
    return near.view(-1) > 0


def _seen(model: RadianceModel, camera: Camera) -> NDArray[np.float64]:
    """The surface (N, 3) in the pixels of a view, scene space."""
    out = model.render(camera, RenderOptions(depth=True))
    assert out.depth is not None
    y, x = np.nonzero((out.alpha > _LEAST_ALPHA) & (out.depth > 0))
    return camera.unproject(np.stack([x, y], 1) + 0.5, out.depth[y, x].astype(np.float64))
