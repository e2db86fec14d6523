"""The training loop's clock: what listeners do between steps is no training time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from test_viewer_support import BallModel, ball_scene

from recon.model import EvalEvent, FinishedEvent, RadianceModel, StepEvent
from recon.training.loop import LoopTrainer, StepReport


@dataclass(frozen=True)
class Options:
    steps: int = 10_000
    time_budget: float | None = 1.2
    long_side: int | None = None
    eval_every: float | None = 0.5
    eval_views: int = 1
    checkpoint_every: float = 1e9


class Sleeper(LoopTrainer):
    """Each step takes ten milliseconds."""

    def snapshot(self) -> RadianceModel:
        return BallModel()

    @property
    def _size(self) -> int:
        return 1

    def _prepare(self) -> None: ...

    def _train_step(self) -> StepReport:
        time.sleep(0.01)
        self._step += 1
        return StepReport(8, 8, 0.1)

    def _save(self, folder: Path) -> Path:
        return folder


def test_a_listener_that_holds_training_up_costs_no_training_time(tmp_path: Path) -> None:
    trainer = Sleeper(ball_scene(tmp_path, count=4), Options(), None)
    held = 0.0
    rates: list[float] = []
    began = time.perf_counter()
    for event in trainer.run():
        if isinstance(event, StepEvent):
            rates.append(event.steps_per_second)
        if isinstance(event, StepEvent | EvalEvent):
            time.sleep(0.5)  # a pause
            held += 0.5
        if isinstance(event, FinishedEvent):
            finished = event
    wall = time.perf_counter() - began
    assert held > 2 * 1.2
    assert finished.reason == "time"
    assert 1.2 <= finished.seconds < wall - 0.9 * held
    # A pause does not look like slow steps either.
    assert max(rates) < 3 * min(rates)


class SlowToLookAt(Sleeper):
    """A snapshot takes a tenth of a second."""

    def snapshot(self) -> RadianceModel:
        time.sleep(0.1)
        return BallModel()


def test_evaluation_along_the_way_takes_a_small_part_of_the_time(tmp_path: Path) -> None:
    trainer = SlowToLookAt(
        ball_scene(tmp_path, count=4), Options(time_budget=2.0, eval_every=0.01), None
    )
    began = time.perf_counter()
    evaluations = [e for e in trainer.run() if isinstance(e, EvalEvent)]
    # One after 0.01 s, the next after nine times the length of the first, one at the end.
    assert len(evaluations) <= 2 + 2.0 / (9 * 0.1)
    assert time.perf_counter() - began < 3.5


class SlowToStart(Sleeper):
    """A second before the first step."""

    def _prepare(self) -> None:
        time.sleep(1.0)


def test_getting_ready_does_not_count_as_slow_steps(tmp_path: Path) -> None:
    options = Options(steps=100, time_budget=None, eval_every=None)
    trainer = SlowToStart(ball_scene(tmp_path, count=4), options, None)
    events = list(trainer.run())
    first = next(e for e in events if isinstance(e, StepEvent))
    last = events[-1]
    assert isinstance(last, FinishedEvent)
    assert first.seconds >= 1.0
    assert first.eta_seconds < 2.5 * (last.seconds - first.seconds)


def test_schedules_fit_into_what_getting_ready_leaves_of_the_budget(tmp_path: Path) -> None:
    trainer = SlowToStart(ball_scene(tmp_path, count=4), Options(time_budget=2.0), None)
    progress = [trainer.progress for e in trainer.run() if isinstance(e, StepEvent)]
    assert progress[0] < 0.45  # 0.25 s of the second that is left; of both it would be 0.63
    assert progress[-1] > 0.7
    assert 2.0 <= trainer._seconds < 2.5
