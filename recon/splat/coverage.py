"""How many splats lie over each pixel: where a model is dense, and what rendering it costs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recon.kernels.ops import ALPHA_MIN

_SPANS_AT_ONCE = 2_000_000
"""Rows of ellipses handled together: bounds the memory to some 150 MB."""


def coverage(footprints: NDArray[np.float32], width: int, height: int) -> NDArray[np.int32]:
    """Splats whose alpha reaches ALPHA_MIN at the centre of each pixel, (height, width).

    Splats that are hidden behind others count too.

    Args:
        footprints: (N, 16) as `native_cpu.Engine.footprints` gives them.
    """
    steps = np.zeros(height * (width + 1), np.int64)
    seen = footprints[footprints[:, 11] > 0].astype(np.float64)
    x, y, xx, xy, yy, log2_opacity = seen[:, :6].T
    # log2(alpha) = log2_opacity + a dx^2 + b dx dy + c dy^2.
    a, b, c = -xx / math.log(4), -xy / math.log(2), -yy / math.log(4)
    margin = log2_opacity - math.log2(ALPHA_MIN)
    # Rows whose centres lie in the ellipse's height.
    first = np.clip(np.ceil(y - seen[:, 11] - 0.5), 0, height).astype(np.int64)
    rows = np.clip(np.floor(y + seen[:, 11] - 0.5) + 1, 0, height).astype(np.int64) - first
    rows = np.maximum(rows, 0)
    ends = np.cumsum(rows)
    start = 0
    while start < len(seen):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _SPANS_AT_ONCE, side="right")))
        part = slice(start, stop)
        splat = np.repeat(np.arange(start, stop), rows[part])
        row = first[splat] + np.arange(len(splat)) - (ends[splat] - rows[splat] - before)
        # In a row, a dx^2 + b dy dx + c dy^2 + margin >= 0 (a < 0) holds between two roots.
        dy = row + 0.5 - y[splat]
        middle = x[splat] - b[splat] * dy / (2 * a[splat])
        inside = (b[splat] * dy) ** 2 - 4 * a[splat] * (c[splat] * dy * dy + margin[splat])
        reach = np.sqrt(np.maximum(inside, 0)) / (-2 * a[splat])
        left = np.clip(np.ceil(middle - reach - 0.5), 0, width).astype(np.int64)
        right = np.clip(np.floor(middle + reach - 0.5) + 1, 0, width).astype(np.int64)
        full = (inside >= 0) & (right > left)
        base = row[full] * (width + 1)
        steps += np.bincount(base + left[full], minlength=len(steps))
        steps -= np.bincount(base + right[full], minlength=len(steps))
        start = stop
    return np.cumsum(steps.reshape(height, width + 1), axis=1)[:, :width].astype(np.int32)
