"""Held-out quality: render every test view, compare it with the photo that nobody trained on."""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.errors import TrainingError
from recon.formats.images import load_counted, load_rgb8
from recon.metrics import MIN_SSIM_SIDE, SSIM_DEFINITION, psnr, ssim, whole_windows
from recon.model import RadianceModel, RenderOptions
from recon.scene import PosedScene

TRUTH_FOLDER = "truth"
# What stands in eval.json beside the figures, so that they can be compared with others.
DEFINITIONS = {
    "psnr": "dB, of each picture, render clamped to 0..1; then the mean over pictures",
    "ssim": SSIM_DEFINITION,
    "truth": "the undistorted photo, 8 bits, area-averaged to the size given",
    "render": "floating point, not rounded to 8 bits; of a NeRF with four rays a pixel",
    "lpips": "not measured",
}

Progress = Callable[[int, int], None]
Mask = NDArray[np.bool_]

_MAX_NAME = 100


@dataclass(frozen=True)
class ViewEval:
    """One held-out view.

    Attributes:
        psnr: dB.
        ssim: see `SSIM_DEFINITION`.
        width, height: size in pixels at which it was measured.
        seconds: wall time of the render.
        masked: whether only a part of the pixels counted.
        file: name of the PNG in the folders of renders and of truth; None if none was saved.
    """

    psnr: float
    ssim: float
    width: int
    height: int
    seconds: float
    masked: bool
    file: str | None


@dataclass(frozen=True)
class MethodEval:
    """Held-out quality of one model.

    Attributes:
        method: name of the method, the key in eval.json.
        size: splats or parameters of the model.
        views: photo name -> measurements, in the order of the names.
        unscored: held-out photos that could not be measured: name -> reason.
    """

    method: str
    size: int
    views: dict[str, ViewEval]
    unscored: dict[str, str]

    @property
    def psnr(self) -> float | None:
        """Mean over the views; None when there are none."""
        return _mean([v.psnr for v in self.views.values()])

    @property
    def ssim(self) -> float | None:
        """Mean over the views; None when there are none."""
        return _mean([v.ssim for v in self.views.values()])

    @property
    def width(self) -> int | None:
        return self._common_size()[0]

    @property
    def height(self) -> int | None:
        return self._common_size()[1]

    @property
    def pixels_per_second(self) -> float | None:
        """Rate of rendering over all views; None when there are none."""
        seconds = sum(v.seconds for v in self.views.values())
        pixels = sum(v.width * v.height for v in self.views.values())
        return round(pixels / seconds, 1) if seconds > 0 else None

    def _common_size(self) -> tuple[int, int] | tuple[None, None]:
        """The size of most views; each view states its own."""
        sizes = Counter((v.width, v.height) for v in self.views.values())
        return sizes.most_common(1)[0][0] if sizes else (None, None)

    def to_json(self) -> dict[str, Any]:
        """The method's entry in eval.json; whoever trained adds `train_seconds`.

        Means are null when nothing was held out.
        """
        return {
            "psnr": _rounded(self.psnr),
            "ssim": _rounded(self.ssim),
            "splats" if self.method == "splat" else "parameters": self.size,
            "width": self.width,
            "height": self.height,
            "render_seconds": _rounded(_mean([v.seconds for v in self.views.values()])),
            "pixels_per_second": self.pixels_per_second,
            "views": {
                name: {
                    "psnr": _rounded(v.psnr),
                    "ssim": _rounded(v.ssim),
                    "width": v.width,
                    "height": v.height,
                    "masked": v.masked,
                    "file": v.file,
                }
                for name, v in self.views.items()
            },
            "unscored": self.unscored,
            "definitions": DEFINITIONS,
        }


def evaluate(
    model: RadianceModel,
    scene: PosedScene,
    *,
    long_side: int | None,
    renders_dir: Path | None = None,
    background: tuple[float, float, float] | None = None,
    progress: Progress | None = None,
) -> MethodEval:
    """Measure `model` on the held-out views of `scene`.

    Args:
        model: what is measured.
        scene: its `test_views` are rendered; their photos are the truth.
        long_side: longest side in pixels to measure at, never enlarged; None for full size.
        renders_dir: where to save METHOD/FILE.png and truth/FILE.png; None to save nothing.
        background: sRGB colour behind the model; None for the scene's, or black.
        progress: called with (views done, views in all).

    Returns:
        The measurements; without any held-out view its means are None.

    Raises:
        TrainingError: the model renders values that are not finite.
        FormatError: a held-out photo or mask cannot be read.
    """
    tell = progress or (lambda done, total: None)
    behind = background or scene.background or (0.0, 0.0, 0.0)
    options = RenderOptions(background=behind, still=True)
    test = scene.test_views
    files = picture_files(view.name for view in test)
    views: dict[str, ViewEval] = {}
    unscored: dict[str, str] = {}
    tell(0, len(test))
    for done, view in enumerate(test, 1):
        camera = view.camera.fit_long_side(long_side)
        width, height = camera.width, camera.height
        truth = load_rgb8(view.image_path, width, height, scene.background)
        start = time.perf_counter()
        color = model.render(camera, options).color
        seconds = time.perf_counter() - start
        if not np.isfinite(color).all():
            raise TrainingError(
                f"the model renders values that are not finite in the view {view.name!r}",
                remedy="train again, or take an earlier checkpoint",
            )
        if renders_dir is not None:
            save_png(renders_dir / model.method / files[view.name], to_rgb8(color))
            save_png(renders_dir / TRUTH_FOLDER / files[view.name], truth)
        mask = load_counted(view.mask_path, width, height) if view.mask_path else None
        reason = _why_not(width, height, mask)
        if reason:
            unscored[view.name] = reason
        else:
            views[view.name] = ViewEval(
                psnr=psnr(color, truth, mask),
                ssim=ssim(color, truth, mask),
                width=width,
                height=height,
                seconds=seconds,
                masked=mask is not None,
                file=None if renders_dir is None else files[view.name],
            )
        tell(done, len(test))
    return MethodEval(model.method, model.size, views, unscored)


def picture_files(names: Iterable[str]) -> dict[str, str]:
    """A PNG file name for each photo name: flat, portable, and no two alike in any letter case."""
    files: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names):
        stem = re.sub(r"\.\w{1,5}$", "", name)
        stem = re.sub(r"[^\w.\-]+", "_", stem.replace("/", "__")).lstrip(".") or "view"
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        if len(stem.encode()) > _MAX_NAME:
            stem = f"{stem.encode()[:_MAX_NAME].decode(errors='ignore')}-{digest}"
        if stem.casefold() in taken:
            stem = f"{stem}-{digest}"
        taken.add(stem.casefold())
        files[name] = f"{stem}.png"
    return files


def to_rgb8(color: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colours in 0..1 (clamped) to 8 bits, rounded to the nearest."""
    return np.round(255 * np.clip(color, 0, 1)).astype(np.uint8)


def save_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an RGB picture (H, W, 3), atomically, making the folder if need be.

    Raises:
        OSError: the disk is full or the folder cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        # Level 3 takes a third of the time of the default and costs a few percent of size.
        Image.fromarray(pixels).save(partial, format="PNG", compress_level=3)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _why_not(width: int, height: int, mask: Mask | None) -> str:
    """Why a view cannot be measured; empty when it can."""
    if min(width, height) < MIN_SSIM_SIDE:
        return f"{width}x{height} pixels are too few for SSIM"
    if mask is not None and not whole_windows(mask).any():
        return "the mask leaves next to nothing"
    return ""


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
