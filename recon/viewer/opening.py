"""What the browser shows before viser's client runs: the model, as a plain picture in the page.

A browser without a GPU needs seconds to load the client. The picture is rendered once, as soon as
there is a model, where everyone starts; the page puts it over the empty canvas, and takes it away
when the client draws its own first picture.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import threading
from collections.abc import Awaitable
from functools import lru_cache
from http import HTTPStatus
from importlib import resources

from PIL import Image
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from recon.model import RenderOptions
from recon.viewer.cameras import Viewpoint
from recon.viewer.images import to_rgb8
from recon.viewer.request import Layer
from recon.viewer.scheduler import RenderScheduler
from recon.viewer.shown import cost_key
from recon.viewer.workspace import Content, NamedModel, Workspace

PICTURE = "/opening.jpg"
PATIENCE = 8.0
"""Seconds that a browser waits for the picture at most: the handshake's own limit is 10."""

SIZE = (1280, 720)
"""Fits the height of the canvas; what is too wide is cut off."""

SLOW_SIZE = (320, 180)
"""The same of a method that marches rays."""

QUALITY = 85

CLIENT = b"<script data-p="
"""How viser's page begins its client; a page that does not is served with the picture all the same,
which is then painted a little later."""

HELD_CLIENT = b"<script type='recon/held' data-p="


class Opening:
    """Makes and serves the picture; see the module. Thread-safe.

    Args:
        panel_width: pixels at the right of the page that the picture leaves free.
    """

    def __init__(self, workspace: Workspace, scheduler: RenderScheduler, panel_width: int) -> None:
        self._workspace = workspace
        self._scheduler = scheduler
        self._panel_width = panel_width
        self._making = threading.Lock()
        self._made: tuple[NamedModel, bytes] | None = None
        self._viewpoint: Viewpoint | None = None
        self._closed = False

    def look_from(self, viewpoint: Viewpoint) -> None:
        """Where everyone starts; known once there is a scene."""
        with self._making:
            self._viewpoint, self._made = viewpoint, None
        if self._workspace.content.training is None:  # else the model is another one soon
            threading.Thread(target=self.picture, name="recon-opening", daemon=True).start()

    def close(self) -> None:
        """Let those go who wait."""
        self._closed = True

    def picture(self) -> bytes | None:
        """The picture of the present model as JPEG; None when there is none."""
        with self._making:
            ready = self._ready()
            if ready is None:
                return None
            if self._made is None or self._made[0] is not ready[1]:
                file = self._render(*ready)
                self._made = None if file is None else (ready[1], file)
            return None if self._made is None else self._made[1]

    def _ready(self) -> tuple[Content, NamedModel, Viewpoint] | None:
        content, viewpoint = self._workspace.content, self._viewpoint
        named = content.model("") if content.phase == "ready" else None
        return None if named is None or viewpoint is None else (content, named, viewpoint)

    def _render(self, content: Content, named: NamedModel, viewpoint: Viewpoint) -> bytes | None:
        own = None if content.scene is None else content.scene.background
        options = RenderOptions(own or (0.0, 0.0, 0.0))
        layer = Layer(
            key=cost_key(named, "Colour", depth=False),
            camera=viewpoint.camera(*(SLOW_SIZE if named.bands else SIZE)),
            render=lambda camera: named.model.render(camera, options),
        )
        try:
            output = self._scheduler.render("opening", layer, lambda: not self._closed)
        except Exception:  # Told by the page itself, which is about to ask for the same.
            return None
        if output is None:
            return None
        file = io.BytesIO()
        Image.fromarray(to_rgb8(output.color)).save(file, "JPEG", quality=QUALITY)
        return file.getvalue()

    # Over HTTP.

    def answer(
        self, request: Request, response: Response | None
    ) -> Awaitable[Response] | Response | None:
        """What to answer, given what viser would: the picture, or viser's page with it."""
        path = request.path.partition("?")[0]
        if path == PICTURE:
            return self._serve()
        if response is None or "html" not in response.headers.get("Content-Type", ""):
            return response
        if response.status_code != HTTPStatus.OK or response.body is None:
            return response
        ready, made = self._ready(), self._made
        current = made is not None and ready is not None and made[0] is ready[1]
        zipped = response.headers.get("Content-Encoding") == "gzip"
        page = _page(
            bytes(response.body), zipped, self._panel_width, made[1] if made and current else None
        )
        headers = Headers(response.headers)
        del headers["Content-Length"]
        headers["Content-Length"] = str(len(page))
        headers["Cache-Control"] = "no-store"
        return Response(response.status_code, response.reason_phrase, headers, page)

    async def _serve(self) -> Response:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while self._ready() is None and not self._closed and loop.time() < until:
            await asyncio.sleep(0.1)
        file = await loop.run_in_executor(None, self.picture)
        if file is None:
            return Response(
                HTTPStatus.NOT_FOUND, "Not Found", Headers({"Content-Length": "0"}), b""
            )
        headers = Headers(
            {
                "Content-Type": "image/jpeg",
                "Content-Length": str(len(file)),
                "Cache-Control": "no-store",
            }
        )
        return Response(HTTPStatus.OK, "OK", headers, file)


@lru_cache(maxsize=4)
def _page(body: bytes, zipped: bool, panel_width: int, picture: bytes | None) -> bytes:
    """viser's page with our part before all else in its head.

    With the picture in it, the client's script is held until that is painted.
    """
    page = gzip.decompress(body) if zipped else body
    ours = resources.files("recon.viewer").joinpath("pages/opening.html").read_text("utf-8")
    address = PICTURE
    if picture is not None:
        address = "data:image/jpeg;base64," + base64.b64encode(picture).decode("ascii")
        page = page.replace(CLIENT, HELD_CLIENT, 1)
    ours = ours.replace("__PANEL__", str(panel_width)).replace("__PICTURE__", address)
    page = page.replace(b"<head>", b"<head>\n" + ours.encode("utf-8"), 1)
    return gzip.compress(page, compresslevel=1) if zipped else page
