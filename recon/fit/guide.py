"""Splats show a field where surfaces are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from recon.model import RadianceModel
from recon.nerf import NerfOptions
from recon.nerf.surfaces import Guide
from recon.scene import PosedScene
from recon.splat import SplatOptions, SplatTrainer, splat_preset

# Cells of the field's grid are pixels wide: neither small splats nor large images find more.
_SPLATS = 30_000
_LONG_SIDE = 480
_SHARE = 0.15  # of a budget of time


def guide_options(plan: NerfOptions) -> SplatOptions:
    """How splats are trained that show a field with these options its surfaces."""
    budget = plan.time_budget
    return replace(
        splat_preset("draft"),
        steps=plan.guide_steps,
        max_splats=_SPLATS,
        time_budget=None if budget is None else _SHARE * budget,
        long_side=min(plan.long_side or _LONG_SIDE, _LONG_SIDE),
        seed=plan.seed,
        threads=plan.threads,
        backend=plan.backend,
        eval_every=None,
    )


def splat_guide(scene: PosedScene, plan: NerfOptions) -> Guide | None:
    """A short splat training on the backend of the field; None where it has nothing to start from
    or is not wanted.

    Splats of the same run, finished or not, are never the guide: a field must come out the same
    whether other methods are trained beside it or not, and its time must be its own.
    """
    if plan.guide_steps == 0 or len(scene.points.xyz) == 0:
        return None

    def guide(stopped: Callable[[], bool]) -> RadianceModel | None:
        trainer = SplatTrainer(scene, guide_options(plan))
        for _ in trainer.run():
            if stopped():
                trainer.stop()
        return None if stopped() else trainer.snapshot()

    return guide
