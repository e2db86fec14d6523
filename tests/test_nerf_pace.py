"""How many rays steps take, with steps how long: by results that come at once, and by late ones."""

from __future__ import annotations

import pytest

pytest.importorskip("recon.kernels.native_field", reason="native kernels not built")
from recon.kernels.field_ops import StepResult
from recon.nerf import NerfOptions, schedule
from recon.nerf.pace import Pace, PastStep


def result_of(
    rays: int, coarseness: float, samples: float = 48.0, *, complete: bool = True
) -> StepResult:
    """A step through a scene in which a ray has so many samples at a coarseness of 1, of which one
    in four is live."""
    marched = round(rays * samples / coarseness)
    return StepResult(0.1, 0.1, marched, marched // 4, marched, complete)


def paces(lag: int, steps: int) -> list[tuple[int, float]]:
    """Rays and coarseness of each step of a training in that scene."""
    options, pace = NerfOptions(), Pace(schedule.FIRST_RAYS, 1.0)
    late: list[StepResult] = []
    given: list[tuple[int, float]] = []
    for _ in range(steps):
        given.append((pace.rays, pace.coarseness))
        late.append(result_of(pace.rays, pace.coarseness))
        pace.queued(late.pop(0) if len(late) > lag else None)
        for past in pace.due(lag):
            pace.follow(past, options, progress=0.0)
    return given


def test_results_at_once_are_followed_as_the_schedule_says() -> None:
    options = NerfOptions()
    rays, coarseness = schedule.FIRST_RAYS, 1.0
    for given in paces(0, 30):
        assert given == (rays, coarseness)
        result = result_of(rays, coarseness)
        coarseness = schedule.next_coarseness(options, coarseness, result.marched / rays, 0.0)
        rays = schedule.next_rays(schedule.batch(options, 0.0), rays, result.live)


@pytest.mark.parametrize("lag", [1, 4, 8])
def test_late_results_lead_to_the_same_pace_without_swinging(lag: int) -> None:
    options = NerfOptions()
    prompt, late = paces(0, 80), paces(lag, 80)
    assert late[: lag + 1] == [(schedule.FIRST_RAYS, 1.0)] * (lag + 1)
    rays = options.first_batch / (options.ray_samples / 4)
    for given in (prompt, late):
        assert given[-1][0] == pytest.approx(rays, rel=0.01)
        assert given[-1][1] == pytest.approx(48.0 / options.ray_samples, rel=0.01)
    assert max(rays for rays, _ in late) < 1.1 * rays
    assert max(coarseness for _, coarseness in late) < 1.02 * late[-1][1]


def test_a_step_that_found_no_room_changes_no_pace() -> None:
    pace = Pace(1000, 2.0)
    pace.follow(PastStep(10, 8.0, result_of(10, 8.0, complete=False)), NerfOptions(), 0.5)
    assert (pace.rays, pace.coarseness) == (1000, 2.0)


def test_a_pace_goes_on_from_the_steps_under_way() -> None:
    lag, options = 4, NerfOptions()
    past = [PastStep(512, 4.0, result_of(512, 4.0, samples)) for samples in range(200, 240, 10)]
    pace = Pace(600, 4.0, past)
    assert list(pace.due(lag)) == []
    pace.queued(None)
    (due,) = pace.due(lag)
    assert due == past[0]
    pace.follow(due, options, 0.0)
    pace.queued(None)
    assert list(pace.due(lag)) == [past[1]]
