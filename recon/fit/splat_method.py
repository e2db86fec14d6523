"""Splats, as `run_fit` knows them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from recon.errors import TrainingError
from recon.fit.backend import on_gpu
from recon.fit.estimate import Cost, Workload
from recon.fit.machine import usable_threads
from recon.fit.options import FitOptions
from recon.formats.splat_ply import write_splat_ply
from recon.model import RadianceModel, Trainer
from recon.scene import PosedScene
from recon.splat import SplatModel, SplatOptions, SplatTrainer, schedule, splat_preset

# Fields of SplatOptions that change how training runs, not what it makes.
_HOW = frozenset({"backend", "threads", "eval_every", "eval_views", "checkpoint_every"})

# Costs of training, from runs on an AVX2 server CPU: CPU seconds of a step, and bytes.
_STEP_CPU_SECONDS = 0.003
_CPU_SECONDS_PER_PIXEL = 1.5e-7
_CPU_SECONDS_PER_PIXEL_AND_SPLAT = 1.5e-12
_CPU_SECONDS_PER_SPLAT = 2e-7
_BASE_MEMORY = 600_000_000
_TARGET_BYTES_PER_PIXEL = 6
_WORK_BYTES_PER_PIXEL = 200
# Parameters, two moments and statistics; twice while the set of splats changes.
_MEMORY_PER_SPLAT = 3000
_CHECKPOINT_BYTES_PER_SPLAT = 720
_MODEL_BYTES_PER_SPLAT = 248
# The number of splats grows to its ceiling: what it is on average.
_MEAN_SPLATS = 0.8
_SAMPLES = 100


class SplatMethod:
    """See `recon.fit.parts.TrainableMethod`."""

    name = "splat"

    def plan(self, options: FitOptions, backend: str) -> SplatOptions:
        asked = {
            "steps": options.steps,
            "steps_per_photo": None if options.steps is None else 0,
            "object_steps_per_photo": None if options.steps is None else 0,
            "max_splats": options.max_splats,
            "time_budget": options.time_budget,
        }
        return dataclasses.replace(
            splat_preset(options.preset),
            long_side=options.resolution,
            seed=options.seed,
            threads=options.threads or usable_threads(),
            backend=backend,
            **{name: value for name, value in asked.items() if value is not None},
        )

    def identity(self, plan: SplatOptions) -> dict[str, Any]:
        return {k: v for k, v in dataclasses.asdict(plan).items() if k not in _HOW}

    def cost(self, plan: SplatOptions, work: Workload) -> Cost:
        plan = plan.for_photos(work.photos - work.held_out, alpha=work.alpha)
        pixels = work.megapixels * 1e6
        # Images start small and splats few; these are the averages over a training.
        rendered = _mean_image_share(plan) * pixels
        splats = _MEAN_SPLATS * plan.max_splats
        step = (
            _STEP_CPU_SECONDS
            + rendered * (_CPU_SECONDS_PER_PIXEL + splats * _CPU_SECONDS_PER_PIXEL_AND_SPLAT)
            + splats * _CPU_SECONDS_PER_SPLAT
        )
        seconds = plan.steps * step / work.threads
        if plan.time_budget is not None:
            seconds = min(seconds, plan.time_budget)
        checkpoint = plan.max_splats * _CHECKPOINT_BYTES_PER_SPLAT
        photos = work.photos * pixels * _TARGET_BYTES_PER_PIXEL
        return Cost(
            seconds=None if on_gpu(plan.backend) else seconds,
            memory=round(
                _BASE_MEMORY
                + photos
                + plan.max_splats * _MEMORY_PER_SPLAT
                + _WORK_BYTES_PER_PIXEL * pixels
            ),
            disk=2 * checkpoint + 2 * plan.max_splats * _MODEL_BYTES_PER_SPLAT,
        )

    def trainer(self, scene: PosedScene, plan: SplatOptions, checkpoints: Path) -> Trainer:
        return SplatTrainer(scene, plan, checkpoints, resume=True)

    def load(self, path: Path, backend: str) -> RadianceModel:
        return SplatModel.load(path, backend)

    def export(self, model: RadianceModel, path: Path) -> None:
        if not isinstance(model, SplatModel):
            raise TrainingError(f"a {model.method} model cannot be written as splats")
        write_splat_ply(path, model.to_cloud())


def _mean_image_share(plan: SplatOptions) -> float:
    """Pixels of a training image over those of a full one, on average over the schedule."""
    points = ((i + 0.5) / _SAMPLES for i in range(_SAMPLES))
    return sum(schedule.image_factor(plan, point) ** -2 for point in points) / _SAMPLES
