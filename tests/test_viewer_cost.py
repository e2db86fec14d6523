"""What pictures are expected to cost, and which size follows from it."""

from __future__ import annotations

import pytest

from recon.viewer.cost import LADDER, CostModel


def test_cost_learns_a_line() -> None:
    cost = CostModel()
    assert not cost.known
    assert cost.scale_within(10**6, 0.05) == 0.25
    for pixels in (50_000, 200_000, 800_000, 100_000):
        cost.add(pixels, 0.004 + 1e-7 * pixels)
    assert cost.estimate(400_000) == pytest.approx(0.044, rel=0.01)
    assert cost.scale_within(1_000_000, 0.05) == 0.5
    assert cost.scale_within(1_000_000, 0.2) == 1.0
    assert cost.scale_within(1_000_000, 1e-5) == LADDER[-1]
    assert cost.pixels_per_second > 1e6


def test_bands_that_differ_by_what_is_in_them_tell_what_the_picture_costs() -> None:
    """The middle ones cost more than those that are a few rows larger."""
    cost = CostModel()
    seconds = (0.45, 0.33, 0.42, 0.31, 0.38, 0.31)
    for took in seconds:
        cost.add(85_000 + (6_000 if took < 0.35 else 0), took)
    assert cost.estimate(6 * 85_000) == pytest.approx(sum(seconds), rel=0.25)


def test_cost_of_one_size_scales_with_pixels() -> None:
    cost = CostModel()
    for _ in range(5):
        cost.add(100_000, 0.01)
    assert cost.estimate(400_000) == pytest.approx(0.04, rel=0.01)


def test_a_scale_is_climbed_to_with_a_margin() -> None:
    cost = CostModel()
    for pixels in (100_000, 1_000_000):
        cost.add(pixels, 1e-7 * pixels)
    # The full frame takes 0.1 s: within 0.11, yet not by enough to climb up to it.
    assert cost.scale_within(1_000_000, 0.11, current=0.5) == 0.75
    assert cost.scale_within(1_000_000, 0.11, current=1.0) == 1.0
