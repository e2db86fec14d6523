"""How the viewer behaves towards crowds, pages that vanish, Ctrl-C and ports that are taken."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_export import make_run
from test_viewer_support import OPTIONS, BallModel, ball_content
from viewer_pages import PATIENCE, gets_picture, hears, open_page

from recon.errors import OptionError
from recon.geometry import Camera
from recon.model import RenderOptions, RenderOutput
from recon.viewer.live import LiveView
from recon.viewer.panels import Panels
from recon.viewer.server import ServerOptions, ViewerServer
from recon.viewer.tab_compare import CompareTab
from recon.viewer.wording import as_html
from recon.viewer.workspace import Workspace


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def forgotten(server: ViewerServer) -> bool:
    return not server.watched and server.scheduler.idle


# Crowds.


def test_ten_pages_at_once_all_get_pictures(tmp_path: Path) -> None:
    """They stay until all of them have one, so nobody is served because others left."""

    async def visit(everyone: asyncio.Barrier) -> int:
        async with open_page(server.port) as page:
            assert await gets_picture(page)
            await everyone.wait()
            return len(server.sessions)

    async def crowd() -> list[int]:
        everyone = asyncio.Barrier(10)
        return await asyncio.gather(*(visit(everyone) for _ in range(10)))

    with ViewerServer(Workspace(ball_content(tmp_path)), ServerOptions(port=8700)) as server:
        assert max(asyncio.run(crowd())) == 10
        until(lambda: forgotten(server), "all pages to be forgotten")


def test_pages_come_and_go(tmp_path: Path) -> None:
    """Some leave at once, before they are known: those who stay are served, all are forgotten."""

    async def visit(stays: bool) -> bool:
        async with open_page(server.port) as page:
            return stays and await gets_picture(page)

    async def crowd() -> list[bool]:
        return await asyncio.gather(*(visit(stays) for stays in (True, True, False) * 4))

    with ViewerServer(Workspace(ball_content(tmp_path)), ServerOptions(port=8700)) as server:
        assert asyncio.run(crowd()) == [True, True, False] * 4
        until(lambda: forgotten(server), "all pages to be forgotten")


class HeldModel(BallModel):
    """A model whose renders wait while `free` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.free, self.waiting = threading.Event(), threading.Event()
        self.free.set()

    def render(self, camera: Camera, options: RenderOptions = OPTIONS) -> RenderOutput:
        if not self.free.is_set():
            self.waiting.set()
            assert self.free.wait(PATIENCE)
        return super().render(camera, options)


