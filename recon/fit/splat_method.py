"""Splats, as `run_fit` knows them."""

from __future__ import annotations

import dataclasses
from typing import Any

from recon.fit.machine import usable_threads
from recon.fit.options import FitOptions
from recon.splat import SplatOptions, splat_preset

# Fields of SplatOptions that change how training runs, not what it makes.
_HOW = frozenset({"backend", "threads", "eval_every", "eval_views", "checkpoint_every"})


class SplatMethod:
    """See `recon.fit.parts.TrainableMethod`."""

    name = "splat"

    def plan(self, options: FitOptions, backend: str) -> SplatOptions:
        asked = {
            "steps": options.steps,
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
