"""What the next step takes on, by what earlier ones had: how many rays, with steps how long."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from recon.kernels.field_engine import NativeFieldEngine
from recon.kernels.field_ops import StepResult
from recon.nerf import schedule
from recon.nerf.options import NerfOptions


@dataclass(frozen=True)
class PastStep:
    """A step that was queued, the rays and the factor of the step length that it was given, and
    what came of it."""

    rays: int
    coarseness: float
    result: StepResult


class Pace:
    """Follows the results of steps, on a GPU always those of the step a fixed number of steps ago:
    what a step is given does not depend on when results arrive, and the same training takes the
    same steps each time, interrupted or not.

    Args:
        rays: of the next step.
        coarseness: factor of its step length.
        under_way: steps that were queued before and not followed yet, oldest first.
    """

    def __init__(self, rays: int, coarseness: float, under_way: Iterable[PastStep] = ()) -> None:
        self.rays = rays
        self.coarseness = coarseness
        steps = tuple(under_way)
        self._given = deque((step.rays, step.coarseness) for step in steps)
        self._results = deque(step.result for step in steps)

    def queued(self, result: StepResult | None) -> None:
        """A step was queued with the present `rays` and `coarseness`.

        Args:
            result: what `NativeFieldEngine.train_step` returned.
        """
        self._given.append((self.rays, self.coarseness))
        if result is not None:
            self._results.append(result)

    def due(self, lag: int) -> Iterator[PastStep]:
        """The steps to follow now: all but the last `lag`."""
        while len(self._given) > lag:
            yield PastStep(*self._given.popleft(), self._results.popleft())

    def follow(self, step: PastStep, options: NerfOptions, progress: float) -> None:
        """Set rays and coarseness by a past step. One that found no room says nothing of them."""
        if not step.result.complete:
            return
        # What the last step must have had by this one's result: rates are all that an old result
        # tells, and following totals would overshoot.
        live = step.result.live * (self.rays / step.rays)
        per_ray = step.result.marched / step.rays * (step.coarseness / self.coarseness)
        self.coarseness = schedule.next_coarseness(options, self.coarseness, per_ray, progress)
        self.rays = schedule.next_rays(schedule.batch(options, progress), self.rays, live)

    def under_way(self, engine: NativeFieldEngine) -> tuple[PastStep, ...]:
        """The steps that were not followed yet; waits for them."""
        self._results.extend(engine.finish_steps())
        pairs = zip(self._given, self._results, strict=True)
        return tuple(PastStep(*given, result) for given, result in pairs)
