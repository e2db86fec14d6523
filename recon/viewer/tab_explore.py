"""The "Explore" tab: how the model is shown, what is drawn over it, and how fast it is."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import viser

from recon.errors import OptionError
from recon.fit.quality import size_unit
from recon.viewer.overlays import Overlays
from recon.viewer.session import Session
from recon.viewer.shown import about_modes, modes_of
from recon.viewer.wire import on_click, on_command, on_edit

BACKGROUNDS: dict[str, tuple[float, float, float] | None] = {
    "Scene's own": None,
    "Black": (0.0, 0.0, 0.0),
    "White": (1.0, 1.0, 1.0),
    "Grey": (0.5, 0.5, 0.5),
}
SIZES = {"Half": 640, "Normal": 1280, "Full": 4096}
BY_SPLIT, BY_QUALITY = "Training or held out", "Quality"
FARTHEST_NEAR = 2.0
NONE: tuple[str, ...] = ("(none)",)
HELP = """**Move:** drag to orbit, right-drag to pan, wheel to zoom; `W A S D` to walk, `Q` `E` down
and up, arrows to turn; `H` home, `V` next mode.

**Compare with the photos:** `G` shows them all, `C` the worst one; or click a camera."""


class ExploreTab:
    """Builds the tab in the present container; `update` follows the session."""

    def __init__(self, session: Session, overlays: Overlays | None) -> None:
        self._session = session
        self._overlays = overlays
        self._last_status = 0.0
        gui = session.client.gui
        self._keys: dict[str, str] = {}
        self._model = gui.add_dropdown(
            "Model", options=NONE, visible=False, hint="Trained, saved in Edit, or a checkpoint"
        )
        self._mode = gui.add_dropdown(
            "Show", options=modes_of(session.model()), hint=about_modes(session.model())
        )
        self._cameras = gui.add_checkbox("Cameras", False, hint="Where the photos were taken")
        self._by = gui.add_dropdown(
            "Camera colours",
            options=(BY_SPLIT, BY_QUALITY),
            visible=False,
            hint="Blue: trained on, orange: held out. Or by PSNR: red the worst photo, green the "
            "best, grey not measured",
        )
        self._cloud = gui.add_checkbox(
            "Sparse points", False, hint="Points of the scene that were found with the cameras"
        )
        self._fov = gui.add_slider(
            "Field of view",
            min=10,
            max=120,
            step=1,
            initial_value=60,
            hint="Degrees, from the upper to the lower edge",
        )
        with gui.add_folder("More", expand_by_default=False):
            self._background = gui.add_dropdown(
                "Background",
                options=tuple(BACKGROUNDS),
                hint="Behind the model. Comparisons with photos keep the scene's own",
            )
            self._size = gui.add_dropdown(
                "Resolution",
                options=tuple(SIZES),
                initial_value="Normal",
                hint=f"Most pixels of a picture's longer side: {_sizes()}. Fewer are faster",
            )
            self._near = gui.add_slider(
                "Near plane",
                min=0.0,
                max=FARTHEST_NEAR,
                step=0.01,
                initial_value=session.look.near,
                hint="Leaves out what is nearer than this, in scene units: see behind a wall",
            )
            self._dark = gui.add_checkbox("Dark page", session.look.dark)
        self._home = gui.add_button(
            "Home", icon=viser.Icon.HOME, hint="Fly to where the page opened (H)"
        )
        self._status = gui.add_markdown("")
        gui.add_markdown(HELP)
        self._wire()
        self.update()

    def _wire(self) -> None:
        session = self._session
        on_edit(session, self._model, lambda: self._change(model=self._keys[self._model.value]))
        on_edit(session, self._mode, lambda: self._change(mode=self._mode.value))
        for handle in (self._cameras, self._cloud):
            on_edit(session, handle, self._show_overlays)
        on_edit(session, self._by, self._colour_cameras)
        on_edit(session, self._fov, lambda: session.set_fov(math.radians(self._fov.value)))
        on_edit(
            session,
            self._background,
            lambda: self._change(background=BACKGROUNDS[self._background.value]),
        )
        on_edit(session, self._size, lambda: self._change(longest=SIZES[self._size.value]))
        on_edit(session, self._near, lambda: self._change(near=float(self._near.value)))
        on_edit(session, self._dark, self._switch_dark)
        on_click(session, self._home, session.go_home)
        gui = session.client.gui
        home = gui.add_command("Home", description="Fly to the first view", hotkey="H")
        on_command(session, home, session.go_home)
        mode = gui.add_command("Next mode", description="Colour, depth, ...", hotkey="V")
        on_command(session, mode, self._next_mode)

    def _change(self, **fields: Any) -> None:
        self._session.set_look(replace(self._session.look, **fields))

    def _next_mode(self) -> None:
        modes = modes_of(self._session.model())
        now = self._session.look.mode
        following = modes[(modes.index(now) + 1) % len(modes)] if now in modes else modes[0]
        self._mode.value = following
        self._change(mode=following)

    def _show_overlays(self) -> None:
        self._by.visible = self._cameras.value
        if self._overlays is not None:
            self._overlays.colour_by(self._quality() if self._by.value == BY_QUALITY else None)
            self._overlays.show(self._cameras.value, self._cloud.value)

    def _colour_cameras(self) -> None:
        self._show_overlays()
        if self._by.value == BY_QUALITY and not self._quality():
            raise OptionError(
                "no photo was measured for this model: all cameras are grey",
                remedy="`recon eval` measures the held-out photos",
            )

    def _quality(self) -> dict[str, float]:
        """PSNR of the photos that `recon eval` measured for the model shown."""
        named, content = self._session.model(), self._session.content
        rows = [s for s in content.scores if named and s.method == named.model.method]
        return {name: score.psnr for row in rows for name, score in row.views.items()}

    def _switch_dark(self) -> None:
        configure_theme(self._session.client.gui, self._dark.value)
        self._change(dark=self._dark.value)

    def update(self) -> None:
        """Follow the content: which models there are."""
        models = self._session.content.models
        labels = [m.label for m in models]
        # Two pages may be editing: their models are told apart by key.
        names = [m.label if labels.count(m.label) == 1 else f"{m.label} {m.key}" for m in models]
        self._keys = dict(zip(names, (m.key for m in models), strict=True))
        chosen = self._session.model()
        if chosen is not None:
            options = tuple(self._keys)
            if self._model.options != options:
                self._model.options = options
            self._model.value = names[[m.key for m in models].index(chosen.key)]
        self._model.visible = len(models) > 1
        self._near.visible = chosen is not None and chosen.can_be_cut
        modes = modes_of(chosen)
        if self._mode.options != modes:
            self._mode.options = modes
            self._mode.hint = about_modes(chosen)
        if self._session.look.mode not in modes:
            self._change(mode=modes[0])
        self._mode.value = self._session.look.mode

    def update_status(self) -> None:
        """Follow the frames, at most twice a second while they are many."""
        now = time.monotonic()
        status = self._session.frames.status
        if now - self._last_status < 0.5 and not status.final:
            return
        self._last_status = now
        named = self._session.model()
        size = ""
        if named is not None and named.model.size:  # none is known until it was read
            size = f"{named.model.size:,} {size_unit(named.model.method)}. "
        rate = "" if status.final else f", {status.frames_per_second:.0f} pictures a second"
        text = (
            f"{size}Last picture: {status.width} x {status.height} in "
            f"{1000 * status.seconds:.0f} ms, {status.pixels_per_second / 1e6:.1f} million pixels "
            f"a second{rate}."
        )
        # Assigned at once: each assignment is a message to the page.
        self._status.content = text + (f"\n\n{status.note}" if status.note else "")
        fov = round(math.degrees(self._session.pilot.viewpoint.fov))
        if abs(fov - self._fov.value) >= 1 and 10 <= fov <= 120:
            self._fov.value = fov


def _sizes() -> str:
    return ", ".join(f"{name} {pixels:,}" for name, pixels in SIZES.items())


def configure_theme(gui: viser.GuiApi, dark: bool) -> None:
    """The page's colours. No share button: it would send the capture through a foreign server."""
    gui.configure_theme(
        dark_mode=dark, show_logo=False, show_share_button=False, brand_color=(20, 110, 180)
    )
