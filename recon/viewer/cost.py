"""What a frame will cost: measured, so that the ladder of resolutions fits the machine.

A frame costs a fixed part (projecting every splat) and a part for each pixel; both are fitted to
recent frames, old ones fading, since the cost also depends on where the camera looks.
"""

from __future__ import annotations

from dataclasses import dataclass

LADDER = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125)
"""Scales of the full resolution that a moving camera may be shown at."""

FIRST_SCALE = 0.25
"""Scale of the very first frame, when nothing is known about the cost yet."""

FADE = 0.85
"""Weight that is left of a measurement after the next one."""

PRIOR_SPREAD = 0.03
"""Variance of the sizes, in squared means, from which on measurements outweigh the first guess."""

CLIMB_MARGIN = 0.8
"""A larger scale must be predicted this far under the target, so that the size does not flicker."""


class CostModel:
    """Seconds as a straight line over pixels, with exponentially fading memory."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._pixels = 0.0
        self._seconds = 0.0
        self._pixels_squared = 0.0
        self._pixels_seconds = 0.0

    def add(self, pixels: int, seconds: float) -> None:
        """Learn that a frame of so many pixels took so many seconds."""
        x = float(pixels)
        self._weight = self._weight * FADE + 1.0
        self._pixels = self._pixels * FADE + x
        self._seconds = self._seconds * FADE + seconds
        self._pixels_squared = self._pixels_squared * FADE + x * x
        self._pixels_seconds = self._pixels_seconds * FADE + x * seconds

    @property
    def known(self) -> bool:
        """Whether anything was measured yet."""
        return self._weight > 0.0

    @property
    def pixels_per_second(self) -> float:
        """Recent rate, fixed part included; 0 before the first frame."""
        return self._pixels / self._seconds if self._seconds > 0.0 else 0.0

    def estimate(self, pixels: int) -> float:
        """Predicted seconds of a frame; 0 when nothing is known."""
        if not self.known:
            return 0.0
        mean_x = self._pixels / self._weight
        mean_y = self._seconds / self._weight
        variance = self._pixels_squared / self._weight - mean_x * mean_x
        covariance = self._pixels_seconds / self._weight - mean_x * mean_y
        proportional = mean_y / mean_x if mean_x > 0.0 else 0.0
        # Frames of nearly one size tell little of the slope (bands differ by what is in them, and
        # many of them are a picture): the less their sizes vary, the more is taken as per pixel.
        prior = PRIOR_SPREAD * mean_x * mean_x
        total = variance + prior
        slope = (covariance + prior * proportional) / total if total > 0.0 else 0.0
        # Neither part of the cost can be negative.
        slope = min(max(slope, 0.0), proportional)
        return mean_y + slope * (pixels - mean_x)

    def scale_within(self, pixels: int, target: float, current: float | None = None) -> float:
        """The largest scale of the ladder at which a frame of `pixels` keeps to `target` seconds.

        Args:
            pixels: at scale 1.
            current: the scale of the frame before; one above it must fit with a margin.
        """
        if not self.known:
            return FIRST_SCALE
        for scale in LADDER:
            climbing = current is not None and scale > current
            limit = target * (CLIMB_MARGIN if climbing else 1.0)
            if self.estimate(round(pixels * scale * scale)) <= limit:
                return scale
        return LADDER[-1]


@dataclass
class Allowance:
    """A token bucket that keeps rendering to a share of the time, with short bursts allowed.

    Live training uses it: someone who looks may cost training `share` of its speed in the long
    run, and yet a short drag of the camera is smooth.

    Attributes:
        share: seconds of rendering earned in each second; 1 or more is no limit.
        burst: most seconds that can be saved up.
    """

    share: float = 1.0
    burst: float = 0.75
    _saved: float = 0.0
    _at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until rendering may go on; 0 when it may now."""
        if self.share >= 1.0:
            return 0.0
        self._earn(now)
        return 0.0 if self._saved > 0.0 else (1e-3 - self._saved) / self.share

    def spend(self, seconds: float, now: float) -> None:
        """Record rendering; may go into debt, which is then waited off."""
        if self.share < 1.0:
            self._earn(now)
            self._saved -= seconds

    def _earn(self, now: float) -> None:
        if self._at is None:
            self._saved = self.burst
        else:
            self._saved = min(self.burst, self._saved + (now - self._at) * self.share)
        self._at = now
