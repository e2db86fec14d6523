"""The "Make" tab: films along a camera path, stills, a page to share, the model's file."""

from __future__ import annotations

import io
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import viser
from PIL import Image

from recon.errors import OptionError
from recon.geometry import Camera
from recon.model import RenderOutput
from recon.viewer.cameras import Viewpoint
from recon.viewer.compare import PhotoTask
from recon.viewer.export import EXPORTS, SPACES, export_file
from recon.viewer.film import encode_film, even
from recon.viewer.images import Rgb8, develop
from recon.viewer.page import comparison_page
from recon.viewer.path import CameraPath
from recon.viewer.pilot import FLIGHT_RATE
from recon.viewer.session import Session
from recon.viewer.shown import evaluated_layer, shown_layer
from recon.viewer.wire import on_click, on_command, on_edit
from recon.viewer.workspace import NamedModel

FILM_SIZES: dict[str, int] = {"480p": 480, "720p": 720, "1080p": 1080}
STILL_SIZES: dict[str, int] = {"As shown": 1, "2 x": 2, "4 x": 4}
MAX_STILL_PIXELS = 40_000_000
NO_KEYFRAMES = "Move the camera, then add a keyframe (`K`); again from elsewhere."


class MakeTab:
    """Builds the tab in the present container."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keyframes: list[Viewpoint] = []
        self._line: viser.SplineCatmullRomHandle | None = None
        self._cancelled = threading.Event()
        self._busy = threading.Lock()
        gui = session.client.gui
        with gui.add_folder("Film"):
            self._count = gui.add_markdown(NO_KEYFRAMES)
            self._edit = gui.add_button_group("Keyframes", options=("Add", "Undo", "Clear"))
            self._seconds = gui.add_slider(
                "Seconds",
                min=1.0,
                max=60.0,
                step=0.5,
                initial_value=6.0,
                hint="From the first keyframe to the last",
            )
            self._closed = gui.add_checkbox("Loop", False, hint="End where it began")
            self._preview = gui.add_button(
                "Preview", icon=viser.Icon.PLAYER_PLAY, hint="Fly along the path here"
            )
            self._film_size = gui.add_dropdown(
                "Size", options=tuple(FILM_SIZES), hint="Height in pixels; as wide as this window"
            )
            self._rate = gui.add_dropdown("Frames a second", options=("24", "30", "60"))
            self._film = gui.add_button(
                "Render film (mp4)",
                icon=viser.Icon.MOVIE,
                hint="As chosen under Explore, Show",
            )
        with gui.add_folder("Picture"):
            self._still_size = gui.add_dropdown(
                "Size",
                options=tuple(STILL_SIZES),
                hint=f"At most {MAX_STILL_PIXELS / 1e6:.0f} million pixels",
            )
            self._still = gui.add_button(
                "Save picture (PNG)",
                icon=viser.Icon.CAMERA,
                hint="The model from here, as chosen under Explore, Show (I)",
            )
        with gui.add_folder("Share"):
            self._page = gui.add_button(
                "Save comparison (HTML)",
                icon=viser.Icon.SHARE,
                hint="All held-out photos beside their renders, in one file that needs no server",
            )
        self._others = gui.add_folder("For other programs")
        with self._others:
            self._format = gui.add_dropdown(
                "Format", options=tuple(EXPORTS), hint="What `recon export` makes of the run"
            )
            self._space = gui.add_dropdown(
                "Space",
                options=tuple(SPACES),
                hint="The capture's own coordinates, as its cameras came or were found; or those "
                "of training: centred, up is +Z, cameras within about 1",
            )
            self._export = gui.add_button("Export the run", icon=viser.Icon.DOWNLOAD)
            self._ply = gui.add_button(
                "Save shown model (PLY)",
                icon=viser.Icon.DOWNLOAD,
                hint="What is chosen under Model, edits included, in normalised space",
            )
        self._progress = gui.add_progress_bar(0.0, visible=False)
        self._cancel = gui.add_button("Cancel", color="red", visible=False)
        self._wire()
        self.update()

    def _wire(self) -> None:
        session = self._session
        on_click(session, self._edit, self._edit_path)
        on_click(session, self._preview, self._play)
        on_click(session, self._film, lambda: self._work(self._make_film))
        on_click(session, self._still, lambda: self._work(self._make_still))
        on_click(session, self._page, lambda: self._work(self._make_page))
        on_click(session, self._export, lambda: self._work(self._make_export))
        on_click(session, self._ply, lambda: self._work(self._make_ply))
        on_click(session, self._cancel, self._cancelled.set)
        on_edit(session, self._closed, self._draw)
        gui = session.client.gui
        on_command(session, gui.add_command("Add a keyframe", hotkey="K"), self._add)
        still = gui.add_command("Save picture", hotkey="I")
        on_command(session, still, lambda: self._work(self._make_still))

    def update(self) -> None:
        """Follow the content: whether the model can be saved for other programs."""
        named, content = self._session.model(), self._session.content
        self._ply.visible = named is not None and named.is_splats
        saved = content.run_dir is not None
        for handle in (self._format, self._space, self._export):
            handle.visible = saved
        self._others.visible = saved or self._ply.visible

    def hide(self, hidden: bool) -> None:
        """Hide the path while pictures fill the canvas."""
        if self._line is not None:
            self._line.visible = not hidden

    # The path.

    def _edit_path(self) -> None:
        {"Add": self._add, "Undo": self._undo, "Clear": self._clear}[self._edit.value]()

    def _add(self) -> None:
        self._keyframes.append(self._session.pilot.viewpoint)
        self._draw()

    def _undo(self) -> None:
        if self._keyframes:
            self._keyframes.pop()
        self._draw()

    def _clear(self) -> None:
        self._keyframes.clear()
        self._draw()

    def _path(self) -> CameraPath:
        return CameraPath(tuple(self._keyframes), self._seconds.value, self._closed.value)

    def _draw(self) -> None:
        """The path as a line in the scene."""
        count = len(self._keyframes)
        self._count.content = f"{count} keyframes." if count else NO_KEYFRAMES
        if self._line is not None:
            self._line.remove()
            self._line = None
        if count >= 2:
            path = self._path()
            points = np.stack([path.at(x).position for x in np.linspace(0, 1, 16 * count)])
            self._line = self._session.client.scene.add_spline_catmull_rom(
                "/path",
                points=points,
                color=(255, 80, 160),
                thickness=2.0,
                thickness_units="screen",
            )

    def _play(self) -> None:
        self._session.explore()
        self._session.pilot.play(self._path().frames(FLIGHT_RATE))

    # Making files; each runs on a thread of the pool, one at a time for a page.

    def _work(self, make: Callable[[], tuple[str, bytes]]) -> None:
        """Make a file, with progress and a way to cancel, and send it to the browser."""
        if not self._busy.acquire(blocking=False):
            self._tell("Busy", "Wait for what is being made, or cancel it.")
            return
        try:
            self._cancelled.clear()
            self._progress.value = 0.0
            self._progress.visible = self._cancel.visible = True
            name, file = make()
            self._session.client.send_file_download(name, file, save_immediately=True)
        except _Cancelled:
            self._tell("Cancelled", "Nothing was saved.")
        finally:
            self._progress.visible = self._cancel.visible = False
            self._busy.release()

    def _tell(self, title: str, text: str) -> None:
        self._session.client.add_notification(title, text, auto_close_seconds=8.0)

    def _wanted(self) -> bool:
        return not self._cancelled.is_set() and not self._session.closed

    def _render(self, named: NamedModel, camera: Camera, own: bool = False) -> RenderOutput:
        """One full frame, in turn with everybody's."""
        session, scene = self._session, self._session.content.scene
        if own:
            layer = evaluated_layer(named, camera, scene)
        else:
            layer = shown_layer(named, camera, session.look, scene, session.look.mode)
        key = ("file", session.client.client_id)
        output = session.scheduler.render(key, layer, self._wanted)
        if output is None:
            raise _Cancelled
        return output

    def _model(self) -> NamedModel:
        named = self._session.model()
        if named is None:
            raise OptionError("there is no model to render yet")
        return named

    def _name(self, ending: str) -> str:
        stem = "".join(c if c.isalnum() else "_" for c in self._session.content.title) or "recon"
        return f"{stem}_{time.strftime('%H%M%S')}.{ending}"

    def _make_film(self) -> tuple[str, bytes]:
        path, rate = self._path(), int(self._rate.value)
        width, height = self._session.canvas
        tall = FILM_SIZES[self._film_size.value]
        size = even((round(tall * width / height), tall))
        total = path.frame_count(rate)

        def pictures() -> Iterator[Rgb8]:
            for index, viewpoint in enumerate(path.frames(rate)):
                camera = viewpoint.camera(*size)
                output = self._render(self._model(), camera)
                yield develop(output, camera, self._session.look.mode)
                self._progress.value = 100.0 * (index + 1) / total

        return self._name("mp4"), encode_film(pictures(), size, rate)

    def _make_still(self) -> tuple[str, bytes]:
        session = self._session
        shown = session.pilot.camera(session.look.longest)
        factor = STILL_SIZES[self._still_size.value]
        factor = min(factor, (MAX_STILL_PIXELS / (shown.width * shown.height)) ** 0.5)
        camera = shown.resized(round(shown.width * factor), round(shown.height * factor))
        picture = develop(self._render(self._model(), camera), camera, session.look.mode)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        return self._name("png"), file.getvalue()

    def _make_page(self) -> tuple[str, bytes]:
        def render(named: NamedModel, photo: PhotoTask) -> RenderOutput:
            return self._render(named, photo.camera, own=True)

        def progress(done: int, total: int) -> None:
            self._progress.value = 100.0 * done / total

        session = self._session
        page = comparison_page(session.content, session.photos, render, progress=progress)
        return self._name("html"), page.encode("utf-8")

    def _make_export(self) -> tuple[str, bytes]:
        run_dir = self._session.content.run_dir
        if run_dir is None:
            raise OptionError("this scene has no run to export")

        def progress(done: int, total: int) -> None:
            if not self._wanted():
                raise _Cancelled
            self._progress.value = 100.0 * done / max(1, total)

        to, space = EXPORTS[self._format.value], SPACES[self._space.value]
        ending, file = export_file(run_dir, to, space, progress)
        return self._name(ending), file

    def _make_ply(self) -> tuple[str, bytes]:
        from recon.viewer.variants import write_ply

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "splats.ply"
            write_ply(self._model().model, path)
            return self._name("ply"), path.read_bytes()


class _Cancelled(Exception):
    """The person changed their mind."""
