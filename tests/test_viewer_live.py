"""`recon fit --view`: the live view as a listener of a fit, without a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fit_fakes import FakeMethod, fake_parts, make_photos
from test_viewer_support import BallModel, ball_content, ball_scene

from recon.cli.commands import Fit
from recon.cli.run_fit import run
from recon.errors import RunDirError
from recon.fit.events import StageProgress, StageStarted, Training, TrainingStarted
from recon.model import EvalEvent, FinishedEvent, RadianceModel, StepEvent, TrainEvent
from recon.viewer.governor import (
    INTERVAL,
    LEAST_RENDERING,
    MOST,
    MOST_OWED,
    Governor,
    HelperClock,
)
from recon.viewer.live import CURVE_POINTS, LiveView
from recon.viewer.server import ServerOptions, ViewerServer


class CountingTrainer:
    """Counts snapshots; never trains."""

    def __init__(self) -> None:
        self.snapshots = 0
        self.threads: set[int] = set()

    def run(self) -> Iterator[TrainEvent]:
        return iter(())

    def stop(self) -> None: ...

    def snapshot(self) -> RadianceModel:
        self.snapshots += 1
        self.threads.add(threading.get_ident())
        return BallModel(dim=min(1.0, 0.3 + 0.1 * self.snapshots))


def step(number: int) -> Training:
    return Training(StepEvent(number, 1000, 1.0, 10.0, 1.0 / number, 500, 160, 120, 60.0))


@pytest.fixture
def live() -> Iterator[LiveView]:
    view = LiveView("ball", ServerOptions(port=8300))
    yield view
    view.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def watch(live: LiveView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(live.server), "watched", property(lambda _: True))


def test_the_page_says_what_is_waited_for(live: LiveView) -> None:
    live(StageStarted("sfm", 2, 5))
    assert "finding the cameras" in live.server.workspace.content.note
    live(StageProgress("sfm", 0.4, "matching"))
    assert "40%" in live.server.workspace.content.note
    assert live.server.workspace.content.phase == "loading"


def test_nobody_looks_no_snapshot_is_taken(live: LiveView, tmp_path: Path) -> None:
    trainer = CountingTrainer()
    live(TrainingStarted(trainer, ball_scene(tmp_path)))
    for number in range(1, 50):
        live(step(number))
    assert trainer.snapshots == 0
    assert live.server.workspace.content.phase == "ready"


def test_snapshots_are_rare_and_taken_on_the_training_thread(
    live: LiveView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(live, monkeypatch)
    trainer = CountingTrainer()
    live(TrainingStarted(trainer, ball_scene(tmp_path)))
    began = time.monotonic()
    number = 0
    while time.monotonic() - began < 2.5:
        number += 1
        live(step(number))
        time.sleep(0.01)
    assert trainer.snapshots == 2
    assert trainer.threads == {threading.get_ident()}
    content = live.server.workspace.content
    assert content.models[0].key == "ball"
    assert content.training is not None
    assert 0 < content.training.fraction < 1


def test_events_cost_training_next_to_nothing(
    live: LiveView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(live, monkeypatch)
    live(TrainingStarted(CountingTrainer(), ball_scene(tmp_path)))
    began = time.monotonic()
    for number in range(1, 2001):
        live(step(number))
    assert (time.monotonic() - began) / 2000 < 1e-3
    assert len(live.server.workspace.content.curve.steps) <= CURVE_POINTS + 1


def test_the_curve_holds_evaluations(live: LiveView, tmp_path: Path) -> None:
    live(TrainingStarted(CountingTrainer(), ball_scene(tmp_path)))
    live(Training(EvalEvent(100, 5.0, 21.5, 2)))
    live(step(101))
    content = live.server.workspace.content
    assert content.curve.psnrs == (21.5,)
    assert content.training is not None
    assert "21.50 dB" in content.training.text


def test_pause_holds_training_and_resume_lets_it_go(live: LiveView, tmp_path: Path) -> None:
    live(TrainingStarted(CountingTrainer(), ball_scene(tmp_path)))
    live.pause()
    trained = threading.Event()

    def train() -> None:
        live(step(1))
        trained.set()

    thread = threading.Thread(target=train)
    thread.start()
    assert not trained.wait(0.3)
    live.resume()
    assert trained.wait(2)
    thread.join()


def test_rendering_is_limited_while_training_only(live: LiveView, tmp_path: Path) -> None:
    shares: list[float] = []
    live.server.scheduler.set_share = shares.append  # type: ignore[method-assign]
    live(TrainingStarted(CountingTrainer(), ball_scene(tmp_path)))
    live.pause()
    thread = threading.Thread(target=live, args=(step(1),))
    thread.start()
    wait_for(lambda: shares[-1] == 1.0)
    live.resume()
    thread.join()
    live.finish(tmp_path, load=lambda _: ball_content(tmp_path))
    assert shares == [MOST / 2, 1.0, MOST / 2, 1.0]
    assert live.server.workspace.content.scores


def test_stop_and_save_asks_the_fit_and_ends_a_pause(tmp_path: Path) -> None:
    asked = threading.Event()
    live = LiveView("ball", ServerOptions(port=8300), stop=asked.set)
    try:
        live(TrainingStarted(CountingTrainer(), ball_scene(tmp_path)))
        live.pause()
        live.stop_and_save()
        live(step(1))  # returns: the pause is over
        assert asked.is_set()
    finally:
        live.close()


def test_after_training_there_is_nothing_to_pause(live: LiveView, tmp_path: Path) -> None:
    live(TrainingStarted(CountingTrainer(), ball_scene(tmp_path)))
    live(Training(FinishedEvent(1000, 60.0, "done")))
    live(StageStarted("evaluate_splat", 4, 5))
    training = live.server.workspace.content.training
    assert training is not None
    assert training.state == "ended"
    assert "evaluating" in training.text


def test_an_error_of_the_view_does_not_end_training(
    live: LiveView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(CountingTrainer):
        def snapshot(self) -> RadianceModel:
            raise RuntimeError("no room for a copy")

    watch(live, monkeypatch)
    live(TrainingStarted(Broken(), ball_scene(tmp_path)))
    live(step(1))
    training = live.server.workspace.content.training
    assert training is not None
    assert "no room for a copy" in training.text
    assert "goes on" in training.text


def test_an_unreadable_result_is_told(live: LiveView, tmp_path: Path) -> None:
    live(TrainingStarted(CountingTrainer(), ball_scene(tmp_path)))

    def load(_: Path) -> None:
        raise RunDirError("splat.safetensors is truncated")

    live.finish(tmp_path, load=load)  # type: ignore[arg-type]
    training = live.server.workspace.content.training
    assert training is not None
    assert "truncated" in training.text


def test_a_failed_fit_is_told(live: LiveView) -> None:
    live(StageStarted("train_splat", 3, 5))
    live.fail("the disk is full\n  What to do: free some space", stays=True)
    content = live.server.workspace.content
    assert content.phase == "failed"
    assert content.training is not None
    assert content.training.state == "ended", "nothing is left to pause or stop"
    for told in (content.note, content.training.text):
        assert "the disk is full\n  What to do: free some space" in told
        assert "served until Ctrl-C" in told
    live.fail("the disk is full", stays=False)
    assert "The viewer has ended" in live.server.workspace.content.note


@pytest.mark.parametrize("visited", [True, False])
def test_a_fit_that_fails_tells_page_and_terminal_alike_and_stays_for_those_who_looked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    visited: bool,
) -> None:
    told: list[str] = []
    waits: list[str] = []

    def fail(_: LiveView, text: str, *, stays: bool) -> None:
        assert stays == visited
        told.append(text)

    monkeypatch.setattr(LiveView, "fail", fail)
    seen = property(lambda _: visited, lambda *_: None)
    monkeypatch.setattr(ViewerServer, "visited", seen, raising=False)
    monkeypatch.setattr("recon.viewer.run.wait_for_interrupt", lambda: waits.append("Ctrl-C"))
    command = Fit(make_photos(tmp_path / "scene"), view=True, port=8350)
    assert run(command, fake_parts(FakeMethod(fail_at=3))) == RunDirError.exit_code
    (text,) = told
    assert "What to do: free some space" in text
    err = capsys.readouterr().err
    assert f"error: {text}\n" in err
    assert ("Ctrl-C ends it" in err.partition("error: ")[2]) == visited
    assert waits == ["Ctrl-C"] * visited


def test_a_bug_of_the_fit_is_told_with_the_file_that_has_the_details(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    monkeypatch.setattr(LiveView, "fail", lambda _, text, *, stays: told.append(text))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    parts = replace(fake_parts(), load_capture=lambda *_: 1 // 0)
    assert run(Fit(make_photos(tmp_path / "scene"), view=True, port=8350), parts) == 1
    (log,) = tmp_path.glob("recon-crash-*.log")
    assert str(log) in told[0]
    assert f"error: {told[0]}\n" in capsys.readouterr().err


def test_the_governor_takes_what_else_costs_from_the_rendering() -> None:
    now = rendering = helping = 0.0
    shares: list[float] = []
    governor = Governor(shares.append, lambda: rendering, lambda: helping, lambda: now)
    governor.tick()
    assert shares == [MOST / 2], "nothing was measured yet"
    now += INTERVAL
    rendering += 0.03 * INTERVAL
    helping += 0.02 * INTERVAL
    governor.hold_up(0.01 * INTERVAL)
    governor.tick()
    assert shares[-1] == pytest.approx(MOST - 0.03)
    assert governor.cost == pytest.approx(0.06)
    now += INTERVAL
    helping += INTERVAL  # pages that cost more than all that is allowed
    governor.tick()
    assert shares[-1] == LEAST_RENDERING
    now += INTERVAL
    governor.tick()
    assert shares[-1] == LEAST_RENDERING, "what was spent beyond is paid back"
    now += MOST_OWED / MOST
    governor.tick()
    assert shares[-1] == pytest.approx(MOST), "and then it is forgotten"


def test_a_helper_is_measured_and_the_caller_and_the_renderer_are_not() -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait()
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        done.wait()

    threads = [threading.Thread(target=work, name=name) for name in ("helper", "renderer")]
    for thread in threads:
        thread.start()
    clock = HelperClock("renderer")
    before = clock.seconds()
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    assert clock.seconds() - before < 0.02
    go.set()
    wait_for(lambda: clock.seconds() - before > 0.049)
    done.set()
    for thread in threads:
        thread.join()
    assert 0.045 < clock.seconds() - before < 0.09, "a thread that ended keeps its share"
