"""What changes over the course of training, as functions of progress in 0..1."""

from __future__ import annotations

from recon.nerf.options import NerfOptions

# Rays of the first step, and the bounds for the others.
FIRST_RAYS = 512
_FEWEST, MOST_RAYS = 128, 1 << 16

# The occupancy grid is looked at every so many steps; densely at first, while it empties.
GRID_EVERY = 16
_GRID_WARM_STEPS = 256


def learning_rate_factor(options: NerfOptions, progress: float) -> float:
    """Held, then falling exponentially: the noise of the last steps averages out."""
    falling = max(0.0, progress - options.rate_hold) / max(1e-6, 1.0 - options.rate_hold)
    return options.rate_final ** min(falling, 1.0)


def batch(options: NerfOptions, progress: float) -> float:
    """Samples with gradients: many quick steps at first, fewer with less noise at the end."""
    return options.first_batch * (options.batch / options.first_batch) ** progress


def next_rays(wanted: float, rays: int, live: float) -> int:
    """Rays of the next step, from the samples with gradients that the last one had."""
    ratio = wanted / max(1, live)
    return int(min(MOST_RAYS, max(_FEWEST, rays * min(2.0, max(0.5, ratio)) ** 0.5)))


def next_coarseness(
    options: NerfOptions, coarseness: float, per_ray: float, progress: float
) -> float:
    """The factor by which steps are longer, from the samples that rays had in the last step.

    A scene that is still fog would give each ray hundreds of samples; longer steps give many more
    rays for the same work. As the scene empties, steps shrink to their length; at the latest as
    their ceiling falls. The last ones are shorter still.
    """
    if progress >= options.finest_from:
        return options.fine_factor
    ratio = min(1.2, max(1 / 1.2, per_ray / options.ray_samples))
    falling = max(0.0, 1.0 - progress / options.fine_from)
    ceiling = options.coarse_factor**falling
    return min(ceiling, max(1.0, coarseness * ratio**0.5))


def grid_rhythm(step: int) -> tuple[int, int, float]:
    """One in how many occupied cells is looked at, one in how many of all, and by how much what a
    cell remembers fades before."""
    return (2, 8, 0.9) if step < _GRID_WARM_STEPS else (2, 16, 0.95)
