"""Checks that all metrics share: two pictures of the same size, and which pixels count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.errors import OptionError

Picture = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.uint8]
Mask = NDArray[np.bool_]


def checked_pair(
    image: Picture, truth: Picture, mask: Mask | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both pictures as (H, W, 3) float32, clamped to 0..1; 8-bit values are divided by 255.

    Raises:
        OptionError: shapes that do not fit, or values that are not finite.
    """
    if image.shape != truth.shape or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise OptionError(
            f"two RGB pictures of one size are needed, not {image.shape} and {truth.shape}"
        )
    if mask is not None and (mask.shape != image.shape[:2] or mask.dtype != np.bool_):
        raise OptionError(
            f"the mask must be boolean and {image.shape[:2]}, not {mask.dtype} {mask.shape}"
        )
    return _unit(image), _unit(truth)


def _unit(picture: Picture) -> NDArray[np.float32]:
    if picture.dtype == np.uint8:
        return np.divide(picture, 255, dtype=np.float32)
    if not np.isfinite(picture).all():
        raise OptionError("the picture has values that are not finite: it cannot be measured")
    return np.clip(picture, 0, 1).astype(np.float32)
