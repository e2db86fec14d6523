"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np

from recon.errors import OptionError
from recon.metrics.pair import Mask, Picture, checked_pair

# That of equal pictures, in place of infinity, which JSON cannot hold. An 8-bit truth limits
# even a perfect render to about 59 dB.
MAX_PSNR = 100.0


def psnr(image: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """-10 log10 of the mean squared error over pixels and channels, in dB, at most MAX_PSNR.

    Args:
        image, truth: (H, W, 3), sRGB; floats in 0..1 (clamped here) or uint8.
        mask: (H, W), True where pixels count; all do when None.

    Raises:
        OptionError: shapes that do not fit, values that are not finite, or no pixel that counts.
    """
    a, b = checked_pair(image, truth, mask)
    squares = np.square(a - b)
    if mask is not None:
        squares = squares[mask]
        if squares.size == 0:
            raise OptionError("the mask leaves no pixel to measure")
    error = float(squares.mean(dtype=np.float64))
    return min(MAX_PSNR, -10 * math.log10(max(error, 1e-12)))
