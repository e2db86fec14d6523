"""One browser: what it wants to see. The panels change that through the methods here, from any
thread; `Frames` turns it into renders, `Board` holds what is compared, `Screen` sends pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import viser

from recon.scene import PosedScene, View
from recon.viewer.board import Board
from recon.viewer.cameras import best_view
from recon.viewer.frames import Frames
from recon.viewer.gallery import Gallery
from recon.viewer.look import Look
from recon.viewer.photos import Photos
from recon.viewer.pilot import Pilot
from recon.viewer.scheduler import RenderScheduler
from recon.viewer.screen import Screen
from recon.viewer.workspace import Content, NamedModel, Workspace


class Session:
    """State of one client.

    Attributes:
        on_change: called when panels should show something new.
        on_status: called when there is news of the last frame.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        workspace: Workspace,
        scheduler: RenderScheduler,
        photos: Photos,
        look: Look | None = None,
    ) -> None:
        self.client = client
        self.workspace = workspace
        self.scheduler = scheduler
        self.photos = photos
        self.on_change: Callable[[], None] = lambda: None
        self.on_status: Callable[[], None] = lambda: None
        self.pilot = Pilot(client)
        self.screen = Screen(client, self.pilot, look or Look())
        self.board = Board()
        self.frames = Frames(
            self.screen,
            self.pilot,
            self.board,
            photos,
            rate=scheduler.pixels_per_second,
            on_change=self._frames_changed,
            on_status=self._frames_noted,
        )

    # The listeners come after the frames that tell them.

    def _frames_changed(self) -> None:
        self.on_change()

    def _frames_noted(self) -> None:
        self.on_status()

    @property
    def closed(self) -> bool:
        """Whether the browser left."""
        return self.screen.closed

    # What is looked at.

    @property
    def content(self) -> Content:
        return self.workspace.content

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of the pictures sent at rest."""
        return self.screen.canvas

    @property
    def look(self) -> Look:
        """How the model is shown."""
        return self.screen.look

    def model(self) -> NamedModel | None:
        """The chosen model; the first one when that is gone."""
        return self.content.model(self.look.model)

    def set_look(self, look: Look) -> None:
        """Change how the model is shown."""
        self.screen.look = look
        self.refresh()

    # Comparison with a photo, or of the models.

    def compare(self, view_name: str) -> None:
        """Fly to a photo's view, then show truth, renders and error there. Blocks meanwhile."""
        content = self.content
        view = content.view(view_name)
        if view is None or content.scene is None:
            return
        self.board.clear()
        self.on_change()
        if not self.pilot.fly_to_photo(view, content.scene):
            return
        self.board.compare(view_name)
        self._covered()

    def compare_here(self) -> None:
        """Show the methods beside one another from the free camera."""
        self.board.compare(None)
        self._covered()

    def show_gallery(self, split: str) -> None:
        """Show the photos of a split ("test" or "train") as thumbnails to choose from."""
        self.pilot.stay()
        self.board.show_gallery(Gallery.of(self.content, self.model(), split))
        self._covered()

    def explore(self) -> None:
        """Leave the comparison or the thumbnails; the camera stays where it is."""
        if self.board.clear():
            self._covered()

    def _covered(self) -> None:
        """Something else covers the canvas, or nothing does any more."""
        self.on_change()
        self.refresh()

    def arrange(self, **changes: Any) -> None:
        """Change fields of the arrangement, of this comparison and those to come."""
        if self.board.arrange(**changes):
            self._covered()
        else:
            self._compose_again()

    def press(self, x: float, y: float) -> None:
        """A press at fractions of the canvas: a thumbnail is compared; else see `Board.pressed`."""
        gallery = self.board.gallery
        if gallery is None:
            self.arrange(**self.board.pressed((x, y), self.canvas))
            return
        view = gallery.pick((x, y), self.canvas)
        if view is not None:
            self.compare(view.name)

    def drag(self, x: float, y: float) -> None:
        """A drag at fractions of the canvas: the divider or the magnifier."""
        self.arrange(**self.board.dragged((x, y), self.canvas))

    def _compose_again(self) -> None:
        if self.content.phase != "ready":  # words stand in the picture's place, and stay there
            self.refresh()
            return
        request = self.frames.composed_again()
        if request is not None:
            self.scheduler.submit(self.client.client_id, request)

    # Camera.

    def _home(self) -> tuple[View, PosedScene] | None:
        scene = self.content.scene
        view = None if scene is None else best_view(scene)
        return None if scene is None or view is None else (view, scene)

    def go_home(self) -> None:
        """Fly to where everyone starts."""
        home = self._home()
        if home is not None:
            self.explore()
            self.pilot.fly_to_photo(*home)

    def start_at_home(self) -> None:
        """Be at once where everyone starts: the scene came after the page."""
        home = self._home()
        if home is not None:
            self.pilot.place_at_photo(*home)

    def set_fov(self, fov: float) -> None:
        """Vertical field of view, radians."""
        self.pilot.set_fov(fov)
        self.refresh()

    def on_camera(self) -> None:
        """The browser's camera moved or its window changed size."""
        if not self.board.fixed:
            self.refresh(moving=True)
        elif self.pilot.left_home():
            self.explore()
        elif self.frames.composed_for != self.canvas:
            if self.board.gallery is not None:
                self.refresh()
            else:
                self._compose_again()

    # Frames.

    def refresh(self, moving: bool = False) -> None:
        """Ask for a picture of the present state; replaces what was asked for before."""
        if self.closed:
            return
        content = self.content
        if content.phase != "ready" or not content.models:
            waiting = "No model yet: waiting ..."
            self.screen.say(content.note if content.phase != "ready" else waiting)
            return
        try:
            request = self.frames.request(content, moving)
        except Exception as error:  # A photo that cannot be read, say: the page must tell.
            self.screen.fail(error)
            return
        if request is not None:
            self.scheduler.submit(self.client.client_id, request)

    def close(self) -> None:
        """The browser left: free its work."""
        self.screen.close()
        self.pilot.close()
        self.scheduler.drop(self.client.client_id)
