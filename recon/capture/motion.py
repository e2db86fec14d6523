"""How far the camera moved and how sharp it was, frame by frame, and which frames to take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

F32 = NDArray[np.float32]

STEP = 0.08
"""Mean motion between chosen frames, as a share of the frame's width: neighbours then share nine
tenths of what they show, and those two apart still more than two thirds."""

WIDEST = 0.16
"""Motion up to which one frame is enough, where the camera is fast."""

FEWEST = 24
_FAR = 4.0
_SMOOTHED = 9
_NONE = 1e-9
_BLOCK = 64
_BLOCKS = (2, 3)
_WINDOW = np.outer(np.hanning(_BLOCK), np.hanning(_BLOCK)).astype(np.float32)


@dataclass(frozen=True)
class FrameFacts:
    """One frame of a video.

    Attributes:
        index: in the video, from 0.
        sharpness: mean squared gradient (Tenengrad), to be compared with neighbours only.
        motion: how far the picture moved since the frame before, share of its width.
    """

    index: int
    sharpness: float
    motion: float


def sharpness(grey: F32) -> float:
    """Mean squared gradient of a grey picture (H, W)."""
    across, down = grey[:, 2:] - grey[:, :-2], grey[2:] - grey[:-2]
    return float(np.mean(across * across) + np.mean(down * down))


class MotionMeter:
    """Motion along grey pictures of one size, by phase correlation of blocks.

    Blocks move differently when the camera circles or walks, alike when it pans; the median of
    their shifts counts either way. Shifts are whole pixels, so each picture is compared with an
    earlier one that lies a few pixels away: a slow drift adds up, while noise and a trembling hand
    give next to nothing.
    """

    def __init__(self) -> None:
        self._from: NDArray[np.complex64] | None = None
        self._farthest = 0.0

    def __call__(self, grey: F32) -> float:
        """Motion since the last call, as a share of the width; 0 at the first."""
        spectra = np.fft.rfft2(_blocks(grey)).astype(np.complex64)
        if self._from is None:
            self._from = spectra
            return 0.0
        shift = _shift(self._from, spectra)
        motion = max(0.0, shift - self._farthest)
        self._farthest = max(self._farthest, shift)
        if self._farthest >= _FAR:
            self._from, self._farthest = spectra, 0.0
        return motion / grey.shape[1]


def _shift(one: NDArray[np.complex64], other: NDArray[np.complex64]) -> float:
    """Median shift in pixels between the blocks of two pictures, from their spectra."""
    cross = other * np.conj(one)
    # Weighted between plain correlation, which is blunt, and pure phase, which is all noise.
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-3) ** 0.8, (_BLOCK, _BLOCK))
    best = peaks.reshape(len(peaks), -1).argmax(axis=1)
    y, x = np.divmod(best, _BLOCK)
    half = _BLOCK // 2
    shifts = np.hypot((y + half) % _BLOCK - half, (x + half) % _BLOCK - half)
    return float(np.median(shifts))


def _blocks(grey: F32) -> F32:
    """(6, _BLOCK, _BLOCK) windowed blocks, spread over the picture, without their mean."""
    height, width = grey.shape
    rows = np.linspace(0, height - _BLOCK, _BLOCKS[0]).astype(int)
    columns = np.linspace(0, width - _BLOCK, _BLOCKS[1]).astype(int)
    blocks = np.stack([grey[y : y + _BLOCK, x : x + _BLOCK] for y in rows for x in columns])
    return (blocks - blocks.mean(axis=(1, 2), keepdims=True)) * _WINDOW


def choose_frames(frames: list[FrameFacts], most: int) -> list[int]:
    """Indices of the frames to take: the sharpest of each stretch.

    Stretches are of equal length in the square root of motion, between equal motion, which takes
    most frames where the camera is fast and all are smeared, and equal time, which leaves gaps
    there. None is longer than WIDEST unless `most` demands it; a camera at rest gives one frame
    however long it rests.

    Args:
        frames: all that were looked at, in order.
        most: number of frames not to exceed.
    """
    if not frames:
        return []
    motion = np.array([frame.motion for frame in frames])
    total = float(motion.sum())
    if total <= _NONE:
        return [max(frames, key=lambda frame: frame.sharpness).index]
    # Measured in whole pixels, motion comes in jerks, of which the root would be too small.
    smooth = uniform_filter1d(motion, _SMOOTHED, mode="nearest")
    root = np.sqrt(np.maximum(smooth, motion / _SMOOTHED))  # rounding can leave less than that
    share = np.maximum(max(FEWEST, total / STEP) * root / root.sum(), motion / WIDEST)
    path = np.cumsum(share)
    count = min(most, math.ceil(path[-1]), len(frames))
    stretch = np.minimum((path / path[-1] * count).astype(int), count - 1)
    best: dict[int, FrameFacts] = {}
    for number, frame in zip(stretch.tolist(), frames, strict=True):
        if number not in best or frame.sharpness > best[number].sharpness:
            best[number] = frame
    return [best[number].index for number in sorted(best)]
