"""Which pairs of photos to match: the largest single cost of SfM."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]

EXHAUSTIVE_LIMIT = 20
"""Up to this many photos all pairs are matched; it takes seconds."""

RETRIEVAL_LIMIT, NEIGHBOURS = 80, 20
"""Above so many photos without an order, each is matched with those that look most like it."""

_TRAILING_NUMBER = re.compile(r"^(.*?)(\d+)$")


def all_pairs(count: int) -> list[Pair]:
    """Every pair i < j of `count` photos."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def numbered(names: Sequence[str]) -> bool:
    """Whether the names are those of a video's frames or a camera's running counter."""
    stems: set[str] = set()
    for name in names:
        path = PurePosixPath(name)
        match = _TRAILING_NUMBER.match(path.stem)
        if match is None:
            return False
        stems.add(f"{path.parent}/{match[1]}")
    return len(stems) == 1


def sequential_pairs(count: int, overlap: int) -> list[Pair]:
    """Neighbours up to `overlap` apart, and at distances of powers of two beyond.

    The far pairs close loops where the camera returns, without a search for them.
    """
    steps = set(range(1, overlap + 1))
    steps |= {1 << k for k in range(count.bit_length()) if 1 << k < count}
    return sorted((i, i + step) for step in steps for i in range(count - step))


def bridging_pairs(count: int, lost: Iterable[int]) -> list[Pair]:
    """Every pair with at least one of the photos in `lost`."""
    return sorted({(min(i, j), max(i, j)) for i in lost for j in range(count) if i != j})


def choose_pairs(names: Sequence[str], overlap: int) -> tuple[list[Pair], int]:
    """Pairs to match first, for photos in sorted order; `overlap` as in `sequential_pairs`.

    The second is for how many more partners each photo's features shall be asked.
    """
    if len(names) > EXHAUSTIVE_LIMIT and numbered(names):
        return sequential_pairs(len(names), overlap), 0
    if len(names) > RETRIEVAL_LIMIT:
        # Names in their order still put sessions and folders together.
        return sequential_pairs(len(names), 1), NEIGHBOURS
    return all_pairs(len(names)), 0


def posed_pairs(
    centres: NDArray[np.float64], axes: NDArray[np.float64], neighbours: int = 10
) -> list[Pair]:
    """Pairs that can see the same surface, for photos with known poses.

    Args:
        centres: (N, 3) camera centres in world space.
        axes: (N, 3) unit viewing directions in world space.
        neighbours: partners per photo, those nearest by distance and direction.
    """
    count = len(centres)
    if count <= EXHAUSTIVE_LIMIT:
        return all_pairs(count)
    extent = float(np.linalg.norm(centres.std(axis=0))) or 1.0
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=-1) / extent
    angle = np.arccos(np.clip(axes @ axes.T, -1.0, 1.0))
    cost = distance + angle
    np.fill_diagonal(cost, np.inf)
    # Photos that look more than 80 degrees apart share no surface that SIFT could match.
    cost[angle > np.radians(80.0)] = np.inf
    pairs: set[Pair] = set()
    for i in range(count):
        for j in np.argsort(cost[i], kind="stable")[:neighbours].tolist():
            if np.isfinite(cost[i, j]):
                pairs.add((min(i, j), max(i, j)))
    return sorted(pairs)
