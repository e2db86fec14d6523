"""The training loop: steps, events, evaluation along the way, checkpoints, stopping, budgets."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from recon.formats.images import load_rgb8
from recon.kernels.memory import typed_out_of_memory
from recon.model import (
    CheckpointEvent,
    EvalEvent,
    FinishedEvent,
    NoticeEvent,
    RadianceModel,
    RenderOptions,
    StepEvent,
    TrainEvent,
)
from recon.scene import PosedScene
from recon.training.clock import Clock

_EVENT_EVERY = 0.25  # seconds
# Evaluation along the way takes at most a tenth of the time, however slow the model renders.
_TRAINING_FOR_EVALUATION = 9.0


class LoopOptions(Protocol):
    """What the loop reads of a method's options; times in seconds of training."""

    @property
    def steps(self) -> int: ...
    @property
    def time_budget(self) -> float | None: ...
    @property
    def long_side(self) -> int | None: ...
    @property
    def eval_every(self) -> float | None: ...
    @property
    def eval_views(self) -> int: ...
    @property
    def checkpoint_every(self) -> float: ...


@dataclass(frozen=True)
class StepReport:
    """One step: the size in pixels of the images that it trained on, and the loss, or None where
    it stays on the device until `LoopTrainer._mean_loss` asks for it."""

    width: int
    height: int
    loss: float | None = None


