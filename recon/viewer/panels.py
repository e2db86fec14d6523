"""The control panel of one client: tabs that act on its session and follow it."""

from __future__ import annotations

import threading
from functools import partial

import viser

from recon.viewer.overlays import Overlays
from recon.viewer.pointer import PointerSheet
from recon.viewer.session import Session
from recon.viewer.tab_capture import CaptureTab
from recon.viewer.tab_compare import CompareTab
from recon.viewer.tab_edit import EditTab
from recon.viewer.tab_explore import ExploreTab
from recon.viewer.tab_make import MakeTab
from recon.viewer.tab_training import TrainingControl, TrainingTab
from recon.viewer.wire import guarded
from recon.viewer.wording import as_html
from recon.viewer.workspace import Content

UPRIGHT = 0.8
"""Canvas width over height below which it is a phone's: there the panel makes way for a comparison.
Pixels would not tell: the browser's scale and its own economy change them."""


class Panels:
    """Builds the tabs once there is a scene, and passes changes on."""

    def __init__(
        self, session: Session, readonly: bool, control: TrainingControl | None = None
    ) -> None:
        self.session = session
        self._readonly = readonly
        self._control = control
        self._lock = threading.RLock()
        self._built = self._was_fixed = False
        self._pointer = PointerSheet(
            session.client,
            lambda x, y: guarded(session, partial(self._drag, x, y)),
            lambda x, y: guarded(session, partial(session.press, x, y)),
        )
        self._overlays: Overlays | None = None
        self._waiting: viser.GuiHtmlHandle | None = None
        self._explore: ExploreTab | None = None
        self._compare: CompareTab | None = None
        self._capture: CaptureTab | None = None
        self._training: TrainingTab | None = None
        self._make: MakeTab | None = None
        self._edit: EditTab | None = None

    def build(self) -> None:
        """Make the tabs, or say what is waited for; once there are tabs they say it."""
        session, gui = self.session, self.session.client.gui
        with self._lock:
            if self._built:
                return
            content = session.content
            if content.phase != "ready" or content.scene is None:
                if self._waiting is None:
                    self._waiting = gui.add_html("")
                self._waiting.content = as_html(content.note)
                return
            self._built = True
            if self._waiting is not None:
                self._waiting.remove()
                self._waiting = None
            self._overlays = Overlays(
                session.client,
                content.scene,
                session.photos,
                lambda name: guarded(session, partial(session.compare, name)),
            )
            tabs = gui.add_tab_group()
            if self._control is not None:
                with tabs.add_tab("Training"):
                    self._training = TrainingTab(session, self._control, self._readonly)
            with tabs.add_tab("Explore"):
                self._explore = ExploreTab(session, self._overlays)
            with tabs.add_tab("Compare"):
                self._compare = CompareTab(session)
            with tabs.add_tab("Capture"):
                self._capture = CaptureTab(session)
            if not self._readonly:
                with tabs.add_tab("Make"):
                    self._make = MakeTab(session)
                if self._control is None:  # a model in training would overtake every edit
                    with tabs.add_tab("Edit"):
                        self._edit = EditTab(session)
            session.on_change = self.update
            session.on_status = self._explore.update_status
            self._explore.update_status()

    def on_camera(self) -> None:
        """The browser's camera moved."""
        self.session.on_camera()
        if self.session.board.divider(self.session.canvas) is not None:
            with self._lock:
                self._cover()

    def _drag(self, x: float, y: float) -> None:
        self.session.drag(x, y)
        if not self.session.board.fixed:
            self._cover()

    def _cover(self) -> None:
        """Put the sheet that takes drags where it belongs now."""
        session = self.session
        width, height = session.canvas
        divider = session.board.divider(session.canvas)
        if session.board.fixed:
            self._pointer.cover(session.pilot.viewpoint)
        elif divider is not None:
            self._pointer.cover_divider(session.pilot.viewpoint, divider, width / height)
        else:
            self._pointer.uncover()

    def close(self) -> None:
        """The page left."""
        self.session.close()
        if self._edit is not None:
            self._edit.close()

    def on_content(self, before: Content, after: Content) -> None:
        """The workspace changed."""
        if not self._built:
            self.build()
            self.update()  # they may have been built meanwhile, of what was before
            self.session.refresh()
            return
        self.update()
        if not before.shows_same(after):
            self.session.refresh()

    def update(self) -> None:
        """The session or the content changed: all tabs follow."""
        with self._lock:
            fixed, free = self.session.board.fixed, self.session.board.comparison is not None
            for drawn in (self._overlays, self._make, self._edit):
                if drawn is not None:
                    drawn.hide(fixed or free)
            width, height = self.session.canvas
            self._pointer.listen(fixed or free)
            self._cover()
            if fixed and not self._was_fixed and width < UPRIGHT * height:
                self.session.client.gui.main_panel.minimize()
            self._was_fixed = fixed
            if self._explore is not None:
                self._explore.update()
            if self._compare is not None:
                self._compare.update()
            if self._capture is not None:
                self._capture.update()
            if self._training is not None:
                self._training.update()
            if self._make is not None:
                self._make.update()
