"""What the pixels of a photo tell before any matching: sharpness and exposure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

F32 = NDArray[np.float32]

LOOK_SIDE = 1000
"""Longest side in pixels at which photos are looked at: that of SfM's smallest copies."""

SKETCH = 8

_REBLUR = 1.0
_STRONGEST_SHARE = 0.01
_FEWEST_EDGES = 64
_FLAT = 2.0
_DARK, _BRIGHT = 8, 247
_LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)


@dataclass(frozen=True)
class PhotoLook:
    """Facts of one photo's pixels.

    Attributes:
        blur: standard deviation, in pixels of a copy whose longer side is LOOK_SIDE, of the
            Gaussian that would blur a step edge as much as this photo's strongest edges are,
            in the direction in which they are blurred most. A sharp photo has 0.1 to 0.9;
            NaN where there are no edges to judge by.
        brightness: mean of the linear intensity, as a logarithm to base 2: stops.
        dark, bright: shares (0..1) of pixels that are all but black, all but white.
        sketch: SKETCH x SKETCH grey levels, row by row, in hexadecimal; "" where unknown.
    """

    blur: float
    brightness: float
    dark: float
    bright: float
    sketch: str = ""

    def __post_init__(self) -> None:
        if len(bytes.fromhex(self.sketch)) not in (0, SKETCH * SKETCH):
            raise ValueError("not a sketch of a photo")


def resemblance(one: PhotoLook, other: PhotoLook) -> float | None:
    """Correlation (-1..1) of two photos' sketches, whatever their exposure; None where unknown.

    Of two photos from nearly the same place it is over 0.9.
    """
    rows = [np.frombuffer(bytes.fromhex(look.sketch), np.uint8) for look in (one, other)]
    if not all(len(row) and row.std() > 0 for row in rows):
        return None
    return float(np.corrcoef(rows[0], rows[1])[0, 1])


def look_at(image: Image.Image) -> PhotoLook:
    """Judge a decoded photo; it is shrunk to LOOK_SIDE first."""
    grey = image.convert("L")
    scale = LOOK_SIDE / max(grey.size)
    if scale < 1.0:
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        grey = grey.resize(size, Image.Resampling.BOX)
    pixels = np.asarray(grey)
    # Enlarged photos would have larger blur: a small photo is judged as if it were enlarged.
    blur = _blur(pixels.astype(np.float32)) * max(1.0, scale)
    return PhotoLook(
        blur=blur,
        brightness=math.log2(max(float(_LINEAR[pixels].mean()), 1e-4)),
        dark=float(np.mean(pixels <= _DARK)),
        bright=float(np.mean(pixels >= _BRIGHT)),
        sketch=grey.resize((SKETCH, SKETCH), Image.Resampling.BILINEAR).tobytes().hex(),
    )


def _blur(pixels: F32) -> float:
    """Blur of the strongest edges (H, W in 0..255) in pixels, of the worse of four directions.

    Blurring a step edge of blur s once more by s0 lowers its gradient by the ratio
    sqrt(s^2 + s0^2) / s, from which s follows (Zhuo and Sim, "Defocus map estimation from a
    single image", 2011, equation 4). Motion blurs one direction only, so directions are judged
    separately.
    """
    again = _smooth(pixels)
    estimates = []
    for direction in ((0, 1), (1, 0), (1, 1), (1, -1)):
        before = np.abs(_slope(pixels, *direction))
        after = np.abs(_slope(again, *direction))
        # The difference over two steps is itself a blur, of a box two steps wide.
        variance = _edge_variance(before, after) - (2.0 * math.hypot(*direction)) ** 2 / 12.0
        if not math.isnan(variance):
            estimates.append(math.sqrt(max(variance, 0.01)))
    return max(estimates, default=math.nan)


def _edge_variance(before: F32, after: F32) -> float:
    """Square of the blur at the steepest pixels, square pixels; NaN without edges."""
    count = max(_FEWEST_EDGES, int(before.size * _STRONGEST_SHARE))
    if before.size <= count:
        return math.nan
    chosen = np.argpartition(before.ravel(), -count)[-count:]
    strong, weak = before.ravel()[chosen], after.ravel()[chosen]
    good = strong > _FLAT
    if np.count_nonzero(good) < _FEWEST_EDGES:
        return math.nan
    ratio = float(np.median(strong[good] / np.maximum(weak[good], 1e-3)))
    return _REBLUR**2 / max(ratio * ratio - 1.0, 1e-4)


def _slope(pixels: F32, down: int, right: int) -> F32:
    """Central differences (H - 2, W - 2) along a direction, per step of it."""
    height, width = pixels.shape
    ahead = pixels[1 + down : height - 1 + down, 1 + right : width - 1 + right]
    behind = pixels[1 - down : height - 1 - down, 1 - right : width - 1 - right]
    return 0.5 * (ahead - behind)


def _smooth(pixels: F32) -> F32:
    """Gaussian blur by _REBLUR pixels; edges repeat."""
    offsets = np.arange(-3, 4)
    kernel = np.exp(-0.5 * (offsets / _REBLUR) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        padded = np.pad(pixels, [(3, 3) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        length = pixels.shape[axis]
        pixels = sum(
            (w * np.take(padded, range(i, i + length), axis) for i, w in enumerate(kernel)),
            start=np.zeros_like(pixels),
        )
    return pixels