class LoopTrainer(ABC):
    """A `recon.model.Trainer` but for the method's own steps.

    Schedules follow `progress`, so that they fit any number of steps and a budget of time.
    """

    def __init__(
        self, scene: PosedScene, options: LoopOptions, checkpoint_dir: Path | None
    ) -> None:
        self._scene = scene
        self._limits = options
        self._dir = checkpoint_dir
        self._stop = threading.Event()
        self._lock = threading.Lock()  # guards the state between steps
        self._notices: list[str] = []
        self._losses: list[float] = []
        self._step = 0
        self._seconds = 0.0
        self._preparation = 0.0  # seconds before the first step, a part of `_seconds`

    @abstractmethod
    def snapshot(self) -> RadianceModel:
        """A copy of the model as it is now."""

    @property
    @abstractmethod
    def _size(self) -> int:
        """Splats or parameters now."""

    @abstractmethod
    def _prepare(self) -> None:
        """Load what the steps need; called when the loop starts, inside of training time."""

    @abstractmethod
    def _train_step(self) -> StepReport:
        """One step; counts `_step` up."""

    @abstractmethod
    def _save(self, folder: Path) -> Path:
        """Write a checkpoint of everything."""

    def _mean_loss(self) -> float:
        """Mean loss since it was last asked for."""
        mean = sum(self._losses) / max(1, len(self._losses))
        self._losses.clear()
        return mean

    def _closing_notices(self) -> Iterator[str]:
        """What the person should know at the end."""
        return iter(())

    def _work_left(self, done: float) -> float:
        """Seconds of work left over seconds done, at a progress in (0, 1]."""
        return (1.0 - done) / done

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0..1: of the steps or of the time budget."""
        return min(max(self._step / self._limits.steps, self._spent()), 1.0)

    def _spent(self) -> float:
        """Share of the time budget that is used, of what getting ready has left of it; 0 without a
        budget."""
        budget = self._limits.time_budget
        if budget is None:
            return 0.0
        return max(0.0, self._seconds - self._preparation) / max(budget - self._preparation, 1e-9)

    def stop(self) -> None:
        """See `recon.model.Trainer`."""
        self._stop.set()

    def run(self) -> Iterator[TrainEvent]:
        """See `recon.model.Trainer`.

        Raises:
            TrainingError: the loss is no longer finite, or a GPU's memory ran out.
        """
        for text in self._notices:
            yield NoticeEvent(self._step, text)
        self._notices.clear()
        clock = Clock(self._seconds)
        with typed_out_of_memory():
            for event in self._events(clock):
                # What a listener does meanwhile, hold training up for instance, is not training.
                with clock.paused():
                    yield event

    def _events(self, clock: Clock) -> Iterator[TrainEvent]:
        options = self._limits
        before = clock.seconds()
        self._prepare()
        self._preparation = clock.seconds() - before
        last_event = last_event_step = -math.inf
        eval_every = math.inf if options.eval_every is None else options.eval_every
        next_eval = clock.seconds() + eval_every
        next_checkpoint = clock.seconds() + options.checkpoint_every
        reason = "done"
        while self.progress < 1.0:
            if self._stop.is_set():
                reason = "stopped"
                break
            with self._lock:
                report = self._train_step()
                self._seconds = clock.seconds()
            if report.loss is not None:
                self._losses.append(report.loss)
            now = self._seconds
            if now - last_event >= _EVENT_EVERY:
                mean = self._mean_loss()
                now = self._seconds = clock.seconds()  # a device may have been waited for
                rate = (self._step - last_event_step) / (now - last_event)
                if math.isfinite(rate) and rate > 0:
                    yield StepEvent(
                        step=self._step,
                        total_steps=self._planned_steps(rate),
                        seconds=now,
                        steps_per_second=rate,
                        loss=mean,
                        size=self._size,
                        width=report.width,
                        height=report.height,
                        eta_seconds=self._eta(now),
                    )
                last_event, last_event_step = now, self._step
            if now >= next_eval and self._scene.test_views:
                began = time.monotonic()
                with clock.paused():
                    evaluation = self._evaluate()
                pause = (time.monotonic() - began) * _TRAINING_FOR_EVALUATION
                yield evaluation
                next_eval = now + max(eval_every, pause)
            if self._dir is not None and now >= next_checkpoint:
                yield self._checkpoint(self._dir)
                next_checkpoint = clock.seconds() + options.checkpoint_every
        else:
            if options.time_budget is not None and self._step < options.steps:
                reason = "time"
        closing = tuple(self._closing_notices())
        self._seconds = clock.seconds()
        yield from self._last_evaluation(reason)
        for text in closing:
            yield NoticeEvent(self._step, text)
        if self._dir is not None:
            yield self._checkpoint(self._dir)
        yield FinishedEvent(self._step, self._seconds, reason)

    def _planned_steps(self, rate: float) -> int:
        budget = self._limits.time_budget
        if budget is None:
            return self._limits.steps
        left = max(0.0, budget - self._seconds)
        return min(self._limits.steps, self._step + round(left * rate))

    def _eta(self, now: float) -> float:
        done, budget = self.progress, self._limits.time_budget
        if budget is not None and self._spent() >= done:
            return max(0.0, budget - now)
        if done <= 0:
            return 0.0
        return (now - self._preparation) * self._work_left(done)

    def _checkpoint(self, folder: Path) -> CheckpointEvent:
        return CheckpointEvent(self._step, self._seconds, self._save(folder))

    def _last_evaluation(self, reason: str) -> Iterator[EvalEvent]:
        """Where training came to, on the views of the curve; whoever asks to stop need not wait."""
        if reason != "stopped" and self._limits.eval_every is not None and self._scene.test_views:
            yield self._evaluate()

    def _evaluate(self) -> EvalEvent:
        """Mean PSNR over a few held-out views, spread over all."""
        views = self._scene.test_views
        count = min(self._limits.eval_views, len(views))
        chosen = [views[round(i * (len(views) - 1) / max(1, count - 1))] for i in range(count)]
        model = self.snapshot()
        background = self._scene.background
        options = RenderOptions(background=background or (0.0, 0.0, 0.0))
        total = 0.0
        for view in chosen:
            camera = view.camera.fit_long_side(self._limits.long_side)
            truth = load_rgb8(view.image_path, camera.width, camera.height, background)
            color = np.clip(model.render(camera, options).color, 0.0, 1.0)
            mse = float(np.mean((color - truth.astype(np.float32) / 255.0) ** 2))
            total += -10.0 * math.log10(max(mse, 1e-12))
        return EvalEvent(self._step, self._seconds, total / count, count)
