"""Which photos show the same, judged by their features: for sets without an order.

Every photo becomes one vector (Jegou et al., "Aggregating local descriptors into a compact
image representation", 2010): its features' differences from the nearest of a few words, summed
by word. The words are learnt from the capture itself; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recon.sfm.pairs import Pair

F32 = NDArray[np.float32]

_WORDS, _ROUNDS = 64, 8
_SAMPLE, _FEATURES = 60_000, 1500


def similar_pairs(
    descriptors: Callable[[int], NDArray[np.uint8]], count: int, neighbours: int, seed: int
) -> list[Pair]:
    """Each photo with those most like it.

    Args:
        descriptors: index of a photo -> its features' descriptors (N, 128), perhaps none.
        count: number of photos.
        neighbours: partners for each photo.
        seed: of the choice of features and words.
    """
    rng = np.random.default_rng(seed)
    share = max(1, _SAMPLE // count)
    sample = np.concatenate([_some(descriptors(i), share, rng) for i in range(count)])
    if len(sample) == 0:
        return []
    words = _words(sample, rng)
    chosen = (_some(descriptors(i), _FEATURES, rng) for i in range(count))
    vectors = np.stack([_vector(features, words) for features in chosen])
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, : min(neighbours, count - 1)]
    return sorted({(min(i, j), max(i, j)) for i in range(count) for j in nearest[i].tolist()})


def _some(features: NDArray[np.uint8], most: int, rng: np.random.Generator) -> F32:
    """At most so many of the features, in the range that distances are taken in."""
    if len(features) > most:
        features = features[rng.choice(len(features), most, replace=False)]
    return features.astype(np.float32).reshape(-1, 128) / 512.0


def _words(sample: F32, rng: np.random.Generator) -> F32:
    """(_WORDS, 128) centres by k-means; a word that nothing is nearest to stays where it was."""
    words = sample[rng.choice(len(sample), min(_WORDS, len(sample)), replace=False)]
    for _ in range(_ROUNDS):
        nearest = _nearest(sample, words)
        sums = np.zeros_like(words)
        np.add.at(sums, nearest, sample)
        counts = np.bincount(nearest, minlength=len(words))[:, None]
        words = np.where(counts > 0, sums / np.maximum(counts, 1), words).astype(np.float32)
    return words


def _nearest(features: F32, words: F32) -> NDArray[np.intp]:
    return np.argmin(np.sum(words * words, axis=1) - 2.0 * features @ words.T, axis=1)


def _vector(features: F32, words: F32) -> F32:
    """Unit vector of a photo; zero without features."""
    out = np.zeros_like(words)
    if len(features):
        nearest = _nearest(features, words)
        np.add.at(out, nearest, features - words[nearest])
    # A word that many features share must not drown the others.
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    flat = np.sign(out) * np.sqrt(np.abs(out))
    return (flat / max(float(np.linalg.norm(flat)), 1e-9)).reshape(-1)
