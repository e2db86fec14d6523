"""Which photos are matched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.sfm.pairs import (
    NEIGHBOURS,
    all_pairs,
    bridging_pairs,
    choose_pairs,
    numbered,
    posed_pairs,
    sequential_pairs,
)
from recon.sfm.retrieval import similar_pairs


@given(st.integers(0, 80), st.integers(0, 12))
def test_sequential_pairs_are_valid_and_reach_far(count, overlap):
    pairs = sequential_pairs(count, overlap)
    assert len(set(pairs)) == len(pairs)
    assert all(0 <= i < j < count for i, j in pairs)
    if count > 1:
        assert {(i, i + 1) for i in range(count - 1)} <= set(pairs)
        assert max(j - i for i, j in pairs) >= (count - 1) // 2


def test_fox_needs_a_fifth_of_all_pairs():
    assert len(sequential_pairs(50, 2)) == 237
    assert len(all_pairs(50)) == 1225


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0001.jpg", "0002.jpg"], True),
        (["DSC_0423.JPG", "DSC_0431.JPG"], True),
        (["a/1.jpg", "b/1.jpg"], False),
        (["front.jpg", "back.jpg"], False),
        (["IMG_1.jpg", "DSC_1.jpg"], False),
    ],
)
def test_numbered_names(names, expected):
    assert numbered(names) is expected


def test_small_or_unordered_sets_are_matched_exhaustively():
    few = [f"{i:03d}.jpg" for i in range(20)]
    mixed = [f"photo{chr(97 + i)}.jpg" for i in range(24)]
    many = [f"{i:03d}.jpg" for i in range(60)]
    assert choose_pairs(few, 2) == (all_pairs(20), 0)
    assert choose_pairs(mixed, 2) == (all_pairs(24), 0)
    assert len(choose_pairs(many, 2)[0]) < len(all_pairs(60)) / 4
    sessions = [f"{day}/{i:03d}.jpg" for day in "ab" for i in range(60)]
    assert choose_pairs(sessions, 2)[1] == NEIGHBOURS


def test_bridges_join_the_lost_with_everybody():
    assert bridging_pairs(4, [1]) == [(0, 1), (1, 2), (1, 3)]


def test_posed_pairs_are_neighbours_on_a_ring():
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    centres = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    pairs = posed_pairs(centres, -centres, neighbours=4)
    assert {(i, i + 1) for i in range(39)} <= set(pairs)
    assert all(min(j - i, 40 - (j - i)) <= 3 for i, j in pairs)


def test_photos_of_the_same_things_are_found_without_an_order():
    # Ten scenes of 60 features each; a photo sees 40 of its scene's, with noise, and strangers.
    rng = np.random.default_rng(5)
    scenes = rng.integers(0, 120, (10, 60, 128))
    order = rng.permutation(40)

    def descriptors(index: int) -> np.ndarray:
        local = np.random.default_rng(index)
        seen = scenes[order[index] % 10][local.choice(60, 40, replace=False)]
        noisy = seen + local.integers(-6, 7, seen.shape)
        return np.clip([*noisy, *local.integers(0, 120, (20, 128))], 0, 255).astype(np.uint8)

    pairs = similar_pairs(descriptors, 40, 3, seed=0)
    same = sum(order[i] % 10 == order[j] % 10 for i, j in pairs)
    assert same > 0.95 * len(pairs)
    assert len(pairs) >= 40
    assert similar_pairs(lambda index: np.zeros((0, 128), np.uint8), 4, 3, 0) == []