def test_a_page_that_vanishes_in_the_middle_of_a_render(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = HeldModel()
    workspace = Workspace(ball_content(tmp_path, model))

    async def vanish() -> None:
        async with open_page(server.port) as page:
            assert await gets_picture(page)
            until(lambda: server.scheduler.idle, "rest")
            model.free.clear()
            server.sessions[0].refresh()
            assert model.waiting.wait(PATIENCE)
            page.transport.abort()  # no goodbye: a laptop that is shut, a network that is gone

    async def look() -> bool:
        async with open_page(server.port) as page:
            return await gets_picture(page)

    with ViewerServer(workspace, ServerOptions(port=8700)) as server:
        asyncio.run(vanish())
        until(lambda: not server.watched, "the page to be forgotten, its render under way")
        rendered = len(model.sizes)
        model.free.set()
        until(lambda: server.scheduler.idle, "rest")
        time.sleep(0.3)
        assert len(model.sizes) <= rendered + 1, "nobody renders on for a page that is gone"
        assert asyncio.run(look()), "the next page is served"
    assert "Traceback" not in capfd.readouterr().err


# Errors.


def test_one_page_in_trouble_does_not_silence_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = ball_content(tmp_path)
    workspace = Workspace(content)
    follow, calls = Panels.on_content, []

    def broken_at_first(self: Panels, *contents: object) -> None:
        calls.append(self)
        if len(calls) == 1:
            raise RuntimeError("this panel broke")
        follow(self, *contents)  # type: ignore[arg-type]

    monkeypatch.setattr(Panels, "on_content", broken_at_first)

    async def watch() -> bool:
        async with open_page(server.port) as page:
            assert await gets_picture(page)
            workspace.update(lambda now: replace(now, note="one"))
            assert await hears(page, b"this panel broke"), "told on the page"
            workspace.update(lambda now: replace(now, note="two"))
            while len(calls) < 2:
                await asyncio.sleep(0.01)
            return True

    with ViewerServer(workspace, ServerOptions(port=8700)) as server:
        assert asyncio.run(asyncio.wait_for(watch(), PATIENCE))


def test_pages_hear_why_a_fit_failed_before_the_server_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = LiveView("ball", ServerOptions(port=8310))

    async def watch() -> bool:
        async with open_page(live.server.port) as page:
            assert await gets_picture(page)
            await asyncio.to_thread(live.fail, "the disk is full", stays=False)
            closing = asyncio.create_task(asyncio.to_thread(live.close))
            heard = await hears(page, b"the disk is full")
            await closing
            return heard

    assert asyncio.run(watch())


def test_a_failure_while_the_panel_is_built_is_told_once(tmp_path: Path) -> None:
    """Whoever waited to build it meanwhile must not put the words below the tabs as well."""
    workspace = Workspace(ball_content(tmp_path))

    async def visit() -> None:
        async with open_page(server.port) as page:
            assert await gets_picture(page)
            (panels,) = server._panels.values()
            until(lambda: panels._built, "the panel")
            workspace.fail("the disk is full")
            await asyncio.to_thread(panels.build)
            assert panels._waiting is None

    with ViewerServer(workspace, ServerOptions(port=8700)) as server:
        asyncio.run(visit())


def test_dragging_a_comparison_leaves_the_words_of_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(ball_content(tmp_path))
    view = workspace.content.scene.test_views[0].name
    said: list[str] = []

    async def visit() -> None:
        async with open_page(server.port) as page:
            assert await gets_picture(page)
            session = server.sessions[0]
            await asyncio.to_thread(session.compare, view)
            until(lambda: session.frames.composed_for != (0, 0), "the comparison")
            workspace.fail("the disk is full")
            monkeypatch.setattr(session.screen, "say", said.append)
            monkeypatch.setattr(session.frames, "composed_again", pytest.fail)
            await asyncio.to_thread(session.drag, 0.4, 0.5)

    with ViewerServer(workspace, ServerOptions(port=8700)) as server:
        asyncio.run(visit())
    assert said
    assert all("the disk is full" in words for words in said)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\n  What to do: b", "<p>a</p><p>What to do: b</p>"),
        ("photos_of_*us*.jpg", "<p>photos_of_*us*.jpg</p>"),
        ("<img src=x onerror='y'>", "<p>&lt;img src=x onerror=&#x27;y&#x27;&gt;</p>"),
        ("", ""),
    ],
)
def test_words_from_elsewhere_are_no_markup(text: str, shown: str) -> None:
    assert as_html(text).split(">", 1)[1] == shown + "</div>"


def test_the_state_of_things_stands_before_the_words_of_it() -> None:
    assert "<p><b>Paused.</b> at &lt;step&gt; 3</p><p>b</p>" in as_html(
        "at <step> 3\nb", state="Paused."
    )
    assert "<p><b>Paused.</b></p>" in as_html("", state="Paused.")


def test_looking_for_photos_that_there_are_none_of_says_what_to_do(tmp_path: Path) -> None:
    content = ball_content(tmp_path)
    assert content.scene is not None
    views = tuple(replace(view, split="train") for view in content.scene.views)
    workspace = Workspace(replace(content, scene=replace(content.scene, views=views)))

    def look() -> None:
        tab = CompareTab(server.sessions[0])
        for act in (tab.open, tab.choose, lambda: tab.move(1)):
            with pytest.raises(OptionError, match="Trained on"):
                act()
        assert server.sessions[0].board.gallery is None

    async def visit() -> None:
        async with open_page(server.port) as page:
            assert await gets_picture(page)
            await asyncio.to_thread(look)

    with ViewerServer(workspace, ServerOptions(port=8700)) as server:
        asyncio.run(visit())


# The command.


@pytest.fixture
def _hear_ctrl_c() -> Iterator[None]:
    """A job in the background of a script inherits a SIGINT that is ignored, and hands that on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.usefixtures("_hear_ctrl_c")
def test_the_command_moves_to_a_free_port_says_so_and_ends_on_ctrl_c(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = make_run(tmp_path / "run")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "recon", "view", str(run), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        request.addfinalizer(process.kill)  # leave no server behind, whatever is found
        assert process.stdout is not None
        said = process.stdout.readline()
        address = process.stdout.readline()
    assert said.startswith(f"Port {port} is in use; using ")
    found = int(said.split()[-2])
    assert found > port
    assert f"http://127.0.0.1:{found} " in address

    async def interrupt_while_open() -> None:
        async with open_page(found) as page:
            assert await gets_picture(page)
            process.send_signal(signal.SIGINT)
            await asyncio.to_thread(process.wait, PATIENCE)

    asyncio.run(interrupt_while_open())
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "Stopped." in out
    assert err == ""
