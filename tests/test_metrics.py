"""PSNR, SSIM and error maps against independent computations in float64."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from recon.errors import OptionError
from recon.metrics import (
    MAX_PSNR,
    error_colors,
    error_map,
    psnr,
    ssim,
    whole_windows,
)


def pair(height: int, width: int, seed: int = 0, noise: float = 0.1):
    """A smooth picture in floats and a noisy 8-bit copy."""
    rng = np.random.default_rng(seed)
    image = gaussian_filter(rng.random((height, width, 3)), (3, 3, 0))
    image = (image - image.min()) / (image.max() - image.min())
    truth = np.clip(image + noise * rng.normal(size=image.shape), 0, 1)
    return image.astype(np.float32), np.round(255 * truth).astype(np.uint8)


def ssim_map_by_scipy(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """SSIM (H - 10, W - 10, 3): truncate 3.5 makes scipy's window 11 taps wide."""

    def mean(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, (1.5, 1.5, 0), truncate=3.5)[5:-5, 5:-5]

    x, y = image.astype(np.float64), truth / 255.0
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))


@pytest.mark.parametrize("size", [(11, 11), (11, 90), (42, 43), (43, 12), (100, 131)])
@pytest.mark.parametrize("noise", [0.003, 0.1, 0.5])
def test_ssim_agrees_with_scipy(size: tuple[int, int], noise: float) -> None:
    image, truth = pair(*size, noise=noise)
    assert ssim(image, truth) == pytest.approx(ssim_map_by_scipy(image, truth).mean(), abs=2e-6)


def test_ssim_agrees_with_the_formula_window_by_window() -> None:
    """A double loop with a two-dimensional window: no separability, no shift, no blocks."""
    image, truth = pair(14, 13)
    u, v = np.meshgrid(np.arange(-5, 6), np.arange(-5, 6))
    window = np.exp(-(u * u + v * v) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for row in range(4):
        for column in range(3):
            for channel in range(3):
                part = (slice(row, row + 11), slice(column, column + 11), channel)
                x, y = image[part].astype(np.float64), truth[part] / 255.0
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                cov = (window * (x - mx) * (y - my)).sum()
                top = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
                values.append(top / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4)))
    assert ssim(image, truth) == pytest.approx(np.mean(values), abs=1e-6)


def test_ssim_of_flat_pictures_is_the_luminance_term() -> None:
    a, b = np.full((20, 20, 3), 0.8, np.float32), np.full((20, 20, 3), 0.4, np.float32)
    want = (2 * 0.8 * 0.4 + 1e-4) / (0.8**2 + 0.4**2 + 1e-4)
    # Float32 is at its worst here: the variances are differences of equal numbers.
    assert ssim(a, b) == pytest.approx(want, abs=3e-5)


@given(seed=st.integers(0, 10_000), height=st.integers(11, 50), width=st.integers(11, 50))
@settings(max_examples=40, deadline=None)
def test_metric_properties(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.random((height, width, 3)).astype(np.float32) for _ in range(2))
    assert ssim(a, a) == pytest.approx(1, abs=1e-5)
    assert psnr(a, a) == MAX_PSNR
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-5)
    assert -1 <= ssim(a, b) < 1
    nearer = a + np.float32(0.5) * (b - a)
    assert psnr(nearer, b) == pytest.approx(psnr(a, b) + 20 * np.log10(2), abs=1e-3)
    assert ssim(a[:, ::-1], b[:, ::-1]) == pytest.approx(ssim(a, b), abs=1e-5)


def test_psnr_by_hand() -> None:
    image = np.zeros((2, 2, 3), np.float32)
    truth = np.zeros((2, 2, 3), np.uint8)
    truth[0, 0] = 51  # a fifth of the range in a quarter of the pixels
    assert psnr(image, truth) == pytest.approx(-10 * np.log10(0.04 / 4))
    mask = np.zeros((2, 2), dtype=bool)
    mask[0] = True
    assert psnr(image, truth, mask) == pytest.approx(-10 * np.log10(0.04 / 2))


def test_values_outside_are_clamped() -> None:
    image, truth = pair(20, 20)
    wild = np.where(image > 0.5, image + 7, image - 7)
    clamped = np.clip(wild, 0, 1)
    assert psnr(wild, truth) == psnr(clamped, truth)
    assert ssim(wild, truth) == ssim(clamped, truth)
    np.testing.assert_array_equal(error_map(wild, truth), error_map(clamped, truth))


def test_a_masked_ssim_ignores_what_is_masked() -> None:
    image, truth = pair(60, 50)
    mask = np.ones((60, 50), dtype=bool)
    mask[:30] = False
    mask[45, 40] = False
    spoilt = np.where(mask[..., None], image, 1 - image)
    assert ssim(spoilt, truth, mask) == ssim(image, truth, mask)
    keep = np.zeros((50, 40), dtype=bool)
    for row in range(50):
        for column in range(40):
            keep[row, column] = mask[row : row + 11, column : column + 11].all()
    np.testing.assert_array_equal(whole_windows(mask), keep)
    want = ssim_map_by_scipy(image, truth)[keep].mean()
    assert ssim(image, truth, mask) == pytest.approx(want, abs=2e-6)


def test_error_map() -> None:
    image = np.zeros((1, 4, 3), np.float32)
    truth = np.zeros((1, 4, 3), np.float32)
    truth[0, 1], truth[0, 2], truth[0, 3] = 0.1, 0.25, 0.9
    colors = error_map(image, truth)
    assert colors.shape == (1, 4, 3)
    assert colors.dtype == np.uint8
    assert tuple(colors[0, 0]) == (0, 0, 4)
    assert tuple(colors[0, 2]) == tuple(colors[0, 3]) == (252, 255, 164)
    lightness = error_colors(np.linspace(0, 1, 64)) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()


@pytest.mark.parametrize(
    ("image", "truth", "mask", "why"),
    [
        (np.zeros((20, 20, 3)), np.zeros((20, 21, 3)), None, "one size"),
        (np.zeros((20, 20)), np.zeros((20, 20)), None, "RGB"),
        (np.zeros((0, 20, 3)), np.zeros((0, 20, 3)), None, "RGB"),
        (np.full((20, 20, 3), np.nan), np.zeros((20, 20, 3)), None, "finite"),
        (np.zeros((20, 20, 3)), np.zeros((20, 20, 3)), np.ones((20, 20)), "boolean"),
        (np.zeros((20, 20, 3)), np.zeros((20, 20, 3)), np.ones((9, 9), dtype=bool), "mask"),
        (np.zeros((20, 20, 3)), np.zeros((20, 20, 3)), np.zeros((20, 20), dtype=bool), "leaves no"),
    ],
)
def test_what_cannot_be_measured_is_refused(image, truth, mask, why: str) -> None:
    for metric in (psnr, ssim):
        with pytest.raises(OptionError, match=why):
            metric(image, truth, mask)


def test_pictures_smaller_than_a_window_have_no_ssim() -> None:
    with pytest.raises(OptionError, match="11x11"):
        ssim(np.zeros((10, 40, 3), np.float32), np.zeros((10, 40, 3), np.float32))
    assert whole_windows(np.ones((10, 40), dtype=bool)).size == 0


def test_a_photo_is_measured_in_a_fraction_of_a_second() -> None:
    """0.08 s of CPU time on a core of 2022; the bound leaves room for slow machines."""
    image, truth = pair(540, 960)
    start = time.process_time()
    ssim(image, truth)
    assert time.process_time() - start < 1.0
