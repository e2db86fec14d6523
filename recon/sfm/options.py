"""Options, progress and outcome of `pose_capture`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from recon.capture.types import PoseSource
from recon.errors import OptionError, SfmError
from recon.sfm.locate import KnownDistance

Quality = Literal["draft", "standard", "high"]

EFFORT: dict[Quality, int] = {"draft": 0, "standard": 1, "high": 2}
"""Qualities in their order."""

SfmStage = Literal["photos", "features", "matching", "mapping", "refining", "points", "undistort"]
"""The parts of the work, in order; some are left out where poses are given."""


@dataclass(frozen=True)
class SfmOptions:
    """How cameras are found.

    Attributes:
        pose_source: given poses or SfM; "auto" takes given ones if there are any.
        quality: effort of SfM: size of the photos it looks at and number of features.
        long_side: longest side in pixels of the undistorted photos, None for full size.
        seed: of everything random. With the same `threads`, results repeat.
        threads: of the computation, None for all cores that this process may use.
        known_distance: between the cameras of two photos, in metres: sets the scale.
        thorough: try costly features too before photos are given up; a check does not.
    """

    pose_source: PoseSource = "auto"
    quality: Quality = "standard"
    long_side: int | None = 960
    seed: int = 0
    threads: int | None = None
    thorough: bool = True
    known_distance: KnownDistance | None = None

    def __post_init__(self) -> None:
        if self.pose_source not in ("auto", "sfm", "given"):
            raise OptionError(f"unknown pose source {self.pose_source!r}")
        if self.quality not in ("draft", "standard", "high"):
            raise OptionError(f"unknown quality {self.quality!r}")
        if self.long_side is not None and not 16 <= self.long_side <= 100_000:
            raise OptionError("the long side must be between 16 and 100000 pixels")
        if self.threads is not None and self.threads < 1:
            raise OptionError("at least one thread is needed")

    @property
    def thread_count(self) -> int:
        """Threads to use."""
        if self.threads is not None:
            return self.threads
        # The affinity respects containers and taskset; Windows and macOS do not have it.
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


@dataclass(frozen=True)
class SfmProgress:
    """How far a stage is: `done` of `total` units, and what is being done in plain words."""

    stage: SfmStage
    done: int
    total: int
    text: str


ProgressListener = Callable[[SfmProgress], None]
CancelQuestion = Callable[[], bool]


class SfmCancelled(SfmError):
    """The caller asked to stop. What is done so far is kept and not done again."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("stopped on request", remedy="run the same command again to go on")


@dataclass(frozen=True)
class StageTime:
    """Time of one stage: wall-clock and CPU seconds, worker included."""

    stage: SfmStage
    wall_seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class SfmReport:
    """How the poses came about.

    Attributes:
        pose_source: "sfm", or the kind of the given poses.
        photos, registered: usable photos, and those with a camera.
        points: sparse points in the scene.
        reprojection_error: mean, in pixels of the full-size photos; None where unknown.
        track_length: mean number of photos that see a point; None where unknown.
        inconsistent_pairs: share (0..1) of well matched pairs that contradict the poses;
            above 0.03 the model is suspicious. None where unknown.
        components: photos registered in each separate model, largest first.
        unit: of the capture's world: "metres", or "arbitrary".
        north: the world's axes are east, north and up.
        stages: times, in order.
        notices: in plain words.
    """

    pose_source: str
    photos: int
    registered: int
    points: int
    reprojection_error: float | None
    track_length: float | None
    inconsistent_pairs: float | None
    components: tuple[int, ...]
    stages: tuple[StageTime, ...]
    notices: tuple[str, ...]
    unit: str = "arbitrary"
    north: bool = False
