"""One browser: what it wants to see, its camera, and the frames that go to it.

The panels change the look through the methods here; all of them may be called from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import viser

from recon.geometry import Camera
from recon.model import RenderOptions, RenderOutput
from recon.viewer.cameras import (
    UP,
    Viewpoint,
    best_view,
    canvas_size,
    fly,
    from_viser,
    viewpoint_of,
)
from recon.viewer.compare import Comparison, ComparisonPicture
from recon.viewer.compose import message
from recon.viewer.images import Mode, Rgb8, develop
from recon.viewer.scheduler import Frame, Layer, RenderScheduler, Request, scaled
from recon.viewer.workspace import Content, NamedModel, Photos, Workspace

FLIGHT_SECONDS = 0.7
FLIGHT_RATE = 30
"""Camera poses a second that are sent during a flight."""

GRACE_SECONDS = 0.6
"""How long after a flight the browser's own camera updates still belong to it."""

JPEG_MOVING = 70
JPEG_REST = 92


@dataclass(frozen=True)
class Look:
    """How one client wants to see the model.

    Attributes:
        model: key of the model.
        longest: most pixels on the longer side of a frame.
        background: sRGB 0..1 behind the model; None is the scene's own.
    """

    model: str = ""
    mode: Mode = "Colour"
    longest: int = 1280
    background: tuple[float, float, float] | None = None
    dark: bool = True


