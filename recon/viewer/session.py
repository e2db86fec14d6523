"""One browser: what it wants to see, its camera, and the frames that go to it.

The panels change the look through the methods here; all of them may be called from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import viser

from recon.geometry import Camera
from recon.model import RenderOptions
from recon.viewer.cameras import best_view, pinhole, vertical_fov
from recon.viewer.compare import Comparison, ComparisonPicture, PhotoTask
from recon.viewer.compose import GAP, Arrangement, divider_at, hint_height, message
from recon.viewer.gallery import Gallery
from recon.viewer.images import Mode, Rgb8, about_count, develop
from recon.viewer.look import Look, Status
from recon.viewer.pilot import Pilot
from recon.viewer.request import Frame, Layer, Request, scaled
from recon.viewer.scheduler import RenderScheduler
from recon.viewer.shown import cost_key, render_shown
from recon.viewer.workspace import Content, NamedModel, Photos, Workspace

JPEG_MOVING = 70
JPEG_REST = 92

SAME_PLACE = 0.06
"""A click so near the magnifier's middle, in fractions of the picture, puts it away."""


class Session:
    """State of one client. `on_change` is called when panels should show something new."""

    def __init__(
        self,
        client: viser.ClientHandle,
        workspace: Workspace,
        scheduler: RenderScheduler,
        photos: Photos,
    ) -> None:
        self.client = client
        self.workspace = workspace
        self.photos = photos
        self.pilot = Pilot(client)
        self.look = Look()
        self.status = Status()
        self.arrangement = Arrangement()
        self.comparison: Comparison | None = None
        self.picture: ComparisonPicture | None = None
        self.gallery: Gallery | None = None
        self.on_change: Callable[[], None] = lambda: None
        self.on_status: Callable[[], None] = lambda: None
        self.scheduler = scheduler
        self._lock = threading.RLock()
        self._sent_canvas = (0, 0)
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the browser left."""
        return self._closed

    # What is looked at.

    @property
    def content(self) -> Content:
        return self.workspace.content

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of the pictures sent at rest."""
        return self.pilot.canvas(self.look.longest)

    def model(self) -> NamedModel | None:
        return self.content.model(self.look.model)

    def background(self) -> tuple[float, float, float]:
        """Behind the model: chosen, or the scene's own, or black."""
        scene = self.content.scene
        own = scene.background if scene is not None else None
        return self.look.background or own or (0.0, 0.0, 0.0)

    def set_look(self, look: Look) -> None:
        """Change how the model is shown."""
        with self._lock:
            self.look = look
        self.refresh()

    # Comparison with a photo.

    def compare(self, view_name: str) -> None:
        """Fly to a photo's view, then show truth, renders and error there. Blocks meanwhile."""
        content = self.content
        view = content.view(view_name)
        if view is None or content.scene is None:
            return
        with self._lock:
            self.comparison = self.picture = self.gallery = None
        self.on_change()
        if not self.pilot.fly_to_photo(view, content.scene):
            return
        with self._lock:
            self.comparison = Comparison(view_name, self.arrangement)
        self.on_change()
        self.refresh()

    def explore(self) -> None:
        """Leave the comparison or the thumbnails; the camera stays where it is."""
        with self._lock:
            if self.comparison is None and self.gallery is None:
                return
            self.comparison = self.picture = self.gallery = None
        self.on_change()
        self.refresh()

    def compare_here(self) -> None:
        """Show the methods beside one another from the free camera."""
        with self._lock:
            self.comparison = Comparison(None, self.arrangement)
            self.picture = self.gallery = None
        self.on_change()
        self.refresh()

    def show_gallery(self, split: str) -> None:
        """Show the photos of a split ("test" or "train") as thumbnails to choose from."""
        self.pilot.stay()
        with self._lock:
            self.comparison = self.picture = None
            self.gallery = Gallery.of(self.content, self.model(), split)
        self.on_change()
        self.refresh()

    @property
    def fixed(self) -> bool:
        """Whether the canvas shows pictures that do not follow the camera."""
        with self._lock:
            at_photo = self.comparison is not None and self.comparison.view is not None
            return at_photo or self.gallery is not None

    def arrange(self, **changes: Any) -> None:
        """Change fields of the arrangement, of this comparison and those to come."""
        with self._lock:
            self.arrangement = replace(self.arrangement, **changes)
            if self.comparison is None:
                return
            relaid = "layout" in changes and self.comparison.view is None
            self.comparison = replace(self.comparison, arrangement=self.arrangement)
            if relaid:
                self.picture = None
        if relaid:
            self.on_change()
            self.refresh()  # from a free camera, the layout decides what the panes see
        else:
            self._compose_again()

    def press(self, x: float, y: float) -> None:
        """A press at fractions of the canvas: a thumbnail is compared, else as for a drag; from a
        free camera, where drags move it, the magnifier is put there or away."""
        with self._lock:
            gallery, comparison = self.gallery, self.comparison
        if gallery is None:
            if comparison is not None and comparison.view is None:
                self._toggle_magnifier(x, y)
            else:
                self.drag(x, y)
            return
        view = gallery.pick((x, y), self.canvas)
        if view is not None:
            self.compare(view.name)

    def drag(self, x: float, y: float) -> None:
        """A drag at fractions of the canvas: the divider or the magnifier."""
        with self._lock:
            comparison, picture = self.comparison, self.picture
        if comparison is None or picture is None:
            return
        at = picture.locate(comparison, (x, y), *self.canvas)
        if at is not None and comparison.arrangement.layout == "Split":
            self.arrange(split=at[0])
        else:
            self.arrange(magnifier=at)

    def _toggle_magnifier(self, x: float, y: float) -> None:
        with self._lock:
            comparison, picture = self.comparison, self.picture
        if comparison is None or picture is None:
            return
        at = picture.locate(comparison, (x, y), *self.canvas)
        here = comparison.arrangement.magnifier
        if at is None or (here is not None and np.abs(np.subtract(at, here)).max() < SAME_PLACE):
            self.arrange(magnifier=None)
        else:
            self.arrange(magnifier=at)

    @property
    def divider(self) -> float | None:
        """Where a divider lies over pictures that follow the camera, as a fraction of the
        canvas's width; None when there is none."""
        with self._lock:
            comparison, picture = self.comparison, self.picture
        if comparison is None or comparison.view is not None or picture is None:
            return None
        if comparison.arrangement.layout != "Split" or len(picture.rendered) < 2:
            return None
        return divider_at(comparison.arrangement, picture.width / picture.height, self.canvas)

    def _compose_again(self) -> None:
        """Show the same renders arranged anew, unless better ones are under way anyway."""
        with self._lock:
            picture = self.picture
        if picture is not None and picture.final:
            request = Request((), lambda _: self._send_picture(), self.fail)
            self.scheduler.submit(self.client.client_id, request)

    def _send_picture(self) -> None:
        with self._lock:
            comparison, picture = self.comparison, self.picture
        if comparison is not None and picture is not None:
            width, height = self._sent_canvas = self.canvas
            quality = JPEG_REST if picture.final else JPEG_MOVING
            self.send(picture.compose(comparison, width, height, self.look.dark), quality)

    # Camera.

    def go_home(self) -> None:
        """Fly to where everyone starts."""
        scene = self.content.scene
        view = None if scene is None else best_view(scene)
        if scene is not None and view is not None:
            self.explore()
            self.pilot.fly_to_photo(view, scene)

    def start_at_home(self) -> None:
        """Be at once where everyone starts: the scene came after the page."""
        scene = self.content.scene
        view = None if scene is None else best_view(scene)
        if scene is not None and view is not None:
            self.pilot.place_at_photo(view, scene)

    def set_fov(self, fov: float) -> None:
        """Vertical field of view, radians."""
        self.pilot.set_fov(fov)
        self.refresh()

    def on_camera(self) -> None:
        """The browser's camera moved or its window changed size."""
        if not self.fixed:
            self.refresh(moving=True)
        elif self.pilot.left_home():
            self.explore()
        elif self._sent_canvas != self.canvas:
            if self.gallery is not None:
                self.refresh()
            else:
                self._compose_again()

    # Frames.

    def refresh(self, moving: bool = False) -> None:
        """Ask for a picture of the present state; replaces what was asked for before."""
        if self._closed:
            return
        content = self.content
        if content.phase != "ready" or not content.models:
            text = content.note if content.phase != "ready" else "No model yet: waiting ..."
            self.send(message(text, *self.canvas, dark=self.look.dark), JPEG_REST)
            return
        try:
            with self._lock:
                comparison, gallery = self.comparison, self.gallery
            if gallery is not None:
                request = self._gallery_request(content, gallery)
            elif comparison is None:
                request = self._explore_request(content, moving)
            elif comparison.view is None:
                request = self._free_request(content, comparison, moving)
            else:
                request = self._photo_request(content, comparison)
        except Exception as error:  # A photo that cannot be read, say: the page must tell.
            self.fail(error)
            return
        if request is not None:
            self.scheduler.submit(self.client.client_id, request)

    def _explore_request(self, content: Content, moving: bool) -> Request | None:
        named = content.model(self.look.model)
        if named is None:
            return None
        look, camera = self.look, self.pilot.camera(self.look.longest)
        layer = self.layer(named, camera, look.mode)

        def deliver(frame: Frame) -> None:
            picture = develop(frame.outputs[0], scaled(camera, frame.scale), look.mode)
            self.send(picture, JPEG_REST if frame.final else JPEG_MOVING)
            count = frame.outputs[0].depth if look.mode == "Splats per pixel" else None
            self.status.note = "" if count is None else about_count(count)
            self._note_frame(frame, picture.shape[1], picture.shape[0], layer)

        return Request((layer,), deliver, self.fail, "moving" if moving else "still")

    def _gallery_request(self, content: Content, gallery: Gallery) -> Request:
        def deliver(_: Frame) -> None:
            size = self._sent_canvas = self.canvas
            self.send(gallery.compose(self.photos, content, size, self.look.dark), JPEG_REST)

        return Request((), deliver, self.fail)

    def _photo_request(self, content: Content, comparison: Comparison) -> Request | None:
        """Truth and renders at the photo's own camera, exactly as `recon eval` renders it."""
        photo = PhotoTask.load(content, comparison.view or "", self.photos)
        if photo is None:
            return None
        named = comparison.methods(content, self.look.model)
        layers = tuple(self.layer(one, photo.camera, "Colour", own=True) for one in named)

        def deliver(frame: Frame) -> None:
            # The picture first: the figures take as long again.
            picture = ComparisonPicture.at_photo(photo, named, frame)
            self._deliver_picture(comparison.view, picture, frame, layers)
            if frame.final:
                measured = picture.measured(photo, frame)
                self._deliver_picture(comparison.view, measured, frame, layers)
                self.on_change()

        return Request(layers, deliver, self.fail)

    def _free_request(
        self, content: Content, comparison: Comparison, moving: bool
    ) -> Request | None:
        """The methods side by side from the free camera."""
        named = comparison.methods(content, self.look.model)
        width, height = self.canvas
        height = max(16, height - 2 * GAP - hint_height(width))
        if comparison.arrangement.layout == "Panes":
            width = max(16, (width - GAP) // len(named) - GAP)
        free = self.pilot.camera(self.look.longest)
        camera = pinhole(free.cam_from_world, vertical_fov(free), width, height)
        layers = tuple(self.layer(one, camera, "Colour") for one in named)

        def deliver(frame: Frame) -> None:
            picture = ComparisonPicture.at_camera(camera, named, frame)
            self._deliver_picture(None, picture, frame, layers)

        return Request(layers, deliver, self.fail, "moving" if moving else "still")

    def _deliver_picture(
        self,
        view: str | None,
        picture: ComparisonPicture,
        frame: Frame,
        layers: tuple[Layer, ...],
    ) -> None:
        with self._lock:
            if self.comparison is None or self.comparison.view != view:
                return
            first, self.picture = self.picture is None, picture
        self._send_picture()
        if first and view is None:
            self.on_change()  # now there may be a divider
        if layers:
            self._note_frame(frame, picture.width, picture.height, layers[0])

    def layer(self, named: NamedModel, camera: Camera, mode: Mode, own: bool = False) -> Layer:
        """What the scheduler needs to render a model; `own`: all of it, on the scene's own
        background, whatever the look."""
        scene, look = self.content.scene, self.look
        background = (scene.background if scene else None) if own else self.background()
        options = RenderOptions(
            background or (0.0, 0.0, 0.0),
            depth=mode in ("Depth", "Normals"),
            near=0.0 if own else look.near,
        )
        return Layer(
            key=cost_key(named, mode, options.depth),
            camera=camera,
            render=partial(render_shown, named, options, mode, None if own else look.preview),
            bands=named.bands,
        )

    def _note_frame(self, frame: Frame, width: int, height: int, layer: Layer) -> None:
        self.status.width, self.status.height = width, height
        self.status.seconds = frame.seconds
        self.status.pixels_per_second = self.scheduler.pixels_per_second(layer.key)
        self.status.final = frame.final
        self.status.tick(time.monotonic())
        self.on_status()

    def send(self, picture: Rgb8, quality: int) -> None:
        """Show a picture as the canvas's background."""
        if self._closed:
            return
        self.client.scene.set_background_image(picture, format="jpeg", jpeg_quality=quality)
        self.client.flush()

    def fail(self, error: Exception) -> None:
        """Say on the canvas why there is no picture."""
        text = str(error) or type(error).__name__
        self.send(message(text, *self.canvas, dark=self.look.dark), JPEG_REST)
        self.tell_error(error)

    def tell_error(self, error: Exception) -> None:
        """A notice in the page's corner; the canvas stays as it is."""
        if not self._closed:
            text = str(error) or type(error).__name__
            self.client.add_notification(
                "This did not work", text, color="red", auto_close_seconds=15.0
            )

    def close(self) -> None:
        """The browser left: free its work."""
        self._closed = True
        self.pilot.close()
        self.scheduler.drop(self.client.client_id)
