"""What a fit tells its listeners: the command line, the viewer, tests. Nothing here prints."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from recon.model import Trainer, TrainEvent
from recon.scene import PosedScene

StageName = Literal["capture", "sfm", "train_splat", "evaluate", "report"]
STAGES: tuple[StageName, ...] = ("capture", "sfm", "train_splat", "evaluate", "report")


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; `index` counts from 1 to `of`."""

    stage: StageName
    index: int
    of: int


@dataclass(frozen=True)
class StageProgress:
    """How far a stage is: `fraction` 0..1, or None where that is not known."""

    stage: StageName
    fraction: float | None
    text: str


@dataclass(frozen=True)
class StageFinished:
    """A stage ended after `seconds`; `skipped` when an earlier run had done it already."""

    stage: StageName
    seconds: float
    text: str
    skipped: bool = False


@dataclass(frozen=True)
class TrainingStarted:
    """The trainer is about to run: a viewer may take snapshots of it from now on."""

    trainer: Trainer
    scene: PosedScene


@dataclass(frozen=True)
class Training:
    """An event of the trainer, passed on."""

    event: TrainEvent


@dataclass(frozen=True)
class Notice:
    """Something that the person should know, in plain words."""

    text: str


FitEvent = StageStarted | StageProgress | StageFinished | TrainingStarted | Training | Notice
Listener = Callable[[FitEvent], None]


class StopRequest:
    """Asks a fit, from any thread, to finish early and leave a usable model."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.RLock()  # a signal handler may come in between
        self._callbacks: list[Callable[[], None]] = []

    def __call__(self) -> bool:
        """Whether a stop was requested (the form that stages take as `cancelled`)."""
        return self._event.is_set()

    def request(self) -> None:
        with self._lock:
            self._event.set()
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def on_request(self, callback: Callable[[], None]) -> None:
        """Call `callback` on a request; at once when it was made already."""
        with self._lock:
            self._callbacks.append(callback)
            already = self._event.is_set()
        if already:
            callback()
