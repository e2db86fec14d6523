"""What changes over the course of training, as functions of progress in 0..1."""

from __future__ import annotations

from recon.nerf.options import NerfOptions

# Rays of the first step, and the bounds for the others.
FIRST_RAYS = 512
_FEWEST, _MOST = 128, 1 << 16

# The occupancy grid is looked at every so many steps; densely at first, while it empties.
GRID_EVERY = 16
_GRID_WARM_STEPS = 256


def learning_rate(options: NerfOptions, progress: float) -> float:
    """Held, then falling exponentially: the noise of the last steps averages out."""
    falling = max(0.0, progress - options.rate_hold) / max(1e-6, 1.0 - options.rate_hold)
    return options.rate * options.rate_final ** min(falling, 1.0)


def step_length(options: NerfOptions, progress: float) -> float:
    """Long steps at first: rays are cheap, and there is no detail yet to miss."""
    left = max(0.0, 1.0 - progress / max(options.coarse_until, 1e-6))
    return options.step_length * options.coarse_factor**left


def next_rays(options: NerfOptions, rays: int, live: int) -> int:
    """Rays of the next step, from the samples with gradients that the last one had."""
    ratio = options.batch / max(1, live)
    return int(min(_MOST, max(_FEWEST, rays * min(2.0, max(0.5, ratio)) ** 0.5)))


def grid_rhythm(step: int) -> tuple[int, int, float]:
    """One in how many occupied cells is looked at, one in how many of all, and by how much what a
    cell remembers fades before."""
    return (1, 4, 0.95) if step < _GRID_WARM_STEPS else (4, 16, 0.8)
