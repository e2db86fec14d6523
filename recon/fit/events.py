"""What a fit tells its listeners: the command line, the viewer, tests. Nothing here prints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from recon.fit.options import METHODS, MethodName
from recon.model import Trainer, TrainEvent
from recon.scene import PosedScene

StageName = Literal[
    "capture", "sfm", "train_splat", "evaluate_splat", "train_nerf", "evaluate_nerf", "report"
]
TRAIN: dict[MethodName, StageName] = {"splat": "train_splat", "nerf": "train_nerf"}
EVALUATE: dict[MethodName, StageName] = {"splat": "evaluate_splat", "nerf": "evaluate_nerf"}


def stages_of(methods: Sequence[MethodName]) -> tuple[StageName, ...]:
    """The stages of a fit of these methods, in order."""
    of_methods: list[StageName] = []
    for method in methods:
        of_methods.extend((TRAIN[method], EVALUATE[method]))
    return ("capture", "sfm", *of_methods, "report")


ALL_STAGES = stages_of(METHODS)


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
    method: MethodName = "splat"


@dataclass(frozen=True)
class Training:
    """An event of a method's trainer, passed on."""

    event: TrainEvent
    method: MethodName = "splat"


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

    @contextmanager
    def heard_by(self, callback: Callable[[], None]) -> Iterator[None]:
        """Inside, `callback` is called on a request; at once when it was made already."""
        with self._lock:
            self._callbacks.append(callback)
            already = self._event.is_set()
        try:
            if already:
                callback()
            yield
        finally:
            # A trainer that is done must not be kept in memory by its callback.
            with self._lock:
                self._callbacks.remove(callback)
