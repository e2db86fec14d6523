"""Where photos have detail: most rays go there.

A ray of an even wall has nothing to say after a few thousand steps; one of leaves has until the
end. Rays are drawn by importance (Owen, "Monte Carlo theory, methods and examples", 2013, ch. 9)
and count by the inverse, so that the loss is the mean over all pixels as before, with less noise
where it matters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.kernels.field_ops import PHOTO_TILE

_WHOLE = 2**32


def tile_shares(
    rgba: NDArray[np.uint8], weight: NDArray[np.uint8] | None, detail: float
) -> NDArray[np.uint32]:
    """What part of a photo's rays, times 2^32, falls into each tile or one before it.

    Detail is the mean length of a pixel's colour differences to its right and lower neighbours, all
    of it that counts.

    Args:
        rgba: (H, W, 4) photo, colours premultiplied.
        weight: (H, W), 255 counts fully; a tile that does not count gets no ray.
        detail: in 0..1, the part of the rays that follows detail; the others fall anywhere.

    Returns:
        (tiles,) row by row, `PHOTO_TILE` pixels a side, not falling, the last one 2^32 - 1.
    """
    counts = np.ones(rgba.shape[:2])
    if weight is not None and weight.any():  # of nothing, any part will do
        counts = weight / 255.0
    area = _tile_sums(counts)
    busy = _tile_sums(_steepness(rgba) * counts)
    share = area / area.sum()
    if busy.sum() > 0.0:
        share = (1.0 - detail) * share + detail * busy / busy.sum()
    ends = np.floor(np.cumsum(share) * _WHOLE).clip(0, _WHOLE - 1)
    ends[np.flatnonzero(share)[-1] :] = _WHOLE - 1
    return ends.astype(np.uint32)


def _steepness(rgba: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) length of the differences to the pixels on the right and below."""
    values = rgba.astype(np.float32)
    square = np.zeros(rgba.shape[:2], np.float32)
    square[:, :-1] += np.square(np.diff(values, axis=1)).sum(2)
    square[:-1] += np.square(np.diff(values, axis=0)).sum(2)
    return np.sqrt(square)


def _tile_sums(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """(tiles,) sums over tiles, those at the right and at the bottom cut off by the border."""
    rows, columns = (np.arange(0, n, PHOTO_TILE) for n in values.shape)
    across = np.add.reduceat(values.astype(np.float64), columns, axis=1)
    return np.add.reduceat(across, rows, axis=0).ravel()
