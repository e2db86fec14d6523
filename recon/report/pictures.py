"""Held-out pictures as data URIs that together stay within a bound on the size of the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from recon.errors import FormatError
from recon.evaluate import TRUTH_FOLDER
from recon.formats.images import load_counted
from recon.metrics import Mask, about_left_out, error_map, veil
from recon.report.data import MethodFigures, RunData, ViewFigures

# Bytes of all pictures together, in base64: mail and chat programs take pages of 10 MB.
PICTURES_BUDGET = 6_500_000
# More views than this are listed with their figures, without pictures.
MAX_PICTURED = 36

NO_MASK = "masked, but its mask cannot be read: errors are shown everywhere"

_BASE64 = 4 / 3
# Tried in turn until a picture fits its share: long side in pixels, quality.
_LADDER = (
    (1600, 92),
    (1600, 84),
    (1200, 84),
    (960, 82),
    (720, 80),
    (560, 76),
    (400, 70),
    (240, 60),
    (160, 50),
)
_ERROR_SHARE = 0.5  # of a photo's: an error map is smooth where the render is good


@dataclass(frozen=True)
class Picture:
    """A data URI with the size in pixels that it decodes to."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Rendered:
    """One method's picture of a view, and where it is wrong; None where it could not be read."""

    method: str
    figures: ViewFigures
    render: Picture | None
    error: Picture | None


@dataclass(frozen=True)
class PicturedView:
    """A held-out view: the photo and what each method made of it. `rank` 0 is the worst.

    Attributes:
        masked: how much a mask leaves out of the figures, where it does.
    """

    rank: int
    name: str
    truth: Picture | None
    rendered: tuple[Rendered, ...]
    masked: str = ""


def worst_first(methods: Sequence[MethodFigures]) -> list[tuple[str, dict[str, ViewFigures]]]:
    """Names of all views with each method's figures, sorted by mean PSNR; unmeasured last."""
    names = sorted({view.name for m in methods for view in m.views})
    by_method = {m.method: {view.name: view for view in m.views} for m in methods}
    rows = [(n, {m: views[n] for m, views in by_method.items() if n in views}) for n in names]

    def quality(row: tuple[str, dict[str, ViewFigures]]) -> float:
        values = [f.psnr for f in row[1].values() if f.psnr is not None]
        return sum(values) / len(values) if values else float("inf")

    return sorted(rows, key=quality)


def picture_views(
    run: RunData, budget: int = PICTURES_BUDGET, limit: int = MAX_PICTURED
) -> list[PicturedView]:
    """The worst `limit` views with their pictures, worst first."""
    ranked = worst_first(run.methods)[:limit]
    if not ranked:
        return []
    # The first rank's share is counted twice: the top of the page may repeat one view.
    shares = (len(ranked) + 1) * (1 + len(run.methods) * (1 + _ERROR_SHARE))
    share = int(budget / shares / _BASE64)
    return [
        _picture_view(run, rank, name, figures, share)
        for rank, (name, figures) in enumerate(ranked)
    ]


def _picture_view(
    run: RunData, rank: int, name: str, figures: Mapping[str, ViewFigures], share: int
) -> PicturedView:
    renders, file = run.folder / "renders", next(iter(figures.values())).file
    truth = _open_rgb(renders / TRUTH_FOLDER / file)
    images = {method: _open_rgb(renders / method / f.file) for method, f in figures.items()}
    # One step of the ladder for all of a view, so that truth and render compare like with like.
    masked = any(f.masked for f in figures.values())
    counted = _counted(run, name, truth) if masked else None
    shown = [_veiled(image, counted) for image in (truth, *images.values())]
    (truth_picture, *pictures), step = _encode_together(shown, share, 0)
    rendered = []
    for (method, image), picture in zip(images.items(), pictures, strict=True):
        error = None
        if image is not None and truth is not None and image.size == truth.size:
            colors = veil(error_map(np.asarray(image), np.asarray(truth)), counted, keep=0)
            (error,), _ = _encode_together(
                [Image.fromarray(colors)], int(share * _ERROR_SHARE), step
            )
        rendered.append(Rendered(method, figures[method], picture, error))
    said = about_left_out(counted) if counted is not None else NO_MASK if masked else ""
    return PicturedView(rank, name, truth_picture, tuple(rendered), said)


def _counted(run: RunData, name: str, truth: Image.Image | None) -> Mask | None:
    """Which pixels of a view count; None where that cannot be told."""
    view = None if run.scene is None else run.scene.view(name)
    if view is None or view.mask_path is None or truth is None:
        return None
    try:
        return load_counted(view.mask_path, *truth.size)
    except FormatError:
        return None


def _veiled(image: Image.Image | None, counted: Mask | None) -> Image.Image | None:
    if image is None or counted is None or counted.shape != (image.height, image.width):
        return image
    return Image.fromarray(veil(np.asarray(image), counted))


def _open_rgb(path: Path) -> Image.Image | None:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _encode_together(
    images: Sequence[Image.Image | None], share: int, step: int
) -> tuple[list[Picture | None], int]:
    """All images at the first step of the ladder, from `step` on, that fits each into `share`.

    An image that is None stays None. Also returns the step; the last one need not fit.
    """
    while True:
        encoded = [None if image is None else _encode(image, *_LADDER[step]) for image in images]
        largest = max((len(e[0]) for e in encoded if e is not None), default=0)
        if largest <= share or step == len(_LADDER) - 1:
            pictures = [
                None if e is None else Picture(data_uri(e[0], _encoding()), *e[1]) for e in encoded
            ]
            return pictures, step
        step += 1


def _encode(image: Image.Image, long_side: int, quality: int) -> tuple[bytes, tuple[int, int]]:
    """The file and its size in pixels."""
    scale = min(1.0, long_side / max(image.size))
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BOX)
    buffer = io.BytesIO()
    # Method 2 halves the time of the WebP encoder for a few percent of size; JPEG ignores it.
    image.save(buffer, format=_encoding(), quality=quality, method=2)
    return buffer.getvalue(), image.size


def _encoding() -> str:
    return "WEBP" if features.check("webp") else "JPEG"


def data_uri(data: bytes, encoding: str) -> str:
    return f"data:image/{encoding.lower()};base64,{base64.b64encode(data).decode('ascii')}"
