"""The frame around every stage of a fit: clock, record in the manifest, events, stop requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from recon.errors import ReconError
from recon.fit.events import (
    Listener,
    StageFinished,
    StageName,
    StageProgress,
    StageStarted,
    StopRequest,
    stages_of,
)
from recon.fit.jobs import Job
from recon.fit.manifest import StageStatus
from recon.fit.options import FitOptions
from recon.fit.parts import FitParts
from recon.fit.rundir import RunDir

# Exit code of errors that only say that a request to stop was heeded (SfmCancelled has it too).
STOPPED = 130


class FitStopped(ReconError):
    """Asked to stop before there was a model to save."""

    exit_code = STOPPED

    def __init__(self, stage: str) -> None:
        super().__init__(
            f"stopped on request in the stage {stage!r}",
            remedy="run the same command again: it goes on where this one ended",
        )


@dataclass
class StageClock:
    """A stage that is under way.

    Attributes:
        before: wall time, in seconds, that earlier unfinished attempts took.
        text: what came out of it, set by the stage, told when it is done.
        status: set to "stopped" by a stage that ended early with something usable.
    """

    before: float = 0.0
    text: str = ""
    status: StageStatus = "done"
    start: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        return self.before + time.monotonic() - self.start


@dataclass(frozen=True)
class Session:
    """One call of `run_fit` on an open run directory.

    Attributes:
        jobs: the methods that are trained, in order.
    """

    options: FitOptions
    run: RunDir
    parts: FitParts
    jobs: tuple[Job, ...]
    tell: Listener
    stop: StopRequest

    @contextmanager
    def stage(self, name: StageName, fingerprint: str) -> Iterator[StageClock]:
        """Record a stage in the manifest from its start to whatever end it finds."""
        record = self.run.manifest.stages.get(name)
        goes_on = record is not None and record.fingerprint == fingerprint
        before = record.seconds if record and goes_on and record.status != "done" else 0.0
        stages = stages_of([job.name for job in self.jobs])
        self.tell(StageStarted(name, stages.index(name) + 1, len(stages)))
        self.run.set_stage(name, "running", before, fingerprint)
        clock = StageClock(before)
        try:
            yield clock
        except BaseException:
            status = "stopped" if self.stop() else "failed"
            stages = self.run.stages_with(name, status, clock.seconds(), fingerprint)
            self.run.try_record(stages=stages)
            raise
        self.run.set_stage(name, clock.status, clock.seconds(), fingerprint)
        self.tell(StageFinished(name, clock.seconds(), clock.text))

    def skip(self, name: StageName, text: str) -> None:
        """Tell that an earlier run did this stage already."""
        seconds = self.run.manifest.seconds(name)
        self.tell(StageFinished(name, seconds, text, skipped=True))

    def counter(self, name: StageName, unit: str) -> Callable[[int, int], None]:
        """A progress function (done, total) that tells listeners."""
        return count_progress(self.tell, name, unit)

    def check_stop(self, name: StageName) -> None:
        if self.stop():
            raise FitStopped(name)


def count_progress(
    tell: Listener, name: StageName, unit: str, stop: Callable[[], bool] = lambda: False
) -> Callable[[int, int], None]:
    """A progress function (done, total) that tells listeners.

    It raises `FitStopped` once `stop` says so: for work that has no other way to be stopped.
    """

    def report(done: int, total: int) -> None:
        if stop():
            raise FitStopped(name)
        tell(StageProgress(name, done / max(total, 1), f"{done}/{total} {unit}"))

    return report
