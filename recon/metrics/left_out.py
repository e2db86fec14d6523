"""Pixels that a photo's mask leaves out of all figures, as one sees them: dimmed and hatched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.metrics.pair import Mask

_GREY, _STRIPE = 72, 116
_FADED = 0.3
"""What is left of a photo there: enough to tell what it was that does not count."""


def hatch(width: int, height: int) -> NDArray[np.uint8]:
    """Diagonal stripes, (height, width) grey, coarse enough to be seen when it is shown small."""
    period = max(6, max(width, height) // 48)
    y, x = np.ogrid[:height, :width]
    return np.where((x + y) % period < max(2, period // 4), _STRIPE, _GREY).astype(np.uint8)


def veil(
    picture: NDArray[np.uint8], counted: Mask | None, *, keep: float = _FADED
) -> NDArray[np.uint8]:
    """`picture` (H, W, 3) with the pixels hatched that do not count.

    Args:
        counted: (H, W), True where pixels count; all do when None.
        keep: how much of the picture is left there; 0 for maps of errors.
    """
    if counted is None:
        return picture
    shown = picture.copy()
    out = ~counted
    stripes = hatch(picture.shape[1], picture.shape[0])[out][:, None]
    shown[out] = (keep * picture[out] + (1 - keep) * stripes + 0.5).astype(np.uint8)
    return shown


def about_left_out(counted: Mask | None) -> str:
    """How much is left out, in words for beside the figures; empty when nothing is."""
    if counted is None or counted.all():
        return ""
    share = round(100 * (1 - float(counted.mean())))
    # A few pixels are more than none, and a few that count are more than none, too.
    return f"{min(max(share, 1), 99 if counted.any() else 100)}% masked"
