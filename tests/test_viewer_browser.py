"""The viewer in headless Chromium: opens, moves, compares, drags, survives a restart.

The tests share one page and run in order, as a person would go on.
"""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_viewer_support import BallModel, ball_content

from recon.evaluate import evaluate
from recon.viewer.compose import place_panes
from recon.viewer.server import ServerOptions, ViewerServer
from recon.viewer.session import Session
from recon.viewer.shown import modes_of
from recon.viewer.tab_make import FILM_SIZES
from recon.viewer.workspace import NamedModel, Workspace

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader",
    "--no-first-run",
    "--disable-background-networking",
)
SIZE = {"width": 920, "height": 480}


@dataclass
class Stage:
    """A served scene, and a page that looks at it."""

    server: ViewerServer
    workspace: Workspace
    page: Any

    @property
    def session(self) -> Session:
        return self.server.sessions[0]

    def shot(self) -> np.ndarray:
        """The canvas as shown, (H, W, 3)."""
        png = self.page.locator("canvas").first.screenshot()
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)

    def stable(self, timeout: float = 40.0) -> np.ndarray:
        """The canvas once it no longer changes."""
        deadline = time.monotonic() + timeout
        before = self.shot()
        while time.monotonic() < deadline:
            time.sleep(0.25)
            now = self.shot()
            if now.shape == before.shape and np.abs(now - before).mean() < 0.05:
                return now
            before = now
        raise AssertionError("the picture did not come to rest")

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """With the left button, between fractions of the canvas."""
        box = self.page.locator("canvas").first.bounding_box()
        (x0, y0), (x1, y1) = (
            (box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in (start, end)
        )
        mouse = self.page.mouse
        mouse.move(x0, y0)
        mouse.down()
        for part in np.linspace(0, 1, 8):
            mouse.move(x0 + part * (x1 - x0), y0 + part * (y1 - y0))
            time.sleep(0.03)
        mouse.up()


def until(condition: Callable[[], bool], what: str, timeout: float = 40.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def measured(session: Session) -> bool:
    picture = session.board.picture
    return picture is not None and all(one.score is not None for one in picture.rendered)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    folder = tmp_path_factory.mktemp("ball")
    workspace = Workspace(ball_content(folder))
    with ViewerServer(workspace, ServerOptions(port=8400)) as server:
        with sync_api.sync_playwright() as playwright:
            context = playwright.chromium.launch_persistent_context(
                str(tmp_path_factory.mktemp("profile")),
                executable_path=chromium,
                args=list(FLAGS),
                viewport=SIZE,
            )
            context.set_default_timeout(60_000)
            page = context.new_page()
            page.goto(server.url)
            yield Stage(server, workspace, page)
            context.close()
        until(lambda: not server.sessions, "the closed page to be forgotten")
        assert server.scheduler.idle


def test_it_opens_and_shows_the_model(stage: Stage) -> None:
    until(lambda: bool(stage.server.sessions), "the page to connect")
    until(lambda: stage.server.scheduler.stats.frames > 0, "a first frame")
    stage.page.get_by_text("Compare", exact=True).first.wait_for()
    until(lambda: stage.shot().std() > 30, "a picture that is not blank")
    until(lambda: not stage.page.get_by_text("Connecting").is_visible(), "the veil to lift")
    picture = stage.stable()
    red = (picture[..., 0] > 2 * picture[..., 2]) & (picture[..., 0] > 60)
    assert 0.02 < red.mean() < 0.9, "the red ball is in sight"
    # The ball is round: what the server drew is not stretched.
    rows, columns = np.nonzero(red)
    tall, wide = np.ptp(rows), np.ptp(columns)
    assert 0.8 < tall / wide < 1.25


def test_a_still_page_causes_no_work(stage: Stage) -> None:
    until(lambda: stage.server.scheduler.idle, "rest")
    frames = stage.server.scheduler.stats.frames
    time.sleep(1.0)
    assert stage.server.scheduler.stats.frames == frames


def test_dragging_orbits(stage: Stage) -> None:
    before, place = stage.stable(), stage.session.pilot.viewpoint.position
    stage.drag((0.5, 0.5), (0.7, 0.45))
    after = stage.stable()
    assert np.linalg.norm(stage.session.pilot.viewpoint.position - place) > 0.1
    assert np.abs(after - before).mean() > 3


def test_modes_change_the_picture(stage: Stage) -> None:
    before = stage.stable()
    stage.page.keyboard.press("v")
    until(lambda: stage.session.look.mode == "Depth", "the next mode")
    assert np.abs(stage.stable() - before).mean() > 3
    for _ in range(len(modes_of(stage.session.model())) - 1):
        stage.page.keyboard.press("v")
        time.sleep(0.2)
    until(lambda: stage.session.look.mode == "Colour", "the first mode again")
    assert np.abs(stage.stable() - before).mean() < 2.5


def test_a_held_out_photo_is_compared(stage: Stage) -> None:
    stage.page.get_by_text("Compare", exact=True).first.click()
    # The worst photo is offered first.
    stage.page.get_by_role("button", name="Show photo and render").click()
    session = stage.session
    until(lambda: measured(session), "the comparison")
    assert session.board.comparison is not None
    assert session.board.comparison.view == "photo_08.png"
    assert session.board.picture is not None
    # What is shown is what evaluation renders: the photo's own camera, its principal point too.
    scene = stage.workspace.content.scene
    assert scene is not None
    expected = evaluate(BallModel(dim=0.9), scene, long_side=None).views["photo_08.png"]
    shown = session.board.picture.rendered[0].score
    assert shown is not None
    assert (shown.psnr, shown.ssim) == (expected.psnr, expected.ssim)
    stage.page.get_by_text(f"{expected.psnr:.2f} dB").first.wait_for()
    assert stage.stable().std() > 20


def test_the_divider_is_dragged(stage: Stage) -> None:
    session = stage.session
    session.arrange(layout="Split")
    before = stage.stable()
    for _ in range(5):  # a busy machine may see the whole gesture as one leap
        stage.drag((0.5, 0.5), (0.3, 0.5))
        time.sleep(0.3)
        if session.board.arrangement.split < 0.4:
            break
    assert session.board.arrangement.split < 0.4, "the divider moved"
    assert session.board.comparison is not None, "dragging must not leave the comparison"
    assert np.abs(stage.stable() - before).mean() > 0.1


def test_flicker_and_escape(stage: Stage) -> None:
    session = stage.session
    stage.page.mouse.click(300, 300)
    stage.page.keyboard.press("f")
    until(lambda: session.board.arrangement.layout == "Flicker", "flicker")
    shown = session.board.arrangement.shown
    stage.page.keyboard.press("f")
    until(lambda: session.board.arrangement.shown == shown + 1, "the next pane")
    stage.page.keyboard.press("Escape")
    until(lambda: session.board.comparison is None, "exploring")


def test_a_thumbnail_is_picked(stage: Stage) -> None:
    session = stage.session
    stage.page.keyboard.press("g")
    until(lambda: session.board.gallery is not None, "the thumbnails")
    assert stage.stable().std() > 20
    gallery, (width, height) = session.board.gallery, session.canvas
    assert gallery is not None
    place = place_panes(3, 160 / 120, width, height)[1]
    box = stage.page.locator("canvas").first.bounding_box()
    stage.page.mouse.click(
        box["x"] + (place.x + place.width / 2) / width * box["width"],
        box["y"] + (place.y + place.height / 2) / height * box["height"],
    )
    until(lambda: session.board.picture is not None, "the comparison")
    assert session.board.comparison is not None
    assert session.board.comparison.view == gallery.views[1].name
    session.explore()


def test_two_methods_and_their_error_are_compared(stage: Stage) -> None:
    """Whatever is a RadianceModel takes part: here a dimmer ball that calls itself nerf."""
    session = stage.session
    nerf = NamedModel("nerf", "nerf", BallModel(dim=0.7, method="nerf"))
    stage.workspace.update(lambda now: replace(now, models=(*now.models, nerf)))
    session.arrange(layout="Panes", error="Lighter, darker")
    session.compare("photo_08.png")
    until(lambda: measured(session), "the comparison")
    assert session.board.picture is not None
    assert [one.named.key for one in session.board.picture.rendered] == ["ball", "nerf"]
    assert session.board.picture.pane_count == 4
    # Both are too dark: the last pane is bluish.
    stage.stable()
    shown = session.board.picture.error("Lighter, darker")
    assert shown is not None
    assert shown.picture[..., 2].mean() > shown.picture[..., 0].mean() + 3
    stage.page.get_by_role("tab", name="Compare").click()
    stage.page.get_by_text("nerf", exact=True).first.wait_for()
    session.arrange(error="Absolute")


def test_a_divider_and_a_magnifier_from_a_free_camera(stage: Stage) -> None:
    session, page = stage.session, stage.page
    page.get_by_role("button", name="Compare the models from here").click()
    until(
        lambda: session.board.comparison is not None and session.board.comparison.view is None,
        "both",
    )
    session.arrange(layout="Split", split=0.5)
    until(lambda: session.board.divider(session.canvas) is not None, "the divider")
    before = stage.stable()
    # The left half is the one model, the right half the dimmer one.
    assert before[:, : before.shape[1] // 3].mean() != before[:, -before.shape[1] // 3 :].mean()
    place = session.pilot.viewpoint.position
    for _ in range(5):
        divider = session.board.divider(session.canvas)
        assert divider is not None
        stage.drag((divider, 0.5), (0.25, 0.5))
        time.sleep(0.3)
        if session.board.arrangement.split < 0.35:
            break
    assert session.board.arrangement.split < 0.35, "the divider moved"
    assert np.linalg.norm(session.pilot.viewpoint.position - place) < 1e-3, "the camera did not"
    stage.drag((0.7, 0.5), (0.8, 0.5))
    until(lambda: np.linalg.norm(session.pilot.viewpoint.position - place) > 0.05, "an orbit")
    assert session.board.comparison is not None, "moving goes on comparing"
    stage.stable()
    session.arrange(layout="Panes")
    until(lambda: session.board.picture is not None and session.board.picture.final, "panes")
    box = page.locator("canvas").first.bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    until(lambda: session.board.arrangement.magnifier is not None, "the magnifier")
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    until(lambda: session.board.arrangement.magnifier is None, "the magnifier to go")
    session.explore()
    stage.workspace.update(lambda now: replace(now, models=now.models[:1]))


def test_moving_away_leaves_the_comparison(stage: Stage) -> None:
    session = stage.session
    session.compare("photo_04.png")
    until(lambda: session.board.picture is not None, "the comparison")
    time.sleep(0.8)
    stage.page.mouse.move(300, 300)
    stage.page.mouse.wheel(0, 400)
    until(lambda: session.board.comparison is None, "exploring")


def test_a_film_is_made_and_sent(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    av = pytest.importorskip("av")
    monkeypatch.setitem(FILM_SIZES, "480p", 64)
    page = stage.page
    page.get_by_text("Make", exact=True).first.click()
    for turn in ((0.5, 0.5), (0.6, 0.5)):
        stage.drag((0.5, 0.5), turn)
        page.get_by_role("button", name="Add", exact=True).click()
        time.sleep(0.2)
    page.get_by_text("2 keyframes").wait_for()
    with page.expect_download(timeout=30_000) as download:
        page.get_by_role("button", name="Render film").click()
    with av.open(str(download.value.path())) as film:
        frames = sum(1 for _ in film.decode(video=0))
    assert frames == 6 * 24
    assert download.value.suggested_filename.endswith(".mp4")


def test_the_comparison_page_opens_without_a_server(stage: Stage, tmp_path: Path) -> None:
    stage.page.get_by_text("Make", exact=True).first.click()
    with stage.page.expect_download() as download:
        stage.page.get_by_role("button", name="Save comparison").click()
    file = tmp_path / "comparison.html"
    download.value.save_as(file)
    page = stage.page.context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(file.as_uri())
    panes = page.locator(".pane")
    assert panes.count() == 3
    page.get_by_text("photo_08.png").first.click()
    page.get_by_role("button", name="Split").click()
    assert panes.count() == 1
    assert page.locator(".bar").is_visible()
    page.keyboard.press("f")
    assert page.locator(".bar").count() == 0
    page.keyboard.press("ArrowRight")
    assert "2 of 3" in page.locator("#facts").inner_text()
    page.close()
    assert problems == []


def test_an_error_is_told_on_the_page(stage: Stage) -> None:
    model = stage.workspace.content.models[0].model
    assert isinstance(model, BallModel)
    model.broken = True
    stage.session.refresh()
    stage.page.get_by_text("the ball burst").first.wait_for()
    model.broken = False
    stage.session.refresh()
    assert stage.stable().std() > 20


def test_a_small_window(stage: Stage) -> None:
    stage.page.set_viewport_size({"width": 420, "height": 700})
    assert stage.stable().std() > 20
    until(lambda: stage.session.canvas[0] < 450, "the canvas to shrink")
    stage.page.set_viewport_size(SIZE)
    stage.stable()


def test_it_survives_a_restart_of_the_server(stage: Stage, tmp_path: Path) -> None:
    port = stage.server.port
    stage.server.stop()
    stage.server = ViewerServer(stage.workspace, ServerOptions(port=port))
    try:
        assert stage.server.port == port
        until(lambda: bool(stage.server.sessions), "the page to come back")
        until(lambda: stage.server.scheduler.stats.frames > 0, "a frame after the restart")
        assert stage.stable().std() > 20
    finally:
        stage.server.stop()
