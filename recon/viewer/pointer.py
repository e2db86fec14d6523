"""Pressing and dragging on pictures that fill the canvas: divider, magnifier, thumbnails.

viser reports drags on scene nodes only, and a drag on no node orbits the camera. So an invisible
sheet right before the camera takes them while pictures are shown that cannot be
orbited.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import viser

from recon.viewer.cameras import Viewpoint

DISTANCE = 0.05
"""From the camera to the sheet, world units: behind the near plane (0.01), before all else."""

SIZE = 40 * DISTANCE
"""Wide enough for every field of view and window."""


class PointerSheet:
    """Tells of drags and presses as (x, y), fractions of the canvas from its upper left.

    Args:
        on_drag: called on the web server's own thread: must return at once.
        on_press: called on a thread of the pool.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        on_drag: Callable[[float, float], None],
        on_press: Callable[[float, float], None],
    ) -> None:
        self._client = client
        self._on_drag = on_drag
        self._on_press = on_press
        self._sheet: viser.ImageHandle | None = None
        self._lock = threading.Lock()

    def place(self, viewpoint: Viewpoint) -> None:
        """Put the sheet before the camera."""
        forward = viewpoint.target - viewpoint.position
        forward = forward / np.linalg.norm(forward)
        middle = viewpoint.position + DISTANCE * forward
        with self._lock:
            if self._sheet is not None:
                self._sheet.position = middle
                self._sheet.wxyz = _facing(forward)
                return
            # A transparent picture is the cheapest node there is for a browser without a GPU:
            # no lights, and no outline since only drags are asked for.
            self._sheet = sheet = self._client.scene.add_image(
                "/pointer",
                np.zeros((2, 2, 4), np.uint8),
                SIZE,
                SIZE,
                format="png",
                position=middle,
                wxyz=_facing(forward),
                cast_shadow=False,
                receive_shadow=False,
            )

            @sheet.on_drag("left")
            async def _(event: Any) -> None:
                # async: drags stay in order; the work itself is done on the render thread.
                self._on_drag(*event.end_screen_pos)

            self._client.scene.on_click()(self._clicked)

    def remove(self) -> None:
        """Give drags back to the camera."""
        with self._lock:
            if self._sheet is not None:
                self._client.scene.remove_click_callback(self._clicked)
                self._sheet.remove()
                self._sheet = None

    def _clicked(self, event: viser.SceneClickEvent) -> None:
        self._on_press(*event.screen_pos)


def _facing(forward: np.ndarray) -> np.ndarray:
    """wxyz of a rotation that takes +Z to `forward`."""
    w = 1.0 + forward[2]
    if w < 1e-9:
        return np.array([0.0, 1.0, 0.0, 0.0])
    quat = np.array([w, -forward[1], forward[0], 0.0])
    return quat / np.linalg.norm(quat)
