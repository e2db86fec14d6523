"""The training loop of splats."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from recon.errors import FormatError, TrainingError
from recon.formats.images import load_rgb8
from recon.kernels.engine import SplatEngine
from recon.kernels.ops import RasterOptions
from recon.kernels.registry import training_backend
from recon.model import (
    CheckpointEvent,
    EvalEvent,
    FinishedEvent,
    NoticeEvent,
    RenderOptions,
    StepEvent,
    TrainEvent,
)
from recon.scene import PosedScene
from recon.splat import schedule
from recon.splat.checkpoint import Position, list_checkpoints, load_checkpoint, save_checkpoint
from recon.splat.densify import Densifier, ErrorSplitter
from recon.splat.init import initial_rows
from recon.splat.model import SplatModel
from recon.splat.options import SplatOptions
from recon.splat.state import SplatState, morton_order
from recon.splat.targets import TargetImages

_EVENT_EVERY = 0.25  # seconds


class SplatTrainer:
    """Trains splats on a scene's training views; see `recon.model.Trainer`.

    Args:
        scene: what to train on. Held-out views are used for `EvalEvent` alone.
        options: see `SplatOptions`.
        checkpoint_dir: where checkpoints go, or None for none.
        resume: go on from the newest readable checkpoint there.
        densifier: how the set of splats changes; `ErrorSplitter` when None.

    Raises:
        BackendUnavailable: the backend asked for does not train here.
        TrainingError: no training views or no points.
    """

    def __init__(
        self,
        scene: PosedScene,
        options: SplatOptions,
        checkpoint_dir: Path | None = None,
        *,
        resume: bool = True,
        densifier: Densifier | None = None,
    ) -> None:
        self._backend = training_backend(options.backend)
        self._backend.set_threads(options.threads)
        self._scene = scene
        self._options = options
        self._dir = checkpoint_dir
        self._densifier = densifier or ErrorSplitter(options)
        self._stop = threading.Event()
        self._lock = threading.Lock()  # guards the state between steps
        self._notices: list[str] = []
        self._generator = torch.Generator().manual_seed(options.seed)
        self._step = 0
        self._seconds = 0.0
        self._order: list[int] = []
        self._dropped = 0
        self._skipped = 0
        if not (resume and self._resume()):
            rows = initial_rows(scene, options, np.random.default_rng(options.seed))
            rows = rows[morton_order(rows[:, :3])].to(self._backend.device)
            self._state = SplatState.from_rows(rows)
            self._first_count = self._state.n

    def _resume(self) -> bool:
        if self._dir is None:
            return False
        for path in reversed(list_checkpoints(self._dir)):
            try:
                state, position = load_checkpoint(path)
            except FormatError as error:
                self._notices.append(f"skipped a checkpoint: {error}")
                continue
            self._state = state.to(self._backend.device)
            self._step, self._seconds = position.step, position.seconds
            self._first_count, self._order = position.first_count, position.order
            self._generator.set_state(position.generator)
            self._notices.append(f"resumed at step {self._step}")
            return True
        return False

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0..1: of the steps or of the time budget."""
        done = self._step / self._options.steps
        if self._options.time_budget is not None:
            done = max(done, self._seconds / self._options.time_budget)
        return min(done, 1.0)

    def stop(self) -> None:
        """See `recon.model.Trainer`."""
        self._stop.set()

    def snapshot(self) -> SplatModel:
        """A copy of the model as it is now."""
        with self._lock:
            rows = self._state.rows()
            degree = schedule.sh_degree(self._options, self.progress)
        return SplatModel(
            rows,
            sh_degree=max(degree, 0),
            antialias=self._options.antialias,
            backend=self._options.backend,
        )

    def run(self) -> Iterator[TrainEvent]:
        """See `recon.model.Trainer`.

        Raises:
            TrainingError: the loss is no longer finite.
        """
        for text in self._notices:
            yield NoticeEvent(self._step, text)
        self._notices.clear()
        options = self._options
        clock = _Clock(self._seconds)
        threads = options.threads or os.cpu_count() or 1
        targets = TargetImages(self._scene, options.long_side, threads, self._backend.device)
        engine = self._backend.engine()
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
                width, height = self._train_step(engine, targets)
                self._seconds = clock.seconds()
            now = self._seconds
            if now - last_event >= _EVENT_EVERY:
                mean = self._mean_loss(engine)
                now = self._seconds = clock.seconds()  # a GPU was waited for
                rate = (self._step - last_event_step) / (now - last_event)
                if math.isfinite(rate) and rate > 0:
                    yield StepEvent(
                        step=self._step,
                        total_steps=self._planned_steps(rate),
                        seconds=now,
                        steps_per_second=rate,
                        loss=mean,
                        size=self._state.n,
                        width=width,
                        height=height,
                        eta_seconds=self._eta(now),
                    )
                last_event, last_event_step = now, self._step
            if now >= next_eval and self._scene.test_views:
                with clock.paused():
                    yield self._evaluate()
                next_eval = now + eval_every
            if self._dir is not None and now >= next_checkpoint:
                yield self._checkpoint()
                next_checkpoint = clock.seconds() + options.checkpoint_every
        else:
            if options.time_budget is not None and self._step < options.steps:
                reason = "time"
        self._mean_loss(engine)
        self._seconds = clock.seconds()
        if self._skipped:
            yield NoticeEvent(
                self._step,
                f"{self._skipped} steps changed nothing, until the work memory had grown",
            )
        if self._dropped:
            yield NoticeEvent(
                self._step,
                f"{self._dropped} gradients were not finite and were dropped along the way",
            )
        if self._dir is not None:
            yield self._checkpoint()
        yield FinishedEvent(self._step, self._seconds, reason)

    def _mean_loss(self, engine: SplatEngine) -> float:
        """Mean loss since it was last asked for; waits for the device.

        Raises:
            TrainingError: it is not finite.
        """
        totals = engine.drain()
        self._dropped += totals.nonfinite
        self._skipped += totals.skipped
        mean = totals.loss_sum / max(1, totals.losses)
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss is not finite by step {self._step}",
                remedy="continue from the last checkpoint with another --seed",
            )
        return mean

    def _planned_steps(self, rate: float) -> int:
        budget = self._options.time_budget
        if budget is None:
            return self._options.steps
        left = max(0.0, budget - self._seconds)
        return min(self._options.steps, self._step + round(left * rate))

    def _eta(self, now: float) -> float:
        """Seconds left. Steps get dearer as images and splats grow: the cost of a step is taken as
        proportional to its pixels, which the schedule knows."""
        options = self._options
        done = self.progress
        if options.time_budget is not None and now / options.time_budget >= done:
            return max(0.0, options.time_budget - now)

        def work(lo: float, hi: float) -> float:
            samples = 50
            points = (lo + (hi - lo) * (i + 0.5) / samples for i in range(samples))
            return (
                (hi - lo)
                * sum(0.15 + schedule.image_factor(options, p) ** -2 for p in points)
                / samples
            )

        past = work(0.0, done)
        return 0.0 if past <= 0 else now * work(done, 1.0) / past

    def _train_step(self, engine: SplatEngine, targets: TargetImages) -> tuple[int, int]:
        options, progress, state = self._options, self.progress, self._state
        if not self._order:
            self._order = torch.randperm(len(targets), generator=self._generator).tolist()
        target = targets.get(self._order.pop(), schedule.image_factor(options, progress))
        background = self._scene.background or (0.0, 0.0, 0.0)
        degree = schedule.sh_degree(options, progress)
        engine.forward(
            state.blocks,
            state.n,
            target.view,
            RasterOptions(background, degree, options.antialias),
        )
        engine.loss(target.image, target.weight, options.ssim_weight)
        engine.backward()
        self._step += 1
        engine.adam(
            state.blocks,
            state.first,
            state.second,
            self._step,
            schedule.adam_settings(options, progress),
            state.stats,
        )
        if (
            self._step % options.grow_every == 0
            and options.grow_from <= progress <= options.grow_until
        ):
            target_count = schedule.splat_target(options, self._first_count, progress)
            self._densifier.update(state, target_count, self._generator)
        return target.view.width, target.view.height

    def _checkpoint(self) -> CheckpointEvent:
        assert self._dir is not None
        position = Position(
            step=self._step,
            seconds=self._seconds,
            first_count=self._first_count,
            order=list(self._order),
            generator=self._generator.get_state(),
        )
        path = save_checkpoint(self._dir, self._state, position)
        return CheckpointEvent(self._step, self._seconds, path)

    def _evaluate(self) -> EvalEvent:
        """Mean PSNR over a few held-out views, spread over all."""
        views = self._scene.test_views
        count = min(self._options.eval_views, len(views))
        chosen = [views[round(i * (len(views) - 1) / max(1, count - 1))] for i in range(count)]
        model = self.snapshot()
        background = self._scene.background
        options = RenderOptions(background=background or (0.0, 0.0, 0.0))
        total = 0.0
        for view in chosen:
            camera = view.camera.fit_long_side(self._options.long_side)
            truth = load_rgb8(view.image_path, camera.width, camera.height, background)
            color = np.clip(model.render(camera, options).color, 0.0, 1.0)
            mse = float(np.mean((color - truth.astype(np.float32) / 255.0) ** 2))
            total += -10.0 * math.log10(max(mse, 1e-12))
        return EvalEvent(self._step, self._seconds, total / count, count)


class _Clock:
    """Training time: starts at what was used before, and can be paused."""

    def __init__(self, before: float) -> None:
        self._start = time.perf_counter() - before

    def seconds(self) -> float:
        return time.perf_counter() - self._start

    def paused(self) -> _Pause:
        return _Pause(self)

    def skip(self, seconds: float) -> None:
        self._start += seconds


class _Pause:
    def __init__(self, clock: _Clock) -> None:
        self._clock = clock

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._clock.skip(time.perf_counter() - self._began)
