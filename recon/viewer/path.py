"""A camera path through keyframes: smooth in place, direction and lens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recon.errors import OptionError
from recon.viewer.cameras import Viewpoint

MAX_SECONDS = 600.0


@dataclass(frozen=True)
class CameraPath:
    """Viewpoints passed one after another at an even pace.

    Attributes:
        closed: goes on from the last keyframe to the first.
    """

    keyframes: tuple[Viewpoint, ...]
    seconds: float = 6.0
    closed: bool = False

    def __post_init__(self) -> None:
        if len(self.keyframes) < 2:
            raise OptionError(
                "a camera path needs at least two keyframes",
                remedy="move the camera and add another keyframe",
            )
        if not 0.0 < self.seconds <= MAX_SECONDS:
            raise OptionError(f"the duration must be above 0 and at most {MAX_SECONDS:.0f} s")

    def at(self, fraction: float) -> Viewpoint:
        """The viewpoint at a fraction 0..1 of the duration."""
        count = len(self.keyframes)
        spans = count if self.closed else count - 1
        place = min(max(fraction, 0.0), 1.0) * spans
        first = min(int(place), spans - 1)
        t = place - first
        rows = np.stack([self._row(first + offset) for offset in (-1, 0, 1, 2)])
        row = _catmull_rom(rows, t)
        return Viewpoint(row[:3], row[3:6], float(np.exp(row[6])))

    def frames(self, rate: float) -> Iterator[Viewpoint]:
        """The viewpoints of a film of `rate` frames a second."""
        count = self.frame_count(rate)
        for index in range(count):
            # A closed film must not show its first frame twice.
            yield self.at(index / (count if self.closed else max(1, count - 1)))

    def frame_count(self, rate: float) -> int:
        return max(2, round(self.seconds * rate))

    def _row(self, index: int) -> np.ndarray:
        """Numbers of a keyframe (7,): position, target, log field of view."""
        count = len(self.keyframes)
        keyframe = self.keyframes[index % count if self.closed else min(max(index, 0), count - 1)]
        return np.concatenate([keyframe.position, keyframe.target, [np.log(keyframe.fov)]])


def _catmull_rom(rows: np.ndarray, t: float) -> np.ndarray:
    """Uniform Catmull-Rom between rows 1 and 2 of four."""
    p0, p1, p2, p3 = rows
    return 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t * t
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
