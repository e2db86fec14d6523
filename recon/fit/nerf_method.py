"""NeRF, as `run_fit` knows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from recon.fit.backend import on_gpu
from recon.fit.estimate import Cost, Workload
from recon.fit.guide import guide_options, splat_guide
from recon.fit.machine import usable_threads
from recon.fit.options import FitOptions
from recon.fit.splat_method import SplatMethod
from recon.kernels.field_ops import FEATURES, LEVELS, RECORD
from recon.model import RadianceModel, Trainer
from recon.nerf import NerfModel, NerfOptions, NerfTrainer, nerf_preset, schedule
from recon.scene import PosedScene

# Fields of NerfOptions that change how training runs, not what it makes.
_HOW = frozenset({"backend", "threads", "eval_every", "eval_views", "checkpoint_every"})

# Costs of training, from runs on an AVX2 server CPU: CPU seconds of a sample that has gradients,
# with those that were looked at and had none, and the entries of tables that it touches.
_CPU_SECONDS_PER_SAMPLE = 3.2e-6
_POINTS = 20  # of the schedule, for a mean
_BASE_MEMORY = 700_000_000
_PHOTO_BYTES_PER_PIXEL = 4
# Records of entries and their rounded copies; gradients of a level for each thread; rows of
# samples between the stages of a step.
_STATE_BYTES_PER_ENTRY = 4 * RECORD + 2 * FEATURES
_WORK_BYTES_PER_SAMPLE = 600
_CHECKPOINT_BYTES_PER_ENTRY = 4 * RECORD
_MODEL_BYTES_PER_ENTRY = 2 * FEATURES


class NerfMethod:
    """See `recon.fit.parts.TrainableMethod`."""

    name = "nerf"

    def plan(self, options: FitOptions, backend: str) -> NerfOptions:
        asked = {"steps": options.steps, "time_budget": options.time_budget}
        return dataclasses.replace(
            nerf_preset(options.preset),
            long_side=options.resolution,
            seed=options.seed,
            threads=options.threads or usable_threads(),
            backend=backend,
            **{name: value for name, value in asked.items() if value is not None},
        )

    def identity(self, plan: NerfOptions) -> dict[str, Any]:
        return {k: v for k, v in dataclasses.asdict(plan).items() if k not in _HOW}

    def cost(self, plan: NerfOptions, work: Workload) -> Cost:
        entries = LEVELS << plan.log2_table  # a little less: coarse levels are smaller
        samples = sum(schedule.batch(plan, (i + 0.5) / _POINTS) for i in range(_POINTS)) / _POINTS
        seconds = plan.steps * samples * _CPU_SECONDS_PER_SAMPLE / work.threads
        seconds += _guide_seconds(plan, work)
        if plan.time_budget is not None:
            seconds = min(seconds, plan.time_budget)
        level = (4 * FEATURES << plan.log2_table) * work.threads
        photos = work.photos * work.megapixels * 1e6 * _PHOTO_BYTES_PER_PIXEL
        return Cost(
            seconds=None if on_gpu(plan.backend) else seconds,
            memory=round(
                _BASE_MEMORY
                + photos
                + entries * _STATE_BYTES_PER_ENTRY
                + level
                + plan.batch * _WORK_BYTES_PER_SAMPLE
            ),
            disk=2 * entries * _CHECKPOINT_BYTES_PER_ENTRY + entries * _MODEL_BYTES_PER_ENTRY,
        )

    def trainer(self, scene: PosedScene, plan: NerfOptions, checkpoints: Path) -> Trainer:
        guide = splat_guide(scene, plan)
        return NerfTrainer(scene, plan, checkpoints, resume=True, guide=guide)

    def load(self, path: Path, backend: str) -> RadianceModel:
        return NerfModel.load(path, backend)

    def export(self, model: RadianceModel, path: Path) -> None:
        """No other program reads a field: nothing to write."""


def _guide_seconds(plan: NerfOptions, work: Workload) -> float:
    """Of the splats that look for surfaces; see `recon.fit.guide`."""
    if plan.guide_steps == 0 or work.alpha or on_gpu(plan.backend):
        return 0.0
    options = guide_options(plan)
    assert options.long_side is not None
    scale = min(1.0, options.long_side / max(work.width, work.height))
    small = dataclasses.replace(
        work, width=round(work.width * scale), height=round(work.height * scale)
    )
    return SplatMethod().cost(options, small).seconds or 0.0
