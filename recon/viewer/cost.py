"""What a frame will cost: measured, so that the ladder of resolutions fits the machine.

A frame costs a fixed part (projecting every splat) and a part for each pixel; both are fitted to
recent frames, old ones fading, since the cost also depends on where the camera looks.
"""

from __future__ import annotations

from dataclasses import dataclass

LADDER = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125)
"""Scales of the full resolution that a moving camera may be shown at."""

LEGIBLE = 0.25
"""Scale under which a moving picture hardly tells where one is."""

FIRST_SCALE = 0.25
"""Scale of the very first frame, when nothing is known about the cost yet."""

FADE = 0.85
"""Weight that is left of a measurement after the next one."""

FADE_SLOPE = 0.98
"""The same for how cost grows with size: a camera that moves at one size should not unlearn it."""

PRIOR_SPREAD = 0.03
"""Variance of sizes, in squared means, from which on measurements of the slope outweigh the guess.

Frames of nearly one size tell little of it: bands of a picture differ by what is in them, and the
picture is many of them. The guess is that all of the time is spent on pixels."""

CLIMB_MARGIN = 0.8
"""A larger scale must be predicted this far under the target, so that the size does not flicker."""


class _Memory:
    """Fading means of frames' pixels and seconds.

    Attributes:
        weight: of all that is remembered; 0 when nothing is.
        pixels, seconds: means.
        spread: variance of the pixels.
        slope: seconds a pixel by least squares, where `PRIOR_SPREAD` speaks for all of the time
            being spent on pixels.
    """

    def __init__(self, fade: float) -> None:
        self.weight = self.pixels = self.seconds = self.spread = 0.0
        self._fade = fade
        self._together = 0.0  # covariance of pixels and seconds

    def add(self, pixels: float, seconds: float) -> None:
        """Welford's update of means and moments, with weights that fade."""
        self.weight = self.weight * self._fade + 1.0
        share = 1.0 / self.weight
        off, late = pixels - self.pixels, seconds - self.seconds
        self.pixels += share * off
        self.seconds += share * late
        self.spread = (1.0 - share) * (self.spread + share * off * off)
        self._together = (1.0 - share) * (self._together + share * off * late)

    @property
    def proportional(self) -> float:
        return self.seconds / self.pixels if self.pixels > 0.0 else 0.0

    @property
    def slope(self) -> float:
        prior = PRIOR_SPREAD * self.pixels * self.pixels
        total = self.spread + prior
        return (self._together + prior * self.proportional) / total if total > 0.0 else 0.0


class CostModel:
    """Seconds as a straight line over pixels: its height of late, its slope from longer ago."""

    def __init__(self) -> None:
        self._recent = _Memory(FADE)
        self._long = _Memory(FADE_SLOPE)

    def add(self, pixels: int, seconds: float) -> None:
        """Learn that a frame of so many pixels took so many seconds."""
        self._recent.add(float(pixels), seconds)
        self._long.add(float(pixels), seconds)

    @property
    def known(self) -> bool:
        """Whether anything was measured yet."""
        return self._recent.weight > 0.0

    @property
    def pixels_per_second(self) -> float:
        """Recent rate, fixed part included; 0 before the first frame."""
        recent = self._recent
        return recent.pixels / recent.seconds if recent.seconds > 0.0 else 0.0

    def estimate(self, pixels: int) -> float:
        """Predicted seconds of a frame; 0 when nothing is known."""
        recent = self._recent
        # Neither part of the cost can be negative.
        slope = min(max(self._long.slope, 0.0), recent.proportional)
        return recent.seconds + slope * (pixels - recent.pixels)

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
