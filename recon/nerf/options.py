"""The dials of NeRF training and the presets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from recon.errors import OptionError
from recon.training.options import check_common, choose_preset


@dataclass(frozen=True)
class NerfOptions:
    """Everything that decides how a field is trained.

    Schedules are functions of progress, 0 at the first step and 1 at the last, so that they fit
    any number of steps and a budget of time. What was measured stands in docs/nerf.md.

    Attributes:
        steps: training steps.
        time_budget: seconds of training, or None; progress then follows whichever of steps and time
            is ahead.
        long_side: longest side of the training images, pixels; None for the photos' own.
        log2_table: power of two of the entries of a hash table.
        base, finest: cells of the coarsest and the finest grid along a side of the scene.
        grid, open_grid: cells of the occupancy grid along a side, for photos with and without
            alpha: in the open, surfaces that are found first fit them more closely.
        first_batch, batch: samples with gradients that a step aims at, at first and at the end; the
            number of rays follows.
        step_length: of marching, box units (the box around what matters is 2 wide).
        coarse_factor: the most by which steps are longer while the scene is still fog, at first...
        fine_from: ...falling to 1 at this progress: long steps keep fog, and fog keeps steps long.
        fine_factor: steps are this much of their length in the end, when what rays meet is thin...
        finest_from: ...from this progress on: earlier, more rays bring more.
        open_factor, open_from: the same two for photos without alpha, whose rays meet more and
            pictures take longer.
        ray_samples: samples of a ray that longer steps aim at.
        cone: growth of steps with distance in unbounded scenes (radians).
        rate: learning rate of tables.
        mlp_rate: learning rate of networks.
        rate_final: factor that it falls to, exponentially...
        rate_hold: ...after this progress.
        huber_delta: where the loss turns from quadratic to linear.
        distortion: weight of how far apart the samples of a ray lie that it is made of (Barron et
            al. 2022, eq. 15).
        detail: the part of the rays that goes where photos have detail, the others anywhere; see
            `recon.nerf.detail`.
        spread: part of a pixel's width and height, around its middle, that rays go through. More
            than 0 softens pictures in the end.
        guide_steps: steps of a splat training that finds the surfaces of an unbounded scene first,
            0 for none; see `recon.nerf.surfaces`. Photos with alpha have their visual hull.
        exposure: one learned gain a photo and channel.
        density_bias: added to the exponent of the density.
        min_weight: samples with less blending weight have no colour.
        min_transmittance: rays end where less light than this comes through.
        seed: of everything random.
        threads: 0 for one a core.
        backend: which kernels.
        eval_every, eval_views, checkpoint_every: as for splats, seconds.
    """

    steps: int = 20_000
    time_budget: float | None = None
    long_side: int | None = 960
    log2_table: int = 19
    base: int = 16
    finest: int = 2048
    grid: int = 128
    open_grid: int = 256
    first_batch: int = 1 << 12
    batch: int = 1 << 14
    step_length: float = 2 * 3**0.5 / 512
    coarse_factor: float = 8.0
    fine_from: float = 0.4
    fine_factor: float = 0.5
    finest_from: float = 0.6
    open_factor: float = 0.7
    open_from: float = 0.8
    ray_samples: int = 8
    cone: float = 1 / 128
    rate: float = 2e-2
    mlp_rate: float = 5e-3
    rate_final: float = 0.03
    rate_hold: float = 0.6
    huber_delta: float = 1.0
    distortion: float = 0.01
    detail: float = 0.9
    spread: float = 0.0
    guide_steps: int = 800
    exposure: bool = False
    density_bias: float = 0.0
    min_weight: float = 4e-3
    min_transmittance: float = 1e-3
    seed: int = 0
    threads: int = 0
    backend: str = "native_cpu"
    eval_every: float | None = 10.0
    eval_views: int = 4
    checkpoint_every: float = 60.0

    def __post_init__(self) -> None:
        check_common(self.steps, self.time_budget, self.long_side)
        if not 1 << 8 <= self.first_batch <= self.batch <= 1 << 22:
            raise OptionError(
                f"batches of {self.first_batch} to {self.batch} samples are out of range "
                "(256 to 4194304, not falling)"
            )
        if not (self.step_length > 0 and self.coarse_factor >= 1 and self.ray_samples >= 1):
            raise OptionError("step length, coarse factor or samples of a ray are out of range")
        finest_from = min(1.0, self.finest_from, self.open_from)
        factors = (self.fine_factor, self.open_factor)
        if not (0 < self.fine_from <= finest_from and 0 < min(factors) <= max(factors) <= 1):
            raise OptionError("progress or factor of fine steps is out of range")
        if not 0 <= self.min_transmittance < 1:
            raise OptionError(f"transmittance is out of range: {self.min_transmittance}")
        if self.guide_steps < 0:
            raise OptionError(f"guide steps must not be negative: {self.guide_steps}")
        if not 0 <= self.distortion < math.inf:
            raise OptionError(f"the weight of distortion is out of range: {self.distortion}")
        if not 0 <= self.detail < 1:
            raise OptionError(
                f"the part of rays that follows detail must be 0 to less than 1, not {self.detail}"
            )
        if not 0 <= self.spread <= 1:
            raise OptionError(
                f"rays must go through their pixel: spread is 0 to 1, not {self.spread}"
            )
        if not (self.rate > 0 and self.mlp_rate > 0):
            raise OptionError("learning rates must be positive")

    def for_photos(self, *, alpha: bool) -> NerfOptions:
        """The same for photos with or without alpha: `grid`, `fine_factor` and `finest_from` are
        what applies."""
        if alpha:
            return self
        return replace(
            self, grid=self.open_grid, fine_factor=self.open_factor, finest_from=self.open_from
        )


_PRESETS: dict[str, NerfOptions] = {
    "draft": NerfOptions(steps=7000, log2_table=17, open_grid=128),
    "standard": NerfOptions(steps=36_000),
    "high": NerfOptions(
        steps=100_000, batch=1 << 15, log2_table=20, fine_factor=0.3, open_factor=0.5
    ),
}


def nerf_preset(name: str) -> NerfOptions:
    """The options of a preset.

    Raises:
        OptionError: there is no such preset.
    """
    return choose_preset(_PRESETS, name)
