"""The "Edit" tab: cut parts away with a box, undo, save the result as a new model."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import numpy as np
import viser

from recon.errors import OptionError
from recon.geometry import rotation_from_quat
from recon.model import RadianceModel
from recon.viewer.box import Box, Cut
from recon.viewer.session import Session
from recon.viewer.wire import guarded, on_click, on_edit
from recon.viewer.workspace import Content, NamedModel

UNDO_STEPS = 8
WHOLE, WITHOUT_INSIDE, WITHOUT_OUTSIDE = "Whole model", "Without the inside", "Inside only"
BOX_COLOUR = (80, 220, 120)


class EditTab:
    """Builds the tab in the present container. The edited model appears to all clients."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._history: list[RadianceModel] = []
        self._gizmo: viser.TransformControlsHandle | None = None
        self._lines: viser.LineSegmentsHandle | None = None
        self._key = f"edited-{session.client.client_id}"
        gui = session.client.gui
        gui.add_markdown(
            "Parts are cut away with a box: tick it, place it, cut. The trained model is kept."
        )
        self._show = gui.add_checkbox(
            "Box", False, hint="Drag its arrows to move it and its arcs to turn it"
        )
        self._size = gui.add_vector3(
            "Size",
            (1.0, 1.0, 1.0),
            min=(0.01, 0.01, 0.01),
            max=(100.0, 100.0, 100.0),
            step=0.05,
            hint="Along the box's own axes, in scene units",
        )
        self._preview = gui.add_dropdown(
            "Preview",
            options=(WHOLE, WITHOUT_INSIDE, WITHOUT_OUTSIDE),
            hint="See what a cut would leave while you move the box",
        )
        self._cut = gui.add_button_group(
            "Cut away", options=("Inside", "Outside"), hint="What lies inside the box, or outside"
        )
        self._undo = gui.add_button(
            "Undo", icon=viser.Icon.ARROW_BACK_UP, hint=f"The last {UNDO_STEPS} cuts"
        )
        self._name = gui.add_text("Name", "edited", hint="Of the file that is saved")
        self._save = gui.add_button(
            "Save as a new model",
            icon=viser.Icon.DEVICE_FLOPPY,
            hint="In edits/ in the run directory; it is listed under Explore, Model from then on",
        )
        self._said = gui.add_markdown("")
        on_edit(session, self._show, self._show_box)
        on_edit(session, self._size, self._draw)
        on_edit(session, self._preview, self._show_preview)
        on_click(session, self._cut, self._cut_away)
        on_click(session, self._undo, self._step_back)
        on_click(session, self._save, self._save_model)

    def close(self) -> None:
        """The page left: an edit that was not saved goes with it."""
        self._session.workspace.update(lambda now: _without(now, self._key))

    def hide(self, hidden: bool) -> None:
        """Hide the box while pictures fill the canvas."""
        for node in (self._gizmo, self._lines):
            if node is not None:
                node.visible = self._show.value and not hidden

    # The box.

    def _show_box(self) -> None:
        with self._lock:
            if self._gizmo is None and self._show.value:
                centre, half = self._start()
                self._size.value = 2 * half
                self._gizmo = self._session.client.scene.add_transform_controls(
                    "/box", scale=float(half.max()), position=centre, depth_test=False
                )
                self._gizmo.on_update(lambda _: guarded(self._session, self._draw))
        self._draw()
        self._show_preview()
        self.hide(False)

    def _start(self) -> tuple[np.ndarray, np.ndarray]:
        """Middle and half extents of the bulk of the sparse points."""
        scene = self._session.content.scene
        xyz = np.zeros((0, 3)) if scene is None else scene.points.xyz
        if len(xyz) < 10:
            return np.zeros(3), np.full(3, 0.5)
        low, high = np.percentile(xyz, (10, 90), axis=0)
        return (low + high) / 2, np.maximum((high - low) / 2, 0.02)

    def _box(self) -> Box:
        if self._gizmo is None:
            raise OptionError("there is no box yet", remedy="tick Box and place it first")
        return Box(
            np.asarray(self._gizmo.position, dtype=np.float64),
            np.asarray(self._size.value, dtype=np.float64) / 2,
            rotation_from_quat(self._gizmo.wxyz),
        )

    def _draw(self) -> None:
        if self._gizmo is None:
            return
        points = self._box().edges()
        with self._lock:
            if self._lines is None:
                self._lines = self._session.client.scene.add_line_segments(
                    "/box_edges",
                    points=points,
                    colors=BOX_COLOUR,
                    thickness=2.0,
                    thickness_units="screen",
                )
            else:
                self._lines.points = points
        if self._session.look.preview is not None:
            self._show_preview()

    def _show_preview(self) -> None:
        """Show what the cut would leave; the whole model when no box is in sight."""
        off = self._preview.value == WHOLE or not self._show.value or self._gizmo is None
        cut = None if off else Cut(self._box(), self._preview.value == WITHOUT_OUTSIDE)
        if cut is not None or self._session.look.preview is not None:
            self._session.set_look(replace(self._session.look, preview=cut))

    # Acting.

    def _cut_away(self) -> None:
        from recon.viewer.variants import cut

        named = self._session.model()
        if named is None or not named.can_be_cut:
            raise OptionError(
                "this model cannot be cut", remedy="choose splats or a NeRF under Explore, Model"
            )
        model = cut(named.model, self._box(), keep_inside=self._cut.value == "Outside")
        with self._lock:
            if named.key != self._key:
                self._history.clear()
            self._history = [*self._history[-UNDO_STEPS:], named.model]
        self._preview.value = WHOLE
        self._show_preview()
        self._offer(model)
        self._say(
            f"{named.model.size - model.size:,} splats cut away, {model.size:,} left."
            if named.is_splats
            else "Cut away, to the cells that the NeRF marks as empty."
        )

    def _step_back(self) -> None:
        with self._lock:
            if not self._history:
                raise OptionError("there is nothing to undo")
            model = self._history.pop()
        self._offer(model)
        self._say(f"{model.size:,} splats again." if model.method == "splat" else "Undone.")

    def _offer(self, model: RadianceModel) -> None:
        """Put the edited model among the models, and show it here."""
        named = NamedModel(self._key, f"{model.method} (edited)", model, aside=True)

        def change(content: Content) -> Content:
            kept = _without(content, self._key)
            return replace(kept, models=(*kept.models, named))

        self._session.workspace.update(change)
        self._session.set_look(replace(self._session.look, model=self._key))

    def _save_model(self) -> None:
        from recon.viewer.models import save_edit

        content = self._session.content
        if content.run_dir is None:
            raise OptionError("this scene has no run directory to save in")
        found = [m for m in content.models if m.key == self._key]
        if not found:
            raise OptionError("nothing was edited yet", remedy="place the box and cut first")
        name = re.sub(r"[^\w\-]+", "_", self._name.value).strip("_") or "edited"
        path = save_edit(content.run_dir, name, found[0].model)
        self._say(f"Saved as `{path.parent.name}/{path.name}`. `recon view` lists it.")

    def _say(self, text: str) -> None:
        self._said.content = text


def _without(content: Content, key: str) -> Content:
    return replace(content, models=tuple(m for m in content.models if m.key != key))
