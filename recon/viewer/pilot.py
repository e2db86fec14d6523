"""The browser's camera: where it is, and moving it smoothly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import numpy as np
import viser

from recon.geometry import Camera
from recon.scene import PosedScene, View
from recon.viewer.cameras import UP, Viewpoint, canvas_size, fly, from_viser, viewpoint_of

FLIGHT_SECONDS = 0.7
FLIGHT_RATE = 30
"""Camera poses a second that are sent during a flight."""

GRACE_SECONDS = 0.6
"""How long after a flight the browser's own camera updates still belong to it."""


class Pilot:
    """Reads and moves the camera of one client. Thread-safe."""

    def __init__(self, client: viser.ClientHandle) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._flight = 0
        self._landed = -1e9
        self._home: Viewpoint | None = None
        self._closed = False

    def canvas(self, longest: int) -> tuple[int, int]:
        """Width and height of the browser's canvas, shrunk to at most `longest` pixels a side."""
        camera = self._client.camera
        return canvas_size(camera.image_width, camera.image_height, longest)

    @property
    def viewpoint(self) -> Viewpoint:
        """Where the camera is."""
        camera = self._client.camera
        return Viewpoint(np.asarray(camera.position), np.asarray(camera.look_at), float(camera.fov))

    def camera(self, longest: int) -> Camera:
        """The camera at the canvas's size."""
        camera = self._client.camera
        return from_viser(camera.wxyz, camera.position, camera.fov, *self.canvas(longest))

    def fly_to_photo(self, view: View, scene: PosedScene) -> bool:
        """Fly to where the photo was taken, so that all of it is in sight."""
        return self.fly_to(self._at_photo(view, scene))

    def place_at_photo(self, view: View, scene: PosedScene) -> None:
        """Be there at once."""
        self.place(self._at_photo(view, scene))

    def _at_photo(self, view: View, scene: PosedScene) -> Viewpoint:
        camera = self._client.camera
        aspect = camera.image_width / max(1, camera.image_height)
        return viewpoint_of(view.camera, scene, aspect)

    def fly_to(self, end: Viewpoint) -> bool:
        """Move there smoothly; blocks. False when another flight took over or the page left."""
        steps = max(2, round(FLIGHT_SECONDS * FLIGHT_RATE))
        return self.play(fly(self.viewpoint, end, steps))

    def play(self, viewpoints: Iterable[Viewpoint]) -> bool:
        """Show viewpoints at the flight rate; blocks. False as for `fly_to`."""
        with self._lock:
            self._flight += 1
            flight = self._flight
            self._home = None
        last = self.viewpoint
        due = time.monotonic()
        for viewpoint in viewpoints:
            if self._flight != flight or self._closed:
                return False
            self.place(viewpoint)
            last = viewpoint
            due += 1.0 / FLIGHT_RATE
            time.sleep(max(0.0, due - time.monotonic()))
        with self._lock:
            self._home = last
            self._landed = time.monotonic()
        return True

    def halt(self) -> None:
        """End the flight under way."""
        with self._lock:
            self._flight += 1

    def place(self, viewpoint: Viewpoint) -> None:
        """Put the camera there at once."""
        camera = self._client.camera
        with self._client.atomic():
            camera.up_direction = UP
            camera.position = viewpoint.position
            camera.look_at = viewpoint.target
            camera.fov = viewpoint.fov

    def set_fov(self, fov: float) -> None:
        """Vertical field of view, radians."""
        self._client.camera.fov = fov

    def left_home(self) -> bool:
        """Whether a person moved the camera away from where the last flight ended."""
        with self._lock:
            if self._home is None:
                return False
            here = self.viewpoint
            if time.monotonic() - self._landed < GRACE_SECONDS:
                # The browser rounds and clamps what it was told: home is what it made of it.
                self._home = here
            return _apart(self._home, here)

    def stay(self) -> None:
        """Take the present place for home, as after a flight."""
        with self._lock:
            self._home = self.viewpoint

    def close(self) -> None:
        """End a flight under way."""
        self._closed = True


def _apart(home: Viewpoint, here: Viewpoint) -> bool:
    """Whether two places differ by more than the browser's rounding."""
    distance = float(np.linalg.norm(home.target - home.position))
    shift = float(np.linalg.norm(here.position - home.position))
    turn = float(np.linalg.norm(here.target - home.target))
    return shift > 0.02 * distance or turn > 0.02 * distance
