"""What watching costs a training in the long run, on a clock of its own: at most a tenth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from test_viewer_support import BallModel, ball_scene

from recon.fit.events import Training, TrainingStarted
from recon.model import RadianceModel, StepEvent, TrainEvent
from recon.viewer.cost import Allowance
from recon.viewer.governor import LEAST_RENDERING, HelperClock
from recon.viewer.live import LiveView
from recon.viewer.server import ServerOptions

PROMISED = 0.10
STEP_SECONDS = 0.03
MINUTES = 3.0


@dataclass
class World:
    """A training, and one page that wants pictures without pause; all times are made up.

    Attributes:
        frame: seconds that a picture takes.
        copying: seconds that a snapshot holds training up.
        helpers: share of the time that the other threads of the viewer take.
    """

    frame: float
    copying: float
    helpers: float
    now: float = 0.0
    rendering: float = 0.0
    helping: float = 0.0
    copied: float = 0.0
    allowance: Allowance = field(default_factory=Allowance)
    _renderer: float = 0.0

    @property
    def cost(self) -> float:
        """Seconds that were taken from training so far."""
        return self.rendering + self.helping + self.copied

    def train_a_step(self) -> None:
        self.now += STEP_SECONDS
        self.helping += self.helpers * STEP_SECONDS
        while self._renderer < self.now:
            wait = self.allowance.wait(self._renderer)
            if wait > 0:
                self._renderer = min(self.now, self._renderer + wait)
                continue
            self._renderer += self.frame
            self.rendering += self.frame
            self.allowance.spend(self.frame, self._renderer)

    # As a `Trainer`, which copies itself.

    def run(self) -> Iterator[TrainEvent]:
        return iter(())

    def stop(self) -> None: ...

    def snapshot(self) -> RadianceModel:
        self.now += self.copying
        self.copied += self.copying
        return BallModel()


def watch(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Train under the eyes of a page; returns (seconds, cost so far) after each step."""
    live = LiveView("ball", ServerOptions(port=8370), clock=lambda: world.now)
    try:
        monkeypatch.setattr(type(live.server), "watched", property(lambda _: True))
        monkeypatch.setattr(HelperClock, "seconds", lambda _: world.helping)
        scheduler = live.server.scheduler
        monkeypatch.setattr(
            scheduler, "set_share", lambda share: setattr(world.allowance, "share", share)
        )
        live(TrainingStarted(world, ball_scene(folder)))
        course: list[tuple[float, float]] = []
        for number in itertools.count(1):
            world.train_a_step()
            scheduler.stats.busy = world.rendering
            live(Training(StepEvent(number, 10**6, 1.0, 30.0, 0.1, 500, 160, 120, 60.0)))
            course.append((world.now, world.cost))
            if world.now > 60 * MINUTES:
                break
        return course
    finally:
        live.close()


@pytest.mark.parametrize("helpers", [0.0, 0.03, 0.06])
@pytest.mark.parametrize(("frame", "copying"), [(0.005, 0.01), (0.1, 0.3), (1.5, 0.01)])
def test_watching_costs_a_training_a_tenth_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frame: float, copying: float, helpers: float
) -> None:
    world = World(frame, copying, helpers)
    course = watch(world, tmp_path, monkeypatch)
    seconds, cost = course[-1]
    assert cost <= PROMISED * seconds
    assert world.rendering > 0.01 * seconds, "and yet there is something to be seen"
    # Nor much more in any minute: a burst may be saved up, and a picture that has begun is made.
    limit = PROMISED * 60 + world.allowance.burst + 2 * frame
    before = iter(course)
    then, cost_then = next(before)
    for now, so_far in course:
        while then < now - 60:
            then, cost_then = next(before)
        assert so_far - cost_then <= limit


def test_what_cannot_be_saved_on_is_not_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the rest alone takes more than is promised, next to nothing is rendered."""
    world = World(frame=0.1, copying=0.01, helpers=0.2)
    seconds, _ = watch(world, tmp_path, monkeypatch)[-1]
    assert world.rendering <= 1.5 * LEAST_RENDERING * seconds + world.allowance.burst
    assert world.copied <= 0.02 * seconds
