"""What changes over the course of training, as functions of progress in 0..1."""

from __future__ import annotations

import math

from recon.kernels import layout
from recon.kernels.layout import AdamSettings
from recon.splat.options import SplatOptions

# Factors by which images are shrunk, coarse to fine: steps of about sqrt(2) keep each change small.
_FACTORS = (8.0, 6.0, 4.0, 3.0, 2.0, 1.5, 1.0)
_PRUNE_EVERY = 5  # times `grow_every`, after growth


def image_factor(options: SplatOptions, progress: float) -> float:
    """How much smaller than their final size images are now.

    The number of pixels grows geometrically until `full_resolution_at`: coarse steps cost little
    and settle the large splats first (DashGaussian, Chen et al. 2025).
    """
    factors = [f for f in _FACTORS if f <= options.start_factor]
    if progress >= options.full_resolution_at or len(factors) == 1:
        return 1.0
    level = int(progress / options.full_resolution_at * (len(factors) - 1))
    return factors[min(level, len(factors) - 2)]


def sh_degree(options: SplatOptions, progress: float) -> int:
    """Highest SH degree in use."""
    return min(options.sh_degree, int(progress / options.sh_every))


def splat_target(options: SplatOptions, first: int, progress: float) -> int:
    """How many splats there should be by now, `first` having been there at the start."""
    span = options.grow_until - options.grow_from
    grown = 1.0 if span <= 0 else (progress - options.grow_from) / span
    grown = min(max(grown, 0.0), 1.0)
    # Square root: most splats come early, while there is time to train them.
    return round(first + (options.max_splats - first) * math.sqrt(grown))


def change_of_set(options: SplatOptions, step: int, first: int, progress: float) -> int | None:
    """After a step: how many splats there should be, where the set is to change now, else None.
    When growth has ended, splats are still pruned now and then (a target of 0)."""
    if progress < options.grow_from:
        return None
    if progress <= options.grow_until:
        due = step % options.grow_every == 0
        return splat_target(options, first, progress) if due else None
    return 0 if step % (_PRUNE_EVERY * options.grow_every) == 0 else None


def adam_settings(options: SplatOptions, progress: float) -> AdamSettings:
    """Adam's settings at a point of the training."""
    rates = options.rates
    decay = rates.final_factor**progress
    out = [0.0] * layout.ROWS
    means = rates.means * (rates.means_final / rates.means) ** progress
    out[layout.ROW_MEAN] = [means] * 3
    out[layout.ROW_QUAT] = [rates.quats * decay] * 4
    out[layout.ROW_LOG_SCALE] = [rates.log_scales * decay] * 3
    out[layout.ROW_OPACITY] = rates.logit_opacities * decay
    out[layout.ROW_SH] = [rates.sh0 * decay] * 3 + [rates.sh_rest * decay] * 45
    return AdamSettings(
        rates=tuple(out), opacity_reg=options.opacity_reg, scale_reg=options.scale_reg
    )
