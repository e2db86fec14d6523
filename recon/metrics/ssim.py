"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004), without a GPU and quick."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.errors import OptionError
from recon.metrics.pair import Mask, Picture, checked_pair

WINDOW = 11
SIGMA = 1.5
C1 = 0.01**2
C2 = 0.03**2
MIN_SSIM_SIDE = WINDOW
SSIM_DEFINITION = (
    "11x11 Gaussian window, sigma 1.5, K 0.01 and 0.03, whole windows only (valid region), "
    "each of R, G and B, averaged"
)

# Rows and columns filtered at a time. A filter over a block is one small dense product with a
# banded matrix: it wastes three quarters of its multiplications and still beats sliding sums,
# because BLAS keeps it in registers. The products stay small enough for BLAS not to wake its
# threads, which cost far more than they save here when the machine has other work.
_BLOCK = 32
_COLUMNS_DOWN = 96

F32 = NDArray[np.float32]


def ssim(image: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Mean SSIM over channels and over all 11x11 windows that lie wholly inside the picture.

    Variances are those of the window (not the sample estimate with N - 1), as in the paper.
    Computed in float32; the error is some 1e-6, more where pictures are flat.

    Args:
        image, truth: (H, W, 3), sRGB; floats in 0..1 (clamped here) or uint8.
        mask: (H, W), True where pixels count: only windows of nothing else are taken.

    Raises:
        OptionError: shapes that do not fit, values that are not finite, pictures smaller than
            a window, or no window inside the mask.
    """
    a, b = checked_pair(image, truth, mask)
    height, width = a.shape[:2]
    if min(height, width) < WINDOW:
        raise OptionError(f"SSIM needs pictures of at least 11x11 pixels, not {width}x{height}")
    counted = None if mask is None else whole_windows(mask)
    if counted is not None and not counted.any():
        raise OptionError("the mask leaves no 11x11 window to measure")
    rows = height - WINDOW + 1
    total = 0.0
    for channel in range(3):
        # Variances do not change with a shift; around 0 they lose fewer digits in float32.
        x, y = np.ascontiguousarray(a[..., channel]), np.ascontiguousarray(b[..., channel])
        centre_x, centre_y = _mean(x, mask), _mean(y, mask)
        x, y = x - centre_x, y - centre_y
        for start in range(0, rows, _BLOCK):
            stop = min(start + _BLOCK, rows)
            part = slice(start, stop + WINDOW - 1)
            values = _ssim_map(x[part], y[part], centre_x, centre_y)
            if counted is not None:
                values = values[counted[start:stop]]
            total += float(values.sum(dtype=np.float64))
    windows = rows * (width - WINDOW + 1) if counted is None else int(counted.sum())
    return total / (3 * windows)


def _mean(plane: F32, mask: Mask | None) -> np.float32:
    """Of the pixels (H, W) that count."""
    counted = plane if mask is None else plane[mask]
    return np.float32(counted.mean(dtype=np.float64))


def whole_windows(mask: Mask) -> Mask:
    """For each 11x11 window of (H, W), (H - 10, W - 10) in all, whether all of it counts."""
    out = mask
    for axis in (0, 1):
        length = out.shape[axis] - WINDOW + 1
        if length < 1:
            return np.zeros([max(0, n - WINDOW + 1) for n in mask.shape], dtype=np.bool_)
        shifted = [np.take(out, range(i, i + length), axis=axis) for i in range(WINDOW)]
        out = np.logical_and.reduce(shifted)
    return out


def _ssim_map(x: F32, y: F32, centre_x: np.float32, centre_y: np.float32) -> F32:
    """SSIM (H - 10, W - 10) of two strips (H, W) of one channel, each less its centre."""
    mean_x, mean_y, square, product = _filtered(np.stack([x, y, x * x + y * y, x * y]))
    mean_product = mean_x * mean_y
    mean_square = mean_x * mean_x + mean_y * mean_y
    covariance = product - mean_product
    variances = square - mean_square
    level_x, level_y = mean_x + centre_x, mean_y + centre_y
    luminance = 2 * level_x * level_y + np.float32(C1)
    brightness = level_x * level_x + level_y * level_y + np.float32(C1)
    return (
        luminance * (2 * covariance + np.float32(C2)) / (brightness * (variances + np.float32(C2)))
    )


def _filtered(planes: F32) -> F32:
    """Gaussian window means (4, H - 10, W - 10) of planes (4, H, W), H - 10 <= _BLOCK."""
    count, height, width = planes.shape
    rows, columns = height - WINDOW + 1, width - WINDOW + 1
    down = np.empty((count, rows, width), np.float32)
    for start in range(0, width, _COLUMNS_DOWN):
        part = slice(start, start + _COLUMNS_DOWN)
        np.matmul(_BAND[:rows, :height], planes[:, :, part], out=down[:, :, part])
    out = np.empty((count, rows, columns), np.float32)
    for start in range(0, columns, _BLOCK):
        n = min(_BLOCK, columns - start)
        across = down[:, :, start : start + n + WINDOW - 1]
        np.matmul(across, _BAND_T[: n + WINDOW - 1, :n], out=out[:, :, start : start + n])
    return out


def _band_matrix() -> F32:
    """(_BLOCK, _BLOCK + 10): row i holds the Gaussian weights in columns i to i + 10."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    weights /= weights.sum()
    band = np.zeros((_BLOCK, _BLOCK + WINDOW - 1))
    for i in range(_BLOCK):
        band[i, i : i + WINDOW] = weights
    return band.astype(np.float32)


_BAND = _band_matrix()
_BAND_T = np.ascontiguousarray(_BAND.T)
