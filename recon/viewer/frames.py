"""From what one page shows to requests for the renderer, and from its frames to the page."""

from __future__ import annotations

import time
from collections.abc import Callable

from recon.viewer.board import Board
from recon.viewer.cameras import pinhole, vertical_fov
from recon.viewer.compare import Comparison, ComparisonPicture, PhotoTask
from recon.viewer.compose import GAP, hint_height
from recon.viewer.gallery import Gallery
from recon.viewer.images import about_count, develop
from recon.viewer.look import Status
from recon.viewer.photos import Photos
from recon.viewer.pilot import Pilot
from recon.viewer.request import Frame, Layer, Request, scaled
from recon.viewer.screen import Screen
from recon.viewer.shown import evaluated_layer, shown_layer
from recon.viewer.workspace import Content


class Frames:
    """Makes one page's requests, and shows what comes of them. Thread-safe.

    Args:
        screen, pilot, board: of the page.
        rate: pixels a second that a layer was rendered at so far.
        on_change: called when panels should follow what the board holds.
        on_status: called when `status` is new.

    Attributes:
        status: what the last frame was like.
        composed_for: size of the canvas that thumbnails or a comparison were last drawn for.
    """

    def __init__(
        self,
        screen: Screen,
        pilot: Pilot,
        board: Board,
        photos: Photos,
        rate: Callable[[Layer], float],
        on_change: Callable[[], None],
        on_status: Callable[[], None],
    ) -> None:
        self.status = Status()
        self.composed_for = (0, 0)
        self._screen = screen
        self._pilot = pilot
        self._board = board
        self._photos = photos
        self._rate = rate
        self._on_change = on_change
        self._on_status = on_status

    def request(self, content: Content, moving: bool) -> Request | None:
        """What has to be rendered for the page as it is now; None when there is nothing.

        Raises:
            ReconError: a photo cannot be read.
        """
        comparison, gallery = self._board.comparison, self._board.gallery
        if gallery is not None:
            return self._gallery(content, gallery)
        if comparison is None:
            return self._free_view(content, moving)
        if comparison.view is None:
            return self._free_comparison(content, comparison, moving)
        return self._photo_comparison(content, comparison, comparison.view)

    def composed_again(self) -> Request | None:
        """The renders that there are, arranged anew; None while better ones are under way."""
        picture = self._board.picture
        if picture is None or not picture.final:
            return None
        return Request((), lambda _: self._show_board(), self._screen.fail)

    def _free_view(self, content: Content, moving: bool) -> Request | None:
        named = content.model(self._screen.look.model)
        if named is None:
            return None
        look = self._screen.look
        camera = self._pilot.camera(look.longest)
        layer = shown_layer(named, camera, look, content.scene, look.mode)

        def deliver(frame: Frame) -> None:
            picture = develop(frame.outputs[0], scaled(camera, frame.scale), look.mode)
            self._screen.show(picture, sharp=frame.final)
            count = frame.outputs[0].depth if look.mode == "Splats per pixel" else None
            self.status.note = "" if count is None else about_count(count)
            self._note(frame, picture.shape[1], picture.shape[0], layer)

        return Request((layer,), deliver, self._screen.fail, "moving" if moving else "still")

    def _gallery(self, content: Content, gallery: Gallery) -> Request:
        def deliver(_: Frame) -> None:
            size = self.composed_for = self._screen.canvas
            picture = gallery.compose(self._photos, content, size, self._screen.look.dark)
            self._screen.show(picture, sharp=True)

        return Request((), deliver, self._screen.fail)

    def _photo_comparison(
        self, content: Content, comparison: Comparison, view: str
    ) -> Request | None:
        """Truth and renders at the photo's own camera, exactly as `recon eval` renders it."""
        photo = PhotoTask.load(content, view, self._photos)
        if photo is None:
            return None
        named = comparison.methods(content, self._screen.look.model)
        layers = tuple(evaluated_layer(one, photo.camera, content.scene) for one in named)

        def deliver(frame: Frame) -> None:
            # The picture first: the figures take as long again.
            picture = ComparisonPicture.at_photo(photo, named, frame)
            self._put(view, picture, frame, layers)
            if frame.final:
                self._put(view, picture.measured(photo, frame), frame, layers)
                self._on_change()

        return Request(layers, deliver, self._screen.fail)

    def _free_comparison(
        self, content: Content, comparison: Comparison, moving: bool
    ) -> Request | None:
        """The methods side by side from the free camera."""
        look = self._screen.look
        named = comparison.methods(content, look.model)
        width, height = self._screen.canvas
        height = max(16, height - 2 * GAP - hint_height(width))
        if comparison.arrangement.layout == "Panes":
            width = max(16, (width - GAP) // max(1, len(named)) - GAP)
        free = self._pilot.camera(look.longest)
        camera = pinhole(free.cam_from_world, vertical_fov(free), width, height)
        layers = tuple(shown_layer(one, camera, look, content.scene, "Colour") for one in named)

        def deliver(frame: Frame) -> None:
            picture = ComparisonPicture.at_camera(camera, named, frame)
            first = self._board.picture is None
            if self._put(None, picture, frame, layers) and first:
                self._on_change()  # now there may be a divider

        return Request(layers, deliver, self._screen.fail, "moving" if moving else "still")

    def _put(
        self, view: str | None, picture: ComparisonPicture, frame: Frame, layers: tuple[Layer, ...]
    ) -> bool:
        """Show renders of a comparison; False when that is over."""
        if not self._board.put(view, picture):
            return False
        self._show_board()
        if layers:
            self._note(frame, picture.width, picture.height, layers[0])
        return True

    def _show_board(self) -> None:
        comparison, picture = self._board.shown
        if comparison is not None and picture is not None:
            size = self.composed_for = self._screen.canvas
            canvas = picture.compose(comparison, *size, self._screen.look.dark)
            self._screen.show(canvas, sharp=picture.final)

    def _note(self, frame: Frame, width: int, height: int, layer: Layer) -> None:
        self.status.width, self.status.height = width, height
        self.status.seconds = frame.seconds
        self.status.pixels_per_second = self._rate(layer)
        self.status.final = frame.final
        self.status.tick(time.monotonic())
        self._on_status()
