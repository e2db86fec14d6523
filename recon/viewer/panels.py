"""The control panel of one client: tabs that act on its session and follow it."""

from __future__ import annotations

import threading

import viser

from recon.viewer.overlays import Overlays
from recon.viewer.session import Session
from recon.viewer.tab_capture import CaptureTab
from recon.viewer.tab_compare import CompareTab
from recon.viewer.tab_explore import ExploreTab
from recon.viewer.workspace import Content


class Panels:
    """Builds the tabs once there is a scene, and passes changes on."""

    def __init__(self, session: Session, readonly: bool) -> None:
        self.session = session
        self.readonly = readonly
        self._lock = threading.RLock()
        self._built = False
        self._overlays: Overlays | None = None
        self._waiting: viser.GuiMarkdownHandle | None = None
        self._explore: ExploreTab | None = None
        self._compare: CompareTab | None = None
        self._capture: CaptureTab | None = None

    def build(self) -> None:
        """Make the tabs, or say what is waited for."""
        session, gui = self.session, self.session.client.gui
        with self._lock:
            content = session.content
            if content.phase != "ready" or content.scene is None:
                if self._waiting is None:
                    self._waiting = gui.add_markdown("")
                self._waiting.content = content.note
                return
            if self._built:
                return
            self._built = True
            if self._waiting is not None:
                self._waiting.remove()
                self._waiting = None
            self._overlays = Overlays(
                session.client, content.scene, session.photos, session.compare
            )
            tabs = gui.add_tab_group()
            with tabs.add_tab("Explore", viser.Icon.EYE):
                self._explore = ExploreTab(session, self._overlays)
            with tabs.add_tab("Compare", viser.Icon.COLUMNS):
                self._compare = CompareTab(session)
            with tabs.add_tab("Capture", viser.Icon.CAMERA):
                self._capture = CaptureTab(session)
            session.on_change = self.update
            session.on_status = self._explore.update_status
        self._compare.fill_gallery()

    def on_content(self, before: Content, after: Content) -> None:
        """The workspace changed."""
        if not self._built:
            self.build()
            self.session.refresh()
            return
        self.update()
        if before.models != after.models or before.phase != after.phase:
            self.session.refresh()

    def update(self) -> None:
        """The session or the content changed: all tabs follow."""
        with self._lock:
            if self._overlays is not None:
                self._overlays.hide(self.session.comparison is not None)
            if self._explore is not None:
                self._explore.update()
            if self._compare is not None:
                self._compare.update()
            if self._capture is not None:
                self._capture.update()
