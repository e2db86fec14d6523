"""What the kernels of a hash-grid field compute: the semantics that all of them share.

Mueller et al., "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", 2022.
`recon.nerf.reference` says the same in torch, `recon/math/field.h` for one element in C++.

1. Box space: `p = (x - centre) / half`; the region of interest is [-1, 1]^3. Distances along rays
   are in box units too. A contracted field holds all of space: with `m = max |p_i|`, p stays where
   m <= 1 and becomes `p (2 - 1/m) / m` beyond (Barron et al., "Mip-NeRF 360", 2022, in the maximum
   norm), within [-2, 2]^3. The unit cube is what remains, moved and scaled to [0, 1]^3.
2. Encoding: on each of LEVELS grids of the unit cube, the trilinear mean of the FEATURES numbers at
   the corners of the cell. Levels whose vertices fit the table have an entry a vertex, others are
   hashed with the paper's primes. Tables are read in half precision. Levels that are not in use
   yet give 0.
3. Density: encoding -> HIDDEN, ReLU -> GEOMETRY; `raw` is the first of these plus `density_bias`;
   `density = exp(min(raw, 15))` in box units, with `exp(clamp(raw, -15, 15))` as its derivative.
4. Colour: (geometry, spherical harmonics to degree 3 of the ray's unit direction) -> HIDDEN, ReLU
   -> HIDDEN, ReLU -> 3, sigmoid. No layer has a bias.
5. Marching: distances `t_0 = near`, `t_(k+1) = t_k + d_k` below `far` with
   `d = max(shortest, cone t) max(1, t / 4)`. A ray samples `t_k + jitter d_k` for those k whose
   point lies in an occupied cell of the grid. A view may leave out those at less than some z-depth;
   its rays have the march's `phase` as their jitter.
6. Compositing: `alpha = 1 - exp(-density d)`, `w = T alpha`, `T <- T - w`. A sample that begins
   with `T < min_transmittance` does not exist; one with `w <= min_weight` dims what is behind it
   but has no colour, and passes no gradient.
7. `color = gain sum(w c) + T background`; the loss is the mean, over rays and channels, of the
   Huber loss of its difference to the photo over the same background. Rays go through the
   middles of pixels or through random points of them, where the photo is linear between middles; a
   ray of a tile that is picked more often than its area says counts by the inverse. Added to it
   may be the rays' mean distortion
   `sum_ij w_i w_j |s_i - s_j| + sum_i w_i^2 d_i / (1 + t_i)^2 / 3` over samples that have a
   colour, `s = t / (1 + t)` (Barron et al. 2022, eq. 15): fog costs, surfaces do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.errors import OptionError

LEVELS = 8
FEATURES = 4
HIDDEN = 64
GEOMETRY = 16
SPHERE = 16
COLOR_OUT = 8
RECORD = 16
PHOTO_TILE = 8  # pixels a side
FAR_FROM = 4.0
MAX_EXPONENT = 15.0
PRIMES = (1, 2654435761, 805459861)


def photo_tiles(width: int, height: int) -> int:
    """How many tiles a photo has, with those that its border cuts off."""
    return -(-width // PHOTO_TILE) * -(-height // PHOTO_TILE)


@dataclass(frozen=True)
class FieldShape:
    """Where a field lies and how fine it is.

    Attributes:
        base, finest: cells a side of the unit cube on the first and on the last level; the ones
            between grow geometrically.
        log2_table: hash tables have this power of two of entries.
        grid: cells a side of the occupancy grid, a multiple of 32.
        contracted: whether the field holds all of space or the box alone.
        centre, half: of the box, scene units.
        density_bias: added to the density's exponent.
    """

    base: int = 16
    finest: int = 2048
    log2_table: int = 19
    grid: int = 128
    contracted: bool = True
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    half: float = 1.0
    density_bias: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.base <= self.finest <= 1 << 16:
            raise OptionError(f"grids of {self.base} to {self.finest} cells are out of range")
        if not 4 <= self.log2_table <= 22:
            raise OptionError(f"tables of 2^{self.log2_table} entries are out of range (4 to 22)")
        if self.grid % 32 != 0 or not 32 <= self.grid <= 512:
            raise OptionError(f"an occupancy grid of {self.grid} cells is out of range")
        if not (np.isfinite([*self.centre, self.half, self.density_bias]).all() and self.half > 0):
            raise OptionError("the box of a field must be finite and not empty")

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Cells a side on each level."""
        growth = (self.finest / self.base) ** (1 / (LEVELS - 1))
        return tuple(round(self.base * growth**level) for level in range(LEVELS))

    @property
    def dense(self) -> tuple[bool, ...]:
        """Whether a level has an entry for each vertex."""
        return tuple((r + 1) ** 3 <= 1 << self.log2_table for r in self.resolutions)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First entry of each level; then the number of all."""
        out = [0]
        for resolution, dense in zip(self.resolutions, self.dense, strict=True):
            out.append(out[-1] + ((resolution + 1) ** 3 if dense else 1 << self.log2_table))
        return tuple(out)

    @property
    def entries(self) -> int:
        """Entries of all levels."""
        return self.offsets[-1]


# Layers as (inputs, outputs), in the order of the weights.
LAYERS: dict[str, tuple[int, int]] = {
    "density1": (LEVELS * FEATURES, HIDDEN),
    "density2": (HIDDEN, GEOMETRY),
    "color1": (GEOMETRY + SPHERE, HIDDEN),
    "color2": (HIDDEN, HIDDEN),
    "color3": (HIDDEN, COLOR_OUT),
}
WEIGHTS = sum(a * b for a, b in LAYERS.values())


@dataclass(frozen=True)
class March:
    """Where rays take samples and where they end: see points 5 and 6 above. Box units.

    `phase` is where in each step rays of a picture take their samples, 0..1: their jitter.
    """

    near: float
    far: float
    shortest: float
    cone: float = 0.0
    min_weight: float = 1e-4
    min_transmittance: float = 1e-4
    phase: float = 0.5


@dataclass(frozen=True)
class StepSettings:
    """One step of training.

    Attributes:
        seed, step: decide every random number; the first step is 1.
        rays: number of random rays.
        huber_delta: where the loss turns from quadratic to linear.
        distortion: weight of the distortion of rays in the loss.
        spread: part of a pixel's width and height, around its middle, that random rays go through:
            0 for its middle, 1 for all of it.
        background: behind the photos' transparent pixels and behind the field; None for another
            random colour for each ray.
        table_rate, mlp_rate, exposure_rate: learning rates.
        beta1, beta2, epsilon: of Adam.
        mlp_decay, exposure_decay: weights of half the squared norm in the loss.
    """

    seed: int
    step: int
    rays: int
    huber_delta: float = 0.1
    distortion: float = 0.0
    spread: float = 0.0
    background: tuple[float, float, float] | None = None
    table_rate: float = 1e-2
    mlp_rate: float = 1e-2
    exposure_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-15
    mlp_decay: float = 1e-6
    exposure_decay: float = 1e-4


@dataclass(frozen=True)
class StepResult:
    """What came of a step.

    Attributes:
        loss: as trained.
        error: mean squared error.
        marched: samples in front of the ends of their rays, on the CPU also the few that it
            evaluated behind.
        live: those of them with a colour and gradients.
        evaluated: samples whose density was evaluated, those behind the ends of rays too.
        complete: whether there was room for all samples, as there always is on the CPU. If not, the
            step changed nothing, `evaluated` and `live` are how many it wanted, as far as that is
            known, and the rest means nothing.
    """

    loss: float
    error: float
    marched: int
    live: int
    evaluated: int
    complete: bool = True
