"""Splat models made from splat models: drawn as solid ellipses, or with a box cut out.

The one place in the viewer that knows a method by name; other methods have no variants.
"""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from recon.errors import OptionError
from recon.formats.splat_cloud import SplatCloud
from recon.formats.splat_ply import write_splat_ply
from recon.model import RadianceModel
from recon.splat import SplatModel
from recon.viewer.box import Box
from recon.viewer.models import LazyModel

ELLIPSE_SHRINK = 0.8
"""Standard deviations: where a splat's own ellipse is drawn to end, roughly."""

SOLID = math.log(0.95 / 0.05)
"""Logit of the opacity of a drawn ellipse."""

FAINT = math.log(0.05 / 0.95)
"""Logit of the opacity under which a splat is not worth an ellipse."""


def cut(model: RadianceModel, box: Box, *, keep_inside: bool) -> RadianceModel:
    """The model with only the splats inside the box, or without them.

    Raises:
        OptionError: it is no splat model, or nothing would be left.
    """
    cloud = _cloud(model)
    inside = box.contains(cloud.means)
    kept = inside if keep_inside else ~inside
    if not kept.any():
        raise OptionError(
            "no splat would be left", remedy="move or enlarge the box, or undo what was cut before"
        )
    parts = (cloud.means, cloud.quats, cloud.log_scales, cloud.logit_opacities, cloud.sh)
    chosen = SplatCloud(*(np.ascontiguousarray(part[kept]) for part in parts))
    return SplatModel.from_cloud(chosen, antialias=_splats(model).antialias)


def write_ply(model: RadianceModel, path: Path) -> None:
    """The model in the file format that other programs read.

    Raises:
        OptionError: it is no splat model.
    """
    write_splat_ply(path, _cloud(model))


_ellipses: WeakKeyDictionary[RadianceModel, RadianceModel] = WeakKeyDictionary()
_lock = threading.Lock()


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


def _cloud(model: RadianceModel) -> SplatCloud:
    return _splats(model).to_cloud()


def _splats(model: RadianceModel) -> SplatModel:
    whole = model.loaded() if isinstance(model, LazyModel) else model
    if not isinstance(whole, SplatModel):
        raise OptionError(f"a {model.method} model is not made of splats")
    return whole
