"""The comparison as one HTML file that opens with no server: photos, renders, errors, figures.

Errors are stored as grey pictures and coloured by the page: a JPEG keeps a grey map truer than a
coloured one, in two thirds of the bytes.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.errors import OptionError
from recon.metrics import FLIP_PACKAGE, Mask, about_left_out, flip_installed, hatch
from recon.model import RenderOutput
from recon.scene import View
from recon.viewer.compare import PhotoTask
from recon.viewer.error_pane import (
    MEANINGS,
    SCALE_ENDS,
    ErrorKind,
    available_kinds,
    colour_stops,
    map_error,
)
from recon.viewer.images import to_rgb8
from recon.viewer.photos import Photos
from recon.viewer.workspace import Content, NamedModel

RenderPhoto = Callable[[NamedModel, PhotoTask], RenderOutput]
Progress = Callable[[int, int], None]


NO_FLIP = (
    "FLIP is not in this file: the package was missing where it was made "
    f"(pip install {FLIP_PACKAGE})."
)


@dataclass(frozen=True)
class PageOptions:
    """How the page is made.

    Attributes:
        long_side: most pixels of a picture's longer side; None for that of the evaluation.
        quality: of the JPEG pictures, 1..95.
        map_quality: of the maps of errors, likewise.
        at_most: photos, the worst ones.
    """

    long_side: int | None = None
    quality: int = 88
    map_quality: int = 80
    at_most: int = 40


def comparison_page(
    content: Content,
    photos: Photos,
    render: RenderPhoto,
    options: PageOptions | None = None,
    progress: Progress = lambda done, total: None,
) -> str:
    """The page of the held-out photos (all photos where none is held out), worst first.

    Args:
        render: makes a model's picture of `PhotoTask.camera`.

    Raises:
        OptionError: there is nothing to compare.
        ReconError: a photo cannot be read.
    """
    options = options or PageOptions()
    scene = content.scene
    views = () if scene is None else scene.test_views or scene.views
    if not views or not content.models:
        raise OptionError("there is no photo or no model to compare")
    views = content.worst_first(views, content.models[0])[: options.at_most]
    entries: list[dict[str, Any]] = []
    for done, view in enumerate(views):
        progress(done, len(views))
        photo = PhotoTask.load(content, view.name, photos)
        if photo is not None:
            entries.append(_entry(view, photo, content, render, options))
    progress(len(views), len(views))
    entries.sort(key=lambda e: (e["renders"][0]["psnr"] is None, e["renders"][0]["psnr"] or 0.0))
    data = {
        "methods": [m.label for m in _shown(content)],
        "kinds": [_kind(kind) for kind in available_kinds()],
        "missing": "" if flip_installed() else NO_FLIP,
        "views": entries,
    }
    template = resources.files("recon.viewer").joinpath("pages/comparison.html").read_text("utf-8")
    # "</" would end the script element that holds the data, whatever the JSON says.
    text = json.dumps(data).replace("</", "<\\/")
    return template.replace("__TITLE__", html.escape(content.title)).replace("__DATA__", text)


def _shown(content: Content) -> list[NamedModel]:
    """The first model, whatever it is, and all that are no edits or checkpoints."""
    return [m for m in content.models if not m.aside or m is content.models[0]]


def _entry(
    view: View, photo: PhotoTask, content: Content, render: RenderPhoto, options: PageOptions
) -> dict[str, Any]:
    renders: list[dict[str, Any]] = []
    for model in _shown(content):
        output = render(model, photo)
        score = photo.measure(output)
        image = to_rgb8(output.color)
        errors = [map_error(k, image, photo.truth, photo.counted) for k in available_kinds()]
        renders.append(
            {
                "image": _address(image, options.quality, options),
                "errors": [
                    {
                        "title": error.title,
                        "map": _address(_grey(error.places), options.map_quality, options),
                    }
                    for error in errors
                ],
                "psnr": None if score is None else round(score.psnr, 4),
                "ssim": None if score is None or score.ssim is None else round(score.ssim, 5),
            }
        )
    return {
        "name": view.name,
        "held_out": view.split == "test",
        "width": photo.camera.width,
        "height": photo.camera.height,
        "truth": _address(photo.truth, options.quality, options),
        "masked": about_left_out(photo.counted),
        "veil": None if photo.counted is None else _veil(photo.counted, options),
        "renders": renders,
    }


def _kind(kind: ErrorKind) -> dict[str, Any]:
    """What the page has to know of a way of showing errors."""
    low, high = SCALE_ENDS[kind]
    about = MEANINGS[kind]
    return {"name": kind, "about": about, "low": low, "high": high, "stops": colour_stops(kind)}


def _grey(places: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (np.clip(places, 0, 1) * 255 + 0.5).astype(np.uint8)


def _address(picture: NDArray[np.uint8], quality: int, options: PageOptions) -> str:
    """The picture, (H, W, 3) or (H, W), as a data: address."""
    return _encoded(Image.fromarray(picture), "JPEG", options, quality=quality)


def _veil(counted: Mask, options: PageOptions) -> str:
    """What the page lays over its pictures: stripes where pixels do not count, clear elsewhere."""
    stripes = hatch(counted.shape[1], counted.shape[0])
    cover = np.where(counted, 0, 255).astype(np.uint8)
    return _encoded(Image.fromarray(np.stack([stripes, cover], -1), "LA"), "PNG", options)


def _encoded(image: Image.Image, format: str, options: PageOptions, **saving: int) -> str:
    if options.long_side is not None:
        image.thumbnail((options.long_side, options.long_side), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, format, **saving)
    encoded = base64.b64encode(file.getvalue()).decode("ascii")
    return f"data:image/{format.lower()};base64,{encoded}"
