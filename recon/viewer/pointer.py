"""Pressing and dragging on pictures: divider, magnifier, thumbnails.

viser reports drags on scene nodes only, and a drag on no node orbits the camera. So an invisible
sheet right before the camera takes them: over the whole canvas while pictures are shown that
cannot be orbited, over a divider alone while they can.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import viser

from recon.viewer.cameras import Viewpoint, to_viser

DISTANCE = 0.05
"""From the camera to the sheet, world units: behind the near plane (0.01), before all else."""

SIZE = 40 * DISTANCE
"""Wide enough for every field of view and window."""

GRIP = 0.03
"""Width of the sheet over a divider, as a fraction of the canvas's height."""


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
        self._whole = True
        self._listening = False
        self._lock = threading.Lock()

    def cover(self, viewpoint: Viewpoint) -> None:
        """Take all drags."""
        self._place(viewpoint, None)

    def cover_divider(self, viewpoint: Viewpoint, at: float, aspect: float) -> None:
        """Take drags that begin at a divider, and leave the others to the camera.

        Args:
            at: the divider's place, fraction of the canvas's width.
            aspect: the canvas's width over its height.
        """
        across = math.tan(viewpoint.fov / 2) * aspect
        self._place(viewpoint, (2 * at - 1) * across)

    def _place(self, viewpoint: Viewpoint, aside: float | None) -> None:
        """`aside`: to the right, in distances from the camera; None covers everything."""
        camera = viewpoint.camera(2, 2)
        wxyz, position = to_viser(camera)
        axes = camera.world_from_cam[:3, :3]
        middle = position + DISTANCE * (axes[:, 2] + (aside or 0.0) * axes[:, 0])
        with self._lock:
            whole = aside is None
            if self._sheet is not None and whole != self._whole:
                self._sheet.remove()
                self._sheet = None
            self._whole = whole
            if self._sheet is None:
                width = SIZE if whole else 2 * GRIP * DISTANCE * math.tan(viewpoint.fov / 2)
                self._sheet = self._make(width)
            self._sheet.position = middle
            self._sheet.wxyz = wxyz

    def _make(self, width: float) -> viser.ImageHandle:
        # A transparent picture is the cheapest node there is for a browser without a GPU:
        # no lights, and no outline since only drags are asked for.
        sheet = self._client.scene.add_image(
            "/pointer",
            np.zeros((2, 2, 4), np.uint8),
            width,
            SIZE,
            format="png",
            cast_shadow=False,
            receive_shadow=False,
        )

        @sheet.on_drag("left")
        async def _(event: Any) -> None:
            # async: drags stay in order; the work itself is done on the render thread.
            self._on_drag(*event.end_screen_pos)

        return sheet

    def uncover(self) -> None:
        """Give drags back to the camera."""
        with self._lock:
            if self._sheet is not None:
                self._sheet.remove()
                self._sheet = None

    def listen(self, presses: bool) -> None:
        """Whether presses are told, on the sheet or beside it."""
        with self._lock:
            if presses and not self._listening:
                self._client.scene.on_click()(self._clicked)
            elif self._listening and not presses:
                self._client.scene.remove_click_callback(self._clicked)
            self._listening = presses

    def _clicked(self, event: viser.SceneClickEvent) -> None:
        self._on_press(*event.screen_pos)