@dataclass
class Status:
    """What the last frame was like, for the status line."""

    width: int = 0
    height: int = 0
    seconds: float = 0.0
    pixels_per_second: float = 0.0
    frames_per_second: float = 0.0
    _times: list[float] = field(default_factory=list)

    def tick(self, now: float) -> None:
        self._times = [t for t in self._times if now - t < 1.0] + [now]
        self.frames_per_second = float(len(self._times))


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
        self.look = Look()
        self.status = Status()
        self.comparison: Comparison | None = None
        self.picture: ComparisonPicture | None = None
        self.on_change: Callable[[], None] = lambda: None
        self.on_status: Callable[[], None] = lambda: None
        self._scheduler = scheduler
        self._lock = threading.RLock()
        self._flight = 0
        self._landed = -1e9
        self._home: Viewpoint | None = None
        self._closed = False

    # What is looked at.

    @property
    def content(self) -> Content:
        return self.workspace.content

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of the pictures sent at rest."""
        camera = self.client.camera
        return canvas_size(camera.image_width, camera.image_height, self.look.longest)

    @property
    def viewpoint(self) -> Viewpoint:
        """Where the browser's camera is."""
        camera = self.client.camera
        return Viewpoint(np.asarray(camera.position), np.asarray(camera.look_at), float(camera.fov))

    @property
    def camera(self) -> Camera:
        """The browser's camera at the canvas's size."""
        camera = self.client.camera
        return from_viser(camera.wxyz, camera.position, camera.fov, *self.canvas)

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
            arrangement = None if self.comparison is None else self.comparison.arrangement
            self.comparison = self.picture = None
        self.on_change()
        camera = self.client.camera
        aspect = camera.image_width / max(1, camera.image_height)
        if not self.fly_to(viewpoint_of(view.camera, content.scene, aspect)):
            return
        comparison = Comparison(view_name)
        if arrangement is not None:
            comparison = replace(comparison, arrangement=arrangement)
        with self._lock:
            self.comparison = comparison
        self.on_change()
        self.refresh()

    def explore(self) -> None:
        """Leave the comparison; the camera stays where it is."""
        with self._lock:
            if self.comparison is None:
                return
            self.comparison = self.picture = None
        self.on_change()
        self.refresh()

    def arrange(self, change: Callable[[Comparison], Comparison]) -> None:
        """Change the comparison's layout: the pictures are composed anew, not rendered."""
        with self._lock:
            if self.comparison is None:
                return
            self.comparison = comparison = change(self.comparison)
            picture = self.picture
        if picture is not None:
            self.send(picture.compose(comparison, *self.canvas, dark=self.look.dark), JPEG_REST)

    # Camera.

    def fly_to(self, end: Viewpoint) -> bool:
        """Move the browser's camera there smoothly; False when another flight took over."""
        with self._lock:
            self._flight += 1
            flight = self._flight
            self._home = None
        steps = max(2, round(FLIGHT_SECONDS * FLIGHT_RATE))
        for viewpoint in fly(self.viewpoint, end, steps):
            if self._flight != flight or self._closed:
                return False
            self._place(viewpoint)
            time.sleep(1.0 / FLIGHT_RATE)
        with self._lock:
            self._home = end
            self._landed = time.monotonic()
        return True

    def go_home(self) -> None:
        """Fly to where everyone starts."""
        scene = self.content.scene
        view = None if scene is None else best_view(scene)
        if scene is not None and view is not None:
            self.explore()
            camera = self.client.camera
            aspect = camera.image_width / max(1, camera.image_height)
            self.fly_to(viewpoint_of(view.camera, scene, aspect))

    def set_fov(self, fov: float) -> None:
        """Vertical field of view, radians."""
        self.client.camera.fov = fov
        self.refresh()

    def _place(self, viewpoint: Viewpoint) -> None:
        camera = self.client.camera
        with self.client.atomic():
            camera.up_direction = UP
            camera.position = viewpoint.position
            camera.look_at = viewpoint.target
            camera.fov = viewpoint.fov

    def on_camera(self) -> None:
        """The browser's camera moved or its window changed size."""
        with self._lock:
            home = self._home
            if self.comparison is not None and home is not None:
                here = self.viewpoint
                if time.monotonic() - self._landed < GRACE_SECONDS:
                    self._home = here
                elif _moved(home, here):
                    self.comparison = self.picture = None
                    self.on_change()
        self.refresh(interactive=self.comparison is None)

    # Frames.

    def refresh(self, interactive: bool = False) -> None:
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
                comparison = self.comparison
            request = (
                self._explore_request(content, interactive)
                if comparison is None
                else self._compare_request(content, comparison)
            )
        except Exception as error:  # A photo that cannot be read, say: the page must tell.
            self.fail(error)
            return
        if request is not None:
            self._scheduler.submit(self.client.client_id, request)

    def _explore_request(self, content: Content, interactive: bool) -> Request | None:
        named = content.model(self.look.model)
        if named is None:
            return None
        look, camera = self.look, self.camera
        layer = self.layer(named, camera, look.mode)

        def deliver(frame: Frame) -> None:
            picture = develop(frame.outputs[0], scaled(camera, frame.scale), look.mode)
            self.send(picture, JPEG_REST if frame.final else JPEG_MOVING)
            self._note_frame(frame, picture.shape[1], picture.shape[0], layer)

        return Request((layer,), deliver, self.fail, interactive)

    def _compare_request(self, content: Content, comparison: Comparison) -> Request | None:
        assert content.scene is not None
        view = content.view(comparison.view)
        if view is None:
            return None
        camera = content.eval_camera(view)
        named = comparison.methods(content, self.look.model)
        layers = tuple(self.layer(one, camera, "Colour") for one in named)
        truth = self.photos.at(view, camera, content.scene)

        def deliver(frame: Frame) -> None:
            picture = ComparisonPicture.of(view, truth, named, frame)
            with self._lock:
                now = self.comparison
                if now is None or now.view != comparison.view:
                    return
                self.picture = picture
            width, height = self.canvas
            self.send(picture.compose(now, width, height, dark=self.look.dark), JPEG_REST)
            if layers:
                self._note_frame(frame, camera.width, camera.height, layers[0])
            if frame.final:
                self.on_change()

        return Request(layers, deliver, self.fail, interactive=False)

    def layer(self, named: NamedModel, camera: Camera, mode: Mode) -> Layer:
        """What the scheduler needs to render a model."""
        options = RenderOptions(background=self.background(), depth=mode in ("Depth", "Normals"))
        return Layer(
            key=(named.key, options.depth),
            camera=camera,
            render=partial(_render, named, options),
            bands=named.bands,
        )

    def _note_frame(self, frame: Frame, width: int, height: int, layer: Layer) -> None:
        self.status.width, self.status.height = width, height
        self.status.seconds = frame.seconds
        self.status.pixels_per_second = self._scheduler.pixels_per_second(layer.key)
        self.status.tick(time.monotonic())
        self.on_status()

    def send(self, picture: Rgb8, quality: int) -> None:
        """Show a picture as the canvas's background."""
        if self._closed:
            return
        self.client.scene.set_background_image(picture, format="jpeg", jpeg_quality=quality)
        self.client.flush()

    def fail(self, error: Exception) -> None:
        """Tell on the page what went wrong."""
        text = str(error) or type(error).__name__
        self.send(message(text, *self.canvas, dark=self.look.dark), JPEG_REST)
        self.client.add_notification(
            "This could not be shown", text, color="red", auto_close_seconds=15.0
        )

    def close(self) -> None:
        """The browser left: free its work."""
        self._closed = True
        self._scheduler.drop(self.client.client_id)


def _render(named: NamedModel, options: RenderOptions, camera: Camera) -> RenderOutput:
    return named.model.render(camera, options)


def _moved(home: Viewpoint, here: Viewpoint) -> bool:
    """Whether the camera left the place of the comparison by more than the browser's rounding."""
    distance = float(np.linalg.norm(home.target - home.position))
    shift = float(np.linalg.norm(here.position - home.position))
    turn = float(np.linalg.norm(here.target - home.target))
    return shift > 0.02 * distance or turn > 0.02 * distance
