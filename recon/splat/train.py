"""The training loop of splats."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from recon.dense import dense_points
from recon.errors import TrainingError
from recon.kernels.memory import typed_out_of_memory
from recon.kernels.ops import RasterOptions
from recon.kernels.registry import training_backend
from recon.scene import PosedScene, SparsePoints
from recon.splat import schedule
from recon.splat.checkpoint import METHOD, Position, load_checkpoint, save_checkpoint
from recon.splat.densify import Densifier, ErrorSplitter
from recon.splat.init import dense_effort, initial_rows, start_points
from recon.splat.lenses import Lenses
from recon.splat.model import SplatModel
from recon.splat.options import SplatOptions
from recon.splat.state import SplatState, morton_order
from recon.splat.targets import Target, TargetImages
from recon.training.checkpoint import newest_readable
from recon.training.loop import LoopTrainer, StepReport


class SplatTrainer(LoopTrainer):
    """Trains splats on a scene's training views; see `recon.model.Trainer`.

    Args:
        scene: what to train on. Held-out views are used for `EvalEvent` alone.
        options: see `SplatOptions`.
        checkpoint_dir: where checkpoints go, or None for none.
        resume: go on from the newest readable checkpoint there.
        densifier: how the set of splats changes; `ErrorSplitter` when None.

    Raises:
        BackendUnavailable: the backend asked for does not train here.
        TrainingError: no training views or no points, or too little memory on a GPU.
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
        count, alpha = len(scene.train_views), scene.background is not None
        options = options.for_photos(count, alpha=alpha).for_budget().for_length()
        super().__init__(scene, options, checkpoint_dir)
        self._options = options
        self._densifier = densifier or ErrorSplitter(
            options, Lenses.of(scene, self._backend.device)
        )
        self._generator = torch.Generator().manual_seed(options.seed)
        self._order: list[int] = []
        self._dropped = 0
        self._skipped = 0
        with typed_out_of_memory():
            if not (resume and self._resume()):
                self._start_from(scene.points)

    def _resume(self) -> bool:
        found = newest_readable(self._dir, METHOD, load_checkpoint, self._notices.append)
        if found is None:
            return False
        state, position = found
        self._state = state.to(self._backend.device)
        self._step, self._seconds = position.step, position.seconds
        self._first_count, self._order = position.first_count, position.order
        self._generator.set_state(position.generator)
        self._notices.append(f"resumed at step {self._step}")
        return True

    def _start_from(self, points: SparsePoints) -> None:
        rows = initial_rows(points, self._options, np.random.default_rng(self._options.seed))
        rows = rows[morton_order(rows[:, :3])].to(self._backend.device)
        self._state = SplatState.from_rows(rows)
        self._first_count = self._state.n

    def _densify_start(self) -> None:
        """Start from points on all surfaces; the sparse cloud served until now, for a look."""
        options, scene = self._options, self._scene
        if options.dense_share == 0 or (scene.background is not None and not options.dense_objects):
            return
        effort = dense_effort(options)
        photos = self._targets.small(effort.photos, effort.long_side)
        dense = dense_points(photos, scene.points.xyz, effort, stop=self._stop.is_set)
        if not self._stop.is_set():
            rng = np.random.default_rng([options.seed, 1])
            with self._lock:
                self._start_from(start_points(scene, dense, options, rng))

    @property
    def _size(self) -> int:
        return self._state.n

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

    def _prepare(self) -> None:
        threads = self._options.threads or os.cpu_count() or 1
        self._targets = TargetImages(
            self._scene, self._options.long_side, threads, self._backend.device
        )
        width, height = self._targets.full_size
        self._backend.require_memory(
            self._options.max_splats, width, height, self._targets.byte_count
        )
        self._engine = self._backend.engine()
        if self._step == 0:
            self._densify_start()

    def _mean_loss(self) -> float:
        """See `LoopTrainer`; waits for the device.

        Raises:
            TrainingError: it is not finite.
        """
        totals = self._engine.drain()
        self._dropped += totals.nonfinite
        self._skipped += totals.skipped
        mean = totals.loss_sum / max(1, totals.losses)
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss is not finite by step {self._step}",
                remedy="continue from the last checkpoint with another --seed",
            )
        return mean

    def _closing_notices(self) -> Iterator[str]:
        self._mean_loss()
        if self._skipped:
            yield f"{self._skipped} steps changed nothing, until the work memory had grown"
        if self._dropped:
            yield f"{self._dropped} gradients were not finite and were dropped along the way"

    def _work_left(self, done: float) -> float:
        """Steps get dearer as images and splats grow: the cost of a step is taken as proportional
        to its pixels, which the schedule knows."""

        def work(lo: float, hi: float) -> float:
            samples = 50
            points = (lo + (hi - lo) * (i + 0.5) / samples for i in range(samples))
            cost = (0.15 + schedule.image_factor(self._options, p) ** -2 for p in points)
            return (hi - lo) * sum(cost) / samples

        return work(done, 1.0) / work(0.0, done)

    def _train_step(self) -> StepReport:
        options, progress, state = self._options, self.progress, self._state
        engine, targets = self._engine, self._targets
        if not self._order:
            self._order = torch.randperm(len(targets), generator=self._generator).tolist()
        target = targets.get(self._order.pop(), schedule.image_factor(options, progress))
        background, image = self._background(target)
        degree = schedule.sh_degree(options, progress)
        engine.forward(
            state.blocks,
            state.n,
            target.view,
            RasterOptions(background, degree, options.antialias),
        )
        engine.loss(image, target.weight, options.ssim_weight)
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
        target_count = schedule.change_of_set(options, self._step, self._first_count, progress)
        if target_count is not None:
            self._densifier.update(state, target_count, self._generator)
        return StepReport(target.view.width, target.view.height)

    def _background(self, target: Target) -> tuple[tuple[float, float, float], torch.Tensor]:
        """What is behind everything in this step, and the photo on it."""
        background = self._scene.background
        if background is None:
            return (0.0, 0.0, 0.0), target.image
        color = torch.tensor(background)
        if self._options.random_background:
            color = torch.rand(3, generator=self._generator)
        red, green, blue = color.tolist()
        return (red, green, blue), target.on(color)

    def _save(self, folder: Path) -> Path:
        position = Position(
            step=self._step,
            seconds=self._seconds,
            first_count=self._first_count,
            order=list(self._order),
            generator=self._generator.get_state(),
        )
        return save_checkpoint(folder, self._state, position)
