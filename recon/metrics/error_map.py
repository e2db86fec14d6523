"""Where a render is wrong: absolute error as a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.metrics.pair import Picture, checked_pair

# The error, in units of the full range of a channel, that gets the brightest colour.
ERROR_FULL_SCALE = 0.25

# Black, violet, red, orange, pale yellow: lightness rises evenly, so that the map reads the same
# in grey and to colour-blind eyes.
_STOPS = np.array(
    [
        [0, 0, 4],
        [40, 11, 84],
        [101, 21, 110],
        [159, 42, 99],
        [212, 72, 66],
        [245, 125, 21],
        [250, 193, 39],
        [252, 255, 164],
    ],
    dtype=np.float64,
)


def error_colors(fraction: ArrayLike) -> NDArray[np.uint8]:
    """Colours (..., 3) of errors (...) given as fractions 0..1 of the full scale."""
    f = np.clip(np.asarray(fraction, dtype=np.float64), 0, 1)
    at = np.linspace(0, 1, len(_STOPS))
    table = np.stack([np.interp(np.linspace(0, 1, 256), at, _STOPS[:, c]) for c in range(3)], -1)
    return np.round(table).astype(np.uint8)[np.round(255 * f).astype(np.intp)]


def error_map(
    image: Picture, truth: Picture, *, full_scale: float = ERROR_FULL_SCALE
) -> NDArray[np.uint8]:
    """Absolute error, mean over the channels, as a picture (H, W, 3).

    Args:
        image, truth: (H, W, 3), sRGB; floats in 0..1 (clamped here) or uint8.
        full_scale: the error that gets the brightest colour; larger ones look the same.
    """
    a, b = checked_pair(image, truth, None)
    return error_colors(np.abs(a - b).mean(axis=-1) / full_scale)
