"""The render scheduler, without a browser: fairness, cancellation, ladder, errors, idleness."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from recon.geometry import Camera
from recon.model import RenderOutput
from recon.viewer.cost import LEGIBLE, Allowance
from recon.viewer.request import Frame, Layer, Pace, Request, scaled
from recon.viewer.scheduler import RenderScheduler

CAMERA = Camera(320, 240, 300.0, 300.0, 160.0, 120.0, np.eye(4))
PACE = Pace(moving=0.02, slow=0.02, rest=0.05, settle=0.08, band=0.05)


@dataclass
class Slow:
    """A renderer that takes `fixed` plus `per_pixel` seconds, and remembers what it rendered."""

    fixed: float = 0.0
    per_pixel: float = 0.0
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, camera: Camera) -> RenderOutput:
        self.sizes.append((camera.width, camera.height))
        time.sleep(self.fixed + self.per_pixel * camera.width * camera.height)
        # Each row holds its own number in the whole picture: bands can be told apart.
        rows = np.arange(camera.height, dtype=np.float32) - camera.cy + 0.5
        color = np.repeat(np.repeat(rows[:, None, None], camera.width, 1), 3, 2)
        return RenderOutput(color, np.ones((camera.height, camera.width), np.float32))


class Screen:
    """Collects what a client is sent."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.errors: list[Exception] = []
        self.final = threading.Event()

    def deliver(self, frame: Frame) -> None:
        self.frames.append(frame)
        if frame.final:
            self.final.set()

    def fail(self, error: Exception) -> None:
        self.errors.append(error)
        self.final.set()

    def request(
        self, render: Callable[[Camera], RenderOutput], *, moving: bool = False, bands: bool = False
    ) -> Request:
        layer = Layer("model", CAMERA, render, bands)
        return Request((layer,), self.deliver, self.fail, "moving" if moving else "still")


@pytest.fixture
def scheduler() -> Iterator[RenderScheduler]:
    made = RenderScheduler(PACE)
    yield made
    made.stop()


