"""The "Compare" tab: choose a photo, worst first, and how truth and renders are laid out."""

from __future__ import annotations

import viser

from recon.errors import OptionError
from recon.metrics import about_left_out
from recon.scene import View
from recon.viewer.compose import LAYOUTS
from recon.viewer.error_pane import ABOUT_ERRORS, about_missing, available_kinds
from recon.viewer.session import Session
from recon.viewer.wire import on_click, on_command, on_edit
from recon.viewer.workspace import Content

HELD_OUT, TRAINED_ON, BACK = "Held out", "Trained on", "Previous"
NONE: tuple[str, ...] = ("(none)",)
ABOUT_LAYOUTS = (
    "Panes: all beside one another. Split: photo and render with a divider between. Flicker: one "
    "after the other in the same place, F switches"
)
INTRO = "Pick a photo: the camera flies there and shows **photo | render | error**."


class CompareTab:
    """Builds the tab in the present container; `update` follows the session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        gui = session.client.gui
        self._names: dict[str, str] = {}
        gui.add_markdown(INTRO)
        self._split = gui.add_dropdown(
            "Choose from",
            options=(HELD_OUT, TRAINED_ON),
            hint="Held-out photos were never seen in training: they show what the model can do",
        )
        self._view = gui.add_dropdown(
            "Photo", options=NONE, hint="The worst one first, where photos were measured"
        )
        self._all = gui.add_button("Choose from thumbnails", icon=viser.Icon.LAYOUT_GRID)
        self._show = gui.add_button("Show photo and render", icon=viser.Icon.COLUMNS)
        self._step = gui.add_button_group("Go to", options=(BACK, "Next"))
        self._layout = gui.add_dropdown("Layout", options=LAYOUTS, hint=ABOUT_LAYOUTS)
        self._error = gui.add_dropdown(
            "Error", options=available_kinds(), hint=ABOUT_ERRORS + about_missing()
        )
        self._divider = gui.add_slider(
            "Divider",
            min=0.0,
            max=1.0,
            step=0.01,
            initial_value=0.5,
            visible=False,
            hint="From left to right; it can be dragged in the picture, too",
        )
        self._figures = gui.add_markdown("")
        self._here = gui.add_button(
            "Compare the models from here",
            icon=viser.Icon.LAYERS_SUBTRACT,
            hint="Beside one another where the camera is now, without a photo",
        )
        self._leave = gui.add_button("Back to exploring", icon=viser.Icon.ARROW_BACK)
        self._leave.visible = False
        self._fill()
        self._wire()
        self.update()

    # The list of photos.

    def _views(self, content: Content) -> list[tuple[View, float | None]]:
        """Photos of the chosen split with their PSNR, worst first."""
        scene = content.scene
        if scene is None:
            return []
        held_out = self._split.value == HELD_OUT
        views = scene.test_views if held_out else scene.train_views
        named = self._session.model()
        if named is None:
            return [(view, None) for view in views]
        scored: list[tuple[View, float | None]] = []
        for view in content.worst_first(views, named):
            score = content.score(named.model.method, view.name)
            scored.append((view, None if score is None else score.psnr))
        return scored

    def _fill(self) -> None:
        views = self._views(self._session.content)
        self._names = {_label(view, psnr): view.name for view, psnr in views}
        options = tuple(self._names) or NONE
        if self._view.options != options:
            chosen = self._names.get(self._view.value)
            self._view.options = options
            self._view.value = next(
                (label for label, name in self._names.items() if name == chosen), options[0]
            )

    # Acting.

    def _wire(self) -> None:
        session = self._session

        on_edit(session, self._split, self._fill)
        on_edit(session, self._view, self.open)
        on_edit(session, self._layout, self._lay_out)
        on_edit(session, self._error, lambda: session.arrange(error=self._error.value))
        on_edit(session, self._divider, self._divide)
        on_click(session, self._all, self.choose)
        on_click(session, self._show, self.open)
        on_click(session, self._step, lambda: self.move(-1 if self._step.value == BACK else 1))
        on_click(session, self._here, session.compare_here)
        on_click(session, self._leave, session.explore)
        gui = session.client.gui
        commands = (
            (gui.add_command("Choose from thumbnails", hotkey="G"), self.choose),
            (gui.add_command("Compare at the chosen photo", hotkey="C"), self.open),
            (gui.add_command("Next photo", hotkey="N"), lambda: self.move(1)),
            (gui.add_command("Previous photo", hotkey="P"), lambda: self.move(-1)),
            (gui.add_command("Flicker between the panes", hotkey="F"), self.flicker),
            (gui.add_command("Back to exploring", hotkey="escape"), session.explore),
        )
        for command, act in commands:
            on_command(session, command, act)

    def open(self) -> None:
        """Compare at the photo chosen in the list."""
        self._require_photos()
        self._session.compare(self._names[self._view.value])

    def choose(self) -> None:
        """Show the thumbnails."""
        self._require_photos()
        self._session.show_gallery("test" if self._split.value == HELD_OUT else "train")

    def move(self, by: int) -> None:
        """To a neighbour in the list, round its end."""
        self._require_photos()
        labels = list(self._names)
        now = labels.index(self._view.value) if self._view.value in labels else 0
        self._view.value = labels[(now + by) % len(labels)]
        self.open()

    def _require_photos(self) -> None:
        if not self._names:
            held_out = self._split.value == HELD_OUT
            kind, other = ("held out", TRAINED_ON) if held_out else ("trained on", HELD_OUT)
            raise OptionError(
                f"no photo of this scene is {kind}",
                remedy=f"choose {other!r} under Compare, Choose from",
            )

    def flicker(self) -> None:
        """Show the next pane in the same place."""
        if self._session.board.comparison is None:
            self.open()
        arrangement = self._session.board.arrangement
        # Coming from panes, the first one was in sight already: go on with the second.
        shown = arrangement.shown + 1 if arrangement.layout == "Flicker" else 1
        self._layout.value = "Flicker"
        self._session.arrange(layout="Flicker", shown=shown)

    def _lay_out(self) -> None:
        self._divider.visible = self._layout.value == "Split"
        self._session.arrange(layout=self._layout.value, magnifier=None)

    def _divide(self) -> None:
        self._session.arrange(split=float(self._divider.value))
        if not self._session.board.fixed:
            self._session.on_change()  # what takes drags at the divider moves with it

    # Following.

    def update(self) -> None:
        """Follow the comparison: its photo, its figures."""
        self._fill()
        comparison, picture = self._session.board.comparison, self._session.board.picture
        self._leave.visible = comparison is not None or self._session.board.gallery is not None
        self._here.visible = len(self._session.content.models) > 1
        self._layout.value = self._session.board.arrangement.layout
        self._divider.visible = self._session.board.arrangement.layout == "Split"
        self._divider.value = round(self._session.board.arrangement.split, 2)
        if comparison is not None:
            for label, name in self._names.items():
                if name == comparison.view:
                    self._view.value = label
        if comparison is None or picture is None:
            self._figures.content = ""
            return
        rows = ["| | PSNR | SSIM |", "| --- | --- | --- |"]
        for one in picture.rendered:
            if one.score is not None:
                ssim = "-" if one.score.ssim is None else f"{one.score.ssim:.4f}"
                rows.append(f"| {one.named.label} | {one.score.psnr:.2f} dB | {ssim} |")
        if picture.view is None:
            self._figures.content = ""
            return
        told = "held out: no training saw it" if picture.view.split == "test" else "trained on"
        size = f"{picture.width} x {picture.height}"
        masked = about_left_out(picture.counted)
        masked = f", {masked}: hatched, and in no figure" if masked else ""
        self._figures.content = "\n".join(rows) + f"\n\n{size}, {told}{masked}"


def _label(view: View, psnr: float | None) -> str:
    return view.name if psnr is None else f"{view.name}  {psnr:.2f} dB"
