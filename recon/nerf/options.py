"""The dials of NeRF training and the presets."""

from __future__ import annotations

from dataclasses import dataclass

from recon.errors import OptionError


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
        grid: cells of the occupancy grid along a side.
        batch: samples with gradients that a step aims at; the number of rays follows.
        step_length: of marching, box units (the box around what matters is 2 wide).
        coarse_factor: steps are longer by this factor at first...
        coarse_until: ...and have their length from this progress on.
        cone: growth of steps with distance in unbounded scenes (radians).
        rate: learning rate of tables and networks.
        rate_final: factor that it falls to, exponentially...
        rate_hold: ...after this progress.
        huber_delta: where the loss turns from quadratic to linear.
        exposure: one learned gain a photo and channel.
        density_bias: added to the exponent of the density.
        min_weight: samples with less blending weight have no colour.
        seed: of everything random.
        threads: 0 for one a core.
        backend: which kernels.
        eval_every, eval_views, checkpoint_every: as for splats, seconds.
    """

    steps: int = 6000
    time_budget: float | None = None
    long_side: int | None = 960
    log2_table: int = 19
    base: int = 16
    finest: int = 2048
    grid: int = 128
    batch: int = 1 << 16
    step_length: float = 2 * 3**0.5 / 1024
    coarse_factor: float = 4.0
    coarse_until: float = 0.2
    cone: float = 1 / 256
    rate: float = 2e-2
    rate_final: float = 0.03
    rate_hold: float = 0.6
    huber_delta: float = 0.1
    exposure: bool = False
    density_bias: float = -1.0
    min_weight: float = 1e-4
    seed: int = 0
    threads: int = 0
    backend: str = "native_cpu"
    eval_every: float | None = 10.0
    eval_views: int = 4
    checkpoint_every: float = 60.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise OptionError(f"steps must be at least 1, not {self.steps}")
        if self.time_budget is not None and self.time_budget <= 0:
            raise OptionError(f"the time budget must be positive, not {self.time_budget}")
        if self.long_side is not None and self.long_side < 16:
            raise OptionError(f"the resolution must be at least 16 pixels, not {self.long_side}")
        if not 1 << 8 <= self.batch <= 1 << 22:
            raise OptionError(f"a batch of {self.batch} samples is out of range (256 to 4194304)")
        if not (self.step_length > 0 and self.coarse_factor >= 1 and self.rate > 0):
            raise OptionError("step length, coarse factor and learning rate are out of range")


_PRESETS: dict[str, NerfOptions] = {
    "draft": NerfOptions(steps=1500),
    "standard": NerfOptions(steps=8000),
    "high": NerfOptions(steps=45_000, log2_table=20),
}


def nerf_preset(name: str) -> NerfOptions:
    """The options of a preset.

    Raises:
        OptionError: there is no such preset.
    """
    if name not in _PRESETS:
        raise OptionError(
            f"there is no preset {name!r}", remedy=f"choose one of {', '.join(_PRESETS)}"
        )
    return _PRESETS[name]
