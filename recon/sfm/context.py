"""What the steps of `pose_capture` share: inputs, listener, clock, and the outcome's type."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from recon.capture.look import PhotoLook
from recon.capture.types import Capture
from recon.formats.lens import PosedLens, WorldPoints
from recon.sfm.job import Link, PhotoFacts
from recon.sfm.locate import Location
from recon.sfm.options import (
    CancelQuestion,
    ProgressListener,
    SfmCancelled,
    SfmOptions,
    SfmProgress,
    SfmStage,
    StageTime,
)

FEATURES_FOLDER = "features"
"""Beside the folders of models, which share it."""


@dataclass
class SfmContext:
    """One call of `pose_capture` or `survey_capture`.

    Attributes:
        capture, options: inputs.
        folder: where this call keeps its model.
        progress, cancelled: the caller's.
        stages: times so far.
    """

    capture: Capture
    options: SfmOptions
    folder: Path
    progress: ProgressListener
    cancelled: CancelQuestion
    stages: dict[SfmStage, StageTime] = field(default_factory=dict)

    @property
    def features(self) -> Path:
        """Folder of what depends on single photos: working copies, features, matches."""
        return self.folder.parent / FEATURES_FOLDER

    def tell(self, stage: SfmStage, done: int, total: int, text: str) -> None:
        """Report progress.

        Raises:
            SfmCancelled: the caller asked to stop.
        """
        if self.cancelled():
            raise SfmCancelled
        self.progress(SfmProgress(stage, done, total, text))

    def add_time(self, stage: SfmStage, wall: float, cpu: float) -> None:
        """Add to a stage's time."""
        before = self.stages.get(stage, StageTime(stage, 0.0, 0.0))
        self.stages[stage] = StageTime(stage, before.wall_seconds + wall, before.cpu_seconds + cpu)

    @contextmanager
    def stage(self, stage: SfmStage) -> Iterator[None]:
        """Measure a stage that runs in this process."""
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.add_time(stage, time.monotonic() - wall, time.process_time() - cpu)

    def in_threads(self, stage: SfmStage, text: str, tasks: Iterable[Callable[[], None]]) -> None:
        """Run independent tasks on the given number of threads, as one stage.

        Raises:
            SfmCancelled: the caller asked to stop; tasks not yet begun are dropped.
        """
        with self.stage(stage):
            pool = ThreadPoolExecutor(max_workers=self.options.thread_count)
            try:
                futures = [pool.submit(task) for task in tasks]
                for done, future in enumerate(as_completed(futures), start=1):
                    future.result()
                    self.tell(stage, done, len(futures), text)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class Evidence:
    """What SfM came to know of the photos, for diagnosis; empty where it did not look.

    Attributes:
        looks: photo name -> sharpness and exposure.
        photos: photo name -> features, partners, component, points.
        links: verified pairs.
        mirrored: names of photos that match the others only when they are flipped.
    """

    looks: dict[str, PhotoLook] = field(default_factory=dict)
    photos: dict[str, PhotoFacts] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    mirrored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Solution:
    """Cameras and points in the capture's own world.

    Attributes:
        cameras: photo name -> lens at the photo's size, and pose.
        points: sparse points.
        pose_source: "sfm" or the kind of the given poses.
        failed: photo name and reason, for photos without a camera.
        components: photos in each separate model, largest first.
        reprojection_error, track_length, inconsistent_pairs: see `SfmReport`.
        evidence: what was found out about the photos on the way.
        location: how the cameras came into the world that they are in.
        hasty: more could have been tried (see `SfmOptions.thorough`).
        notices: on how the cameras came about, in plain words.
    """

    cameras: dict[str, PosedLens]
    points: WorldPoints
    pose_source: str
    failed: tuple[tuple[str, str], ...] = ()
    components: tuple[int, ...] = ()
    reprojection_error: float | None = None
    track_length: float | None = None
    inconsistent_pairs: float | None = None
    evidence: Evidence = field(default_factory=Evidence)
    location: Location = field(default_factory=Location)
    hasty: bool = False
    notices: tuple[str, ...] = ()
