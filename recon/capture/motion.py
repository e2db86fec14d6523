"""How far the camera moved and how sharp it was, frame by frame, and which frames to take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

STEP = 0.08
"""Motion between chosen frames, as a share of the frame's width: neighbours then share nine
tenths of what they show, and those two apart still more than two thirds."""

FEWEST = 24
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
    """Motion between successive grey pictures of one size, by phase correlation of blocks.

    Blocks move differently when the camera circles or walks, alike when it pans; the mean of
    their shifts counts either way. Noise and a camera at rest give none.
    """

    def __init__(self) -> None:
        self._before: NDArray[np.complex64] | None = None

    def __call__(self, grey: F32) -> float:
        """Motion since the last call, as a share of the width; 0 at the first."""
        spectra = np.fft.rfft2(_blocks(grey)).astype(np.complex64)
        before, self._before = self._before, spectra
        if before is None:
            return 0.0
        cross = spectra * np.conj(before)
        # Weighted between plain correlation, which is blunt, and pure phase, which is all noise.
        peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-3) ** 0.8, (_BLOCK, _BLOCK))
        best = peaks.reshape(len(peaks), -1).argmax(axis=1)
        y, x = np.divmod(best, _BLOCK)
        half = _BLOCK // 2
        shifts = np.hypot((y + half) % _BLOCK - half, (x + half) % _BLOCK - half)
        return float(np.median(shifts)) / grey.shape[1]


def _blocks(grey: F32) -> F32:
    """(6, _BLOCK, _BLOCK) windowed blocks, spread over the picture, without their mean."""
    height, width = grey.shape
    rows = np.linspace(0, height - _BLOCK, _BLOCKS[0]).astype(int)
    columns = np.linspace(0, width - _BLOCK, _BLOCKS[1]).astype(int)
    blocks = np.stack([grey[y : y + _BLOCK, x : x + _BLOCK] for y in rows for x in columns])
    return (blocks - blocks.mean(axis=(1, 2), keepdims=True)) * _WINDOW


def choose_frames(frames: list[FrameFacts], most: int) -> list[int]:
    """Indices of the frames to take: the sharpest of each stretch of equal motion.

    Between two that follow each other lie never more than two such stretches, and a camera at
    rest gives one frame however long it rests.

    Args:
        frames: all that were looked at, in order.
        most: number of frames not to exceed.
    """
    if not frames:
        return []
    path = np.cumsum([frame.motion for frame in frames])
    total = float(path[-1])
    count = min(most, max(FEWEST, math.ceil(total / STEP)), len(frames))
    if total <= 0.0:
        return [max(frames, key=lambda frame: frame.sharpness).index]
    stretch = np.minimum((path / total * count).astype(int), count - 1)
    best: dict[int, FrameFacts] = {}
    for number, frame in zip(stretch.tolist(), frames, strict=True):
        if number not in best or frame.sharpness > best[number].sharpness:
            best[number] = frame
    return [best[number].index for number in sorted(best)]