def settle(scheduler: RenderScheduler, timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not scheduler.idle:
        assert time.monotonic() < deadline, "the scheduler did not come to rest"
        time.sleep(0.005)


def test_a_still_picture_ends_sharp(scheduler: RenderScheduler) -> None:
    screen = Screen()
    scheduler.submit(1, screen.request(Slow()))
    assert screen.final.wait(5)
    assert screen.frames[-1].scale == 1.0
    assert screen.frames[-1].outputs[0].color.shape == (240, 320, 3)
    assert len(screen.frames) <= 2


def test_a_moving_camera_gets_small_frames_and_then_a_sharp_one(scheduler: RenderScheduler) -> None:
    render = Slow(per_pixel=0.3 / (320 * 240))
    screen = Screen()
    scheduler.submit(1, screen.request(render))
    settle(scheduler)
    screen.frames.clear()
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        scheduler.submit(1, screen.request(render, moving=True))
        time.sleep(0.015)
    moving = list(screen.frames)
    assert len(moving) >= 8
    assert all(frame.scale < 0.5 for frame in moving)
    assert np.median([frame.seconds for frame in moving]) < 3 * PACE.moving
    settle(scheduler)
    assert screen.frames[-1].scale == 1.0
    assert screen.frames[-1].final


@pytest.mark.parametrize(("slow", "scale"), [(0.08, LEGIBLE), (0.02, 0.125)])
def test_a_slow_model_is_shown_less_often_rather_than_too_small(slow: float, scale: float) -> None:
    """0.04 s at a quarter of the size, 0.01 s at an eighth."""
    scheduler = RenderScheduler(Pace(moving=0.02, slow=slow, rest=0.05, settle=5.0))
    try:
        render = Slow(per_pixel=0.04 / (80 * 60))
        screen = Screen()
        for _ in range(40):
            scheduler.submit(1, screen.request(render, moving=True))
            time.sleep(0.015)
        # The median: one picture that had to wait for the machine may change the size for once.
        assert np.median([frame.scale for frame in screen.frames[-9:]]) == scale
    finally:
        scheduler.stop()


def test_a_fast_model_is_sharp_even_while_moving(scheduler: RenderScheduler) -> None:
    screen, render = Screen(), Slow()
    for _ in range(20):
        scheduler.submit(1, screen.request(render, moving=True))
        time.sleep(0.01)
    assert screen.frames[-1].scale == 1.0


def test_whole_pictures_of_a_moving_camera_are_shown_though_it_moved_on(
    scheduler: RenderScheduler,
) -> None:
    """The camera's news come faster than pictures, each of which is rendered at full size."""
    screen, render = Screen(), Slow(fixed=0.5 * PACE.moving)
    scheduler.submit(1, screen.request(render))
    settle(scheduler)  # what it costs is known
    screen.frames.clear()
    for _ in range(100):
        scheduler.submit(1, screen.request(render, moving=True))
        time.sleep(0.003)
    rendered = scheduler.stats.frames
    assert sum(frame.scale == 1.0 for frame in screen.frames) >= 5
    assert len(screen.frames) >= 0.8 * rendered


def test_time_is_left_to_the_browser_while_the_camera_moves() -> None:
    for busy in (0.25, 1.0):
        scheduler = RenderScheduler(Pace(moving=0.02, busy=busy))
        try:
            screen, render = Screen(), Slow(fixed=0.016)
            began = time.monotonic()
            while (passed := time.monotonic() - began) < 0.6:
                scheduler.submit(1, screen.request(render, moving=True))
                time.sleep(0.004)
            share = scheduler.stats.busy / passed
        finally:
            scheduler.stop()
        assert share < 0.4 if busy == 0.25 else share > 0.6


def test_the_latest_request_wins(scheduler: RenderScheduler) -> None:
    render = Slow(fixed=0.05)
    screens = [Screen() for _ in range(20)]
    for screen in screens:
        scheduler.submit(1, screen.request(render))
    assert screens[-1].final.wait(5)
    settle(scheduler)
    shown = [index for index, screen in enumerate(screens) if screen.frames]
    assert shown[-1] == 19
    assert len(shown) <= 3
    assert scheduler.stats.cancelled >= 17


def test_refinement_stops_when_a_newer_request_comes(scheduler: RenderScheduler) -> None:
    render, first, second = Slow(per_pixel=1.0 / (320 * 240)), Screen(), Screen()
    scheduler.submit(1, first.request(render, bands=True))
    while len(first.frames) < 3:
        time.sleep(0.005)
    scheduler.submit(1, second.request(Slow(), bands=True))
    assert second.final.wait(5)
    settle(scheduler)
    assert not first.final.is_set()
    assert len(render.sizes) < 12


def test_bands_make_the_whole_picture(scheduler: RenderScheduler) -> None:
    render, screen = Slow(per_pixel=0.5 / (320 * 240)), Screen()
    scheduler.submit(1, screen.request(render, bands=True))
    assert screen.final.wait(10)
    heights = [h for w, h in render.sizes if w == 320]
    assert len(heights) > 3
    assert sum(heights) == 240
    expected = np.arange(240) - 119.5
    np.testing.assert_array_equal(screen.frames[-1].outputs[0].color[:, 0, 0], expected)


def test_a_slow_layer_is_refined_in_bands_beside_one_that_cannot_be(
    scheduler: RenderScheduler,
) -> None:
    """Splats and a radiance field in one comparison."""
    whole, slow, screen = Slow(), Slow(per_pixel=0.5 / (320 * 240)), Screen()
    layers = (Layer("splat", CAMERA, whole), Layer("nerf", CAMERA, slow, bands=True))
    scheduler.submit(1, Request(layers, screen.deliver, screen.fail))
    assert screen.final.wait(20)
    assert not screen.errors
    assert [size for size in whole.sizes if size[0] == 320] == [(320, 240)]
    heights = [h for w, h in slow.sizes if w == 320]
    assert len(heights) > 3
    assert sum(heights) == 240
    expected = np.arange(240) - 119.5
    for output in screen.frames[-1].outputs:
        np.testing.assert_array_equal(output.color[:, 0, 0], expected)
    assert screen.frames[0].scale < 0.5, "a coarse picture of both comes first"


def test_a_camera_that_moves_is_shown_quick_pictures(scheduler: RenderScheduler) -> None:
    cost, screen = 0.5 / (320 * 240), Screen()
    exact, quick = Slow(per_pixel=cost), Slow(per_pixel=0.2 * cost)
    layer = Layer("model", CAMERA, exact, bands=True, quick=quick)
    for seen in range(5):
        scheduler.submit(1, Request((layer,), screen.deliver, screen.fail, "moving"))
        while len(screen.frames) == seen:
            time.sleep(0.002)
    assert not exact.sizes
    # As large as their own cost allows: exact ones would be 60 wide.
    assert quick.sizes[-1][0] == 120
    scheduler.submit(1, Request((layer,), screen.deliver, screen.fail))
    assert screen.final.wait(20)
    assert not screen.errors
    assert sum(height for width, height in exact.sizes if width == 320) == 240
    assert max(width for width, _ in quick.sizes) == 120


def test_clients_share_the_time(scheduler: RenderScheduler) -> None:
    """One who flies about without pause takes no more than the other who does, too."""
    screens = {name: Screen() for name in ("a", "b")}
    render = {name: Slow(fixed=0.01) for name in screens}
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        for name, screen in screens.items():
            # b asks ten times as often.
            for _ in range(10 if name == "b" else 1):
                scheduler.submit(name, screen.request(render[name], moving=True))
        time.sleep(0.002)
    counts = {name: len(screen.frames) for name, screen in screens.items()}
    assert min(counts.values()) > 0.6 * max(counts.values()), counts


def test_ten_clients_are_all_served(scheduler: RenderScheduler) -> None:
    screens = [Screen() for _ in range(10)]
    for index, screen in enumerate(screens):
        scheduler.submit(index, screen.request(Slow(fixed=0.02)))
    assert all(screen.final.wait(10) for screen in screens)


def test_a_client_that_leaves_frees_its_work(scheduler: RenderScheduler) -> None:
    render, screen = Slow(per_pixel=2.0 / (320 * 240)), Screen()
    scheduler.submit(1, screen.request(render, bands=True))
    time.sleep(0.05)
    scheduler.drop(1)
    settle(scheduler, timeout=1.0)
    rendered = len(render.sizes)
    time.sleep(0.3)
    assert len(render.sizes) <= rendered + 1
    assert not screen.final.is_set()


def test_nobody_looks_nothing_is_rendered(scheduler: RenderScheduler) -> None:
    render, screen = Slow(), Screen()
    scheduler.submit(1, screen.request(render))
    settle(scheduler)
    frames = scheduler.stats.frames
    before = time.process_time()
    time.sleep(0.5)
    assert scheduler.stats.frames == frames
    assert time.process_time() - before < 0.1


def test_an_error_reaches_the_client_and_the_next_picture_works(scheduler: RenderScheduler) -> None:
    def broken(camera: Camera) -> RenderOutput:
        raise ValueError("no such splat")

    screen = Screen()
    scheduler.submit(1, screen.request(broken))
    assert screen.final.wait(5)
    assert [str(error) for error in screen.errors] == ["no such splat"]
    again = Screen()
    scheduler.submit(1, again.request(Slow()))
    assert again.final.wait(5)
    assert not again.errors


def test_an_error_while_sending_does_not_end_the_scheduler(scheduler: RenderScheduler) -> None:
    screen = Screen()

    def gone(frame: Frame) -> None:
        raise ConnectionError("the browser left")

    layer = Layer("model", CAMERA, Slow())
    scheduler.submit(1, Request((layer,), gone, screen.fail))
    assert screen.final.wait(5)
    again = Screen()
    scheduler.submit(2, again.request(Slow()))
    assert again.final.wait(5)


def test_an_error_that_cannot_be_told_does_not_end_the_scheduler(
    scheduler: RenderScheduler,
) -> None:
    told = threading.Event()

    def broken(_: object) -> RenderOutput:
        raise ValueError("no such splat")

    def gone(_: Exception) -> None:
        told.set()
        raise ConnectionError("the browser left")

    scheduler.submit(1, Request((Layer("model", CAMERA, broken),), lambda _: None, gone))
    assert told.wait(5)
    again = Screen()
    scheduler.submit(2, again.request(Slow()))
    assert again.final.wait(5)
    assert not again.errors


def test_a_request_without_layers_is_delivered(scheduler: RenderScheduler) -> None:
    screen = Screen()
    scheduler.submit(1, Request((), screen.deliver, screen.fail))
    assert screen.final.wait(5)
    assert screen.frames[0].outputs == ()


def test_a_still_is_rendered_in_full_and_waited_for(scheduler: RenderScheduler) -> None:
    render = Slow(per_pixel=0.1 / (320 * 240))
    output = scheduler.render("film", Layer("model", CAMERA, render), wanted=lambda: True)
    assert output is not None
    assert output.color.shape == (240, 320, 3)
    assert render.sizes == [(320, 240)]
    assert scheduler.idle


def test_a_still_can_be_given_up_and_can_fail(scheduler: RenderScheduler) -> None:
    slow = Layer("model", CAMERA, Slow(fixed=0.5))
    began = time.monotonic()
    assert scheduler.render("film", slow, wanted=lambda: False) is None
    assert time.monotonic() - began < 0.4

    def broken(camera: Camera) -> RenderOutput:
        raise ValueError("no such splat")

    with pytest.raises(ValueError, match="no such splat"):
        scheduler.render("film", Layer("broken", CAMERA, broken), wanted=lambda: True)


def test_the_share_limits_rendering() -> None:
    scheduler = RenderScheduler(PACE, Allowance(share=0.1, burst=0.05))
    try:
        screen, render = Screen(), Slow(fixed=0.02)
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            scheduler.submit(1, screen.request(render, moving=True))
            time.sleep(0.01)
        assert scheduler.stats.busy < 0.05 + 0.1 * 1.5 + 0.1
        assert scheduler.stats.frames >= 3
        scheduler.set_share(1.0)
        final = Screen()
        scheduler.submit(1, final.request(render))
        assert final.final.wait(1.0)
    finally:
        scheduler.stop()


def test_stop_ends_the_thread() -> None:
    scheduler = RenderScheduler(PACE)
    scheduler.submit(1, Screen().request(Slow(fixed=0.05)))
    scheduler.stop()
    assert not any(t.name == "recon-render" and t.is_alive() for t in threading.enumerate())


def test_scaled_cameras_keep_the_view() -> None:
    half = scaled(CAMERA, 0.5)
    assert (half.width, half.height, half.fx, half.cx) == (160, 120, 150.0, 80.0)
    assert scaled(CAMERA, 1.0) is CAMERA
    assert min(scaled(CAMERA, 0.001).width, scaled(CAMERA, 0.001).height) == 8
