"""Models made from models: with a box cut out, or splats drawn as solid ellipses.

The one place in the viewer that knows the classes of methods; those of others have no variants.
"""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from recon.errors import OptionError
from recon.formats.splat_cloud import SplatCloud
from recon.formats.splat_ply import write_splat_ply
from recon.geometry import Camera
from recon.model import RadianceModel, RenderOptions, RenderOutput
from recon.nerf import NerfModel
from recon.splat import SplatModel
from recon.viewer.box import Box, Cut
from recon.viewer.models import LazyModel

ELLIPSE_SHRINK = 0.8
"""Standard deviations: where a splat's own ellipse is drawn to end, roughly."""

SOLID = math.log(0.95 / 0.05)
"""Logit of the opacity of a drawn ellipse."""

_lock = threading.Lock()
"""Of the models that are kept below."""

FAINT = math.log(0.05 / 0.95)
"""Logit of the opacity under which a splat is not worth an ellipse."""


def cut(model: RadianceModel, box: Box, *, keep_inside: bool) -> RadianceModel:
    """The model with only what lies inside the box, or without it: by the middles of splats, or
    of the cells of a NeRF's grid.

    Raises:
        OptionError: it is a model of another kind, or nothing would be left.
    """
    whole = _whole(model)
    if isinstance(whole, NerfModel):

        def keep(points: NDArray[np.float32]) -> NDArray[np.bool_]:
            return box.contains(points) == keep_inside

        field = whole.restricted(keep)
        if field.occupied == 0:
            raise _nothing_left("nothing")
        return field
    cloud = _cloud(model)
    inside = box.contains(cloud.means)
    kept = inside if keep_inside else ~inside
    if not kept.any():
        raise _nothing_left("no splat")
    parts = (cloud.means, cloud.quats, cloud.log_scales, cloud.logit_opacities, cloud.sh)
    chosen = SplatCloud(*(np.ascontiguousarray(part[kept]) for part in parts))
    return SplatModel.from_cloud(chosen, antialias=_splats(model).antialias)


def _nothing_left(what: str) -> OptionError:
    return OptionError(
        f"{what} would be left", remedy="move or enlarge the box, or undo what was cut before"
    )


_previews: WeakKeyDictionary[RadianceModel, tuple[Cut, RadianceModel]] = WeakKeyDictionary()


def cut_preview(model: RadianceModel, wanted: Cut) -> RadianceModel:
    """What `cut` would make; the last one of each model is kept.

    Raises:
        OptionError: as for `cut`.
    """
    with _lock:
        kept = _previews.get(model)
        if kept is None or kept[0] is not wanted:
            kept = wanted, cut(model, wanted.box, keep_inside=wanted.keep_inside)
            _previews[model] = kept
        return kept[1]


def count_splats(model: RadianceModel, camera: Camera, options: RenderOptions) -> RenderOutput:
    """The number of splats over each pixel, hidden ones too, in place of the depth.

    Raises:
        OptionError: it is no splat model.
    """
    count = _splats(model).coverage(camera, options).astype(np.float32)
    colour = np.zeros((*count.shape, 3), np.float32)
    return RenderOutput(color=colour, alpha=(count > 0).astype(np.float32), depth=count)


def write_ply(model: RadianceModel, path: Path) -> None:
    """The model in the file format that other programs read.

    Raises:
        OptionError: it is no splat model.
    """
    write_splat_ply(path, _cloud(model))


_ellipses: WeakKeyDictionary[RadianceModel, RadianceModel] = WeakKeyDictionary()


def as_ellipses(model: RadianceModel) -> RadianceModel:
    """Each splat that counts as a small solid ellipse of its own colour; made once a model.

    Raises:
        OptionError: it is no splat model.
    """
    with _lock:
        found = _ellipses.get(model)
        if found is None:
            cloud = _cloud(model)
            solid = np.where(cloud.logit_opacities > FAINT, SOLID, -20.0).astype(np.float32)
            shown = replace(
                cloud,
                log_scales=(cloud.log_scales + math.log(ELLIPSE_SHRINK / 2)).astype(np.float32),
                logit_opacities=solid,
                sh=np.ascontiguousarray(cloud.sh[:, :1]),
            )
            found = _ellipses[model] = SplatModel.from_cloud(shown)
        return found


def _whole(model: RadianceModel) -> RadianceModel:
    return model.loaded() if isinstance(model, LazyModel) else model


def _cloud(model: RadianceModel) -> SplatCloud:
    return _splats(model).to_cloud()


def _splats(model: RadianceModel) -> SplatModel:
    whole = _whole(model)
    if not isinstance(whole, SplatModel):
        raise OptionError(f"a {model.method} model is not made of splats")
    return whole
