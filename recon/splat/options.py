"""The dials of splat training and the presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from recon.errors import OptionError
from recon.training.options import check_common, choose_preset

Preset = Literal["draft", "standard", "high"]


@dataclass(frozen=True)
class LearningRates:
    """Adam's rates. Rates marked "final" are reached exponentially at the end of training, the
    others fall by `final_factor`.

    The defaults of Kerbl et al. 2023, raised where a few thousand steps must do: see
    docs/performance.md.
    """

    means: float = 1e-3
    means_final: float = 1e-5
    quats: float = 2e-3
    log_scales: float = 4e-2
    logit_opacities: float = 0.15
    sh0: float = 5e-3
    sh_rest: float = 1e-3
    final_factor: float = 0.2

    def for_steps(self, count: int) -> LearningRates:
        """The same for a training of so many steps: what brings a few thousand far tears a model
        of many more apart."""
        factor = min(1.0, _SHORT / max(1, count)) ** _GENTLER
        return replace(
            self,
            means=factor * self.means,
            means_final=factor * self.means_final,
            log_scales=factor * self.log_scales,
            logit_opacities=factor * self.logit_opacities,
            sh_rest=factor * self.sh_rest,
        )


@dataclass(frozen=True)
class SplatOptions:
    """Everything that decides how splats are trained.

    Schedules are functions of progress, 0 at the first step and 1 at the last, so that they fit
    any number of steps and a budget of time.

    Attributes:
        steps: training steps (one view each), at least.
        steps_per_photo: so many for each training photo where that is more; 0 for `steps` alone.
            More would learn the photos by heart.
        object_steps_per_photo: the same for photos with alpha: what they say of the empty space
            around the object leaves less to guess, and steps help for longer.
        most_steps: what these two come to at most.
        max_splats: splats grow towards this number and never beyond.
        time_budget: seconds of training, or None. Progress then follows whichever of steps and
            time is ahead: schedules complete within the budget.
        long_side: longest side of the training images at the end, pixels; None for the photos' own.
        start_factor: images are smaller by this factor at first; by 4 at least where the budget is
            under 12 seconds.
        full_resolution_at: progress at which the full resolution is reached.
        grow_from, grow_until: progress between which splats are added; they are pruned to the end.
        grow_every: steps between changes of the set of splats; five times as many after growth.
        sh_degree: of the view-dependent colour, 0 to 3.
        sh_every: progress between raising the SH degree by one.
        antialias: opacity compensation (Mip-Splatting); such models need a viewer that knows it.
        random_background: photos with alpha have another colour behind them in each step, so that
            nothing in the colour of one background can stand in for emptiness.
        ssim_weight: weight of D-SSIM against L1.
        dense_share: share of `max_splats` that training starts with, from a dense cloud where the
            sparse one has fewer; 0, as with a budget under 12 seconds, for the sparse cloud alone.
        dense_objects: the same for photos with alpha, whose sparse cloud is the object's visual
            hull; without, that serves alone.
        init_opacity: of the first splats.
        opacity_reg, scale_reg: weights of mean opacity and mean scale in the loss.
        object_reg: factor of both for photos with alpha, which say themselves what is empty.
        prune_opacity: splats under it are removed when the set changes.
        rates: see `LearningRates`; those of long trainings are lower.
        seed: of everything random.
        threads: 0 for one a core.
        backend: which kernels.
        eval_every: seconds of training between tests on held-out views, None for never.
        eval_views: how many held-out views such a test uses, spread over all.
        checkpoint_every: seconds of training between checkpoints.
    """

    steps: int = 3000
    steps_per_photo: int = 0
    object_steps_per_photo: int = 0
    most_steps: int = 30_000
    max_splats: int = 100_000
    time_budget: float | None = None
    long_side: int | None = 960
    start_factor: float = 2.0
    full_resolution_at: float = 0.6
    grow_from: float = 0.02
    grow_until: float = 0.5
    grow_every: int = 100
    sh_degree: int = 3
    sh_every: float = 0.1
    antialias: bool = False
    random_background: bool = True
    ssim_weight: float = 0.2
    dense_share: float = 0.25
    dense_objects: bool = True
    init_opacity: float = 0.3
    opacity_reg: float = 0.01
    scale_reg: float = 0.01
    object_reg: float = 0.2
    prune_opacity: float = 0.01
    rates: LearningRates = LearningRates()
    seed: int = 0
    threads: int = 0
    backend: str = "native_cpu"
    eval_every: float | None = 10.0
    eval_views: int = 4
    checkpoint_every: float = 30.0

    def __post_init__(self) -> None:
        check_common(self.steps, self.time_budget, self.long_side)
        if self.max_splats < 1:
            raise OptionError(f"max splats must be at least 1, not {self.max_splats}")
        if not 0 <= self.sh_degree <= 3:
            raise OptionError(f"the SH degree must be 0 to 3, not {self.sh_degree}")
        if not 0 <= self.dense_share <= 1:
            raise OptionError(f"the dense share must be 0 to 1, not {self.dense_share}")
        if self.start_factor < 1:
            raise OptionError(f"the start factor must be at least 1, not {self.start_factor}")

    def for_photos(self, count: int, *, alpha: bool) -> SplatOptions:
        """The same with what so many training photos, with or without alpha, get."""
        each = self.object_steps_per_photo if alpha else self.steps_per_photo
        weight = self.object_reg if alpha else 1.0
        return replace(
            self,
            steps=max(self.steps, min(each * count, self.most_steps)),
            steps_per_photo=0,
            object_steps_per_photo=0,
            opacity_reg=weight * self.opacity_reg,
            scale_reg=weight * self.scale_reg,
            object_reg=1.0,
        )

    def for_budget(self) -> SplatOptions:
        """The same as the budget allows: a few seconds leave no time for a dense cloud,
        and coarse images bring more."""
        if self.time_budget is None or self.time_budget >= _HURRY:
            return self
        return replace(self, dense_share=0.0, start_factor=max(self.start_factor, 4.0))

    def for_length(self) -> SplatOptions:
        """The same with rates that suit the number of steps, as far as it is known: what a GPU
        does within a budget is not."""
        steps = self.steps
        if self.time_budget is not None and self.backend == "native_cpu":
            steps = min(steps, round(self.time_budget * _STEPS_A_SECOND))
        return replace(self, rates=self.rates.for_steps(steps))


_HURRY = 12.0  # seconds
_STEPS_A_SECOND = 15  # roughly, on two cores, in a training that is long enough to matter

# Trainings up to so many steps bear the rates as they are; in longer ones they fall with this
# power of the number of steps.
_SHORT, _GENTLER = 7000, 1.3

# Long trainings find an object's surfaces better from its hull and through coarser images.
_LONG = SplatOptions(start_factor=4.0, dense_objects=False)
_PRESETS: dict[str, SplatOptions] = {
    "draft": SplatOptions(steps=2000, max_splats=50_000),
    "standard": replace(
        _LONG,
        steps=3500,
        steps_per_photo=80,
        object_steps_per_photo=80,
        most_steps=7000,
        max_splats=150_000,
    ),
    "high": replace(
        _LONG,
        steps=4000,
        steps_per_photo=100,
        object_steps_per_photo=200,
        max_splats=300_000,
        start_factor=2.0,
        full_resolution_at=0.4,
    ),
}


def splat_preset(name: str) -> SplatOptions:
    """The options of a preset.

    Raises:
        OptionError: there is no such preset.
    """
    return choose_preset(_PRESETS, name)
