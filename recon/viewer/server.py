"""The viewer's server: a page for each client, one renderer for all of them."""

from __future__ import annotations

import ipaddress
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import rich
import viser

from recon.errors import OptionError
from recon.viewer.cameras import best_view, viewpoint_of
from recon.viewer.cost import Allowance
from recon.viewer.look import Look
from recon.viewer.opening import Opening
from recon.viewer.origin import refusing_strangers
from recon.viewer.panels import Panels
from recon.viewer.photos import Photos
from recon.viewer.request import Pace
from recon.viewer.scheduler import RenderScheduler
from recon.viewer.session import Session
from recon.viewer.tab_explore import configure_theme
from recon.viewer.tab_training import TrainingControl
from recon.viewer.wire import guarded
from recon.viewer.workspace import Content, Workspace

PORTS_TRIED = 50
PANEL_WIDTH = 340
"""Pixels; all tabs fit in one row."""


@dataclass(frozen=True)
class ServerOptions:
    """How to serve.

    Attributes:
        host: address to listen on; the default is reachable from this machine only.
        port: first port to try.
        readonly: nothing can be written, stopped or exported from the page.
        dark: the page's colours to begin with.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    readonly: bool = False
    dark: bool = True


class ViewerServer:
    """Serves a workspace until `stop`. Usable as a context manager.

    Attributes:
        visited: a page is open, or was.
    """

    def __init__(
        self,
        workspace: Workspace,
        options: ServerOptions | None = None,
        pace: Pace | None = None,
        allowance: Allowance | None = None,
        training: TrainingControl | None = None,
    ) -> None:
        self.workspace = workspace
        self.options = options or ServerOptions()
        self.visited = False
        port = free_port(self.options.host, self.options.port)
        self.scheduler = RenderScheduler(pace, allowance)
        self._photos = Photos()
        self._training = training
        self._panels: dict[int, Panels] = {}
        self._lock = threading.Lock()
        # A page that leaves while something is sent to it is no event for the terminal.
        warnings.filterwarnings("ignore", "Queued a .* on a closed connection", UserWarning)
        self._opening = Opening(workspace, self.scheduler, PANEL_WIDTH)
        with _hushed(), refusing_strangers(self.options.host, self._opening.answer):
            self._server = viser.ViserServer(
                host=self.options.host, port=port, label=self._label(), verbose=False
            )
        # Any page could ask for a public tunnel through a foreign server: never.
        self._server.request_share_url = lambda verbose=True: None
        self._server.scene.set_up_direction("+z")
        # Nothing here is lit, and lights are dear in a browser without a GPU. Without the map of
        # surroundings the canvas does not wait for it either, and fade in.
        self._server.scene.configure_default_lights(enabled=False, cast_shadow=False)
        self._server.scene.configure_environment_map(None)
        configure_theme(self._server.gui, self.options.dark)
        self._server.gui.main_panel.dock_right()
        self._server.gui.main_panel.set_width(PANEL_WIDTH)
        self._set_initial_camera(workspace.content)
        self._told = workspace.content
        self._changed = threading.Event()
        self._stopping = False
        self._teller = threading.Thread(target=self._tell, name="recon-pages", daemon=True)
        self._teller.start()
        self._end_listening = workspace.listen(self._changed.set)
        self._server.on_client_connect(self._on_connect)
        self._server.on_client_disconnect(self._on_disconnect)

    def __enter__(self) -> ViewerServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port in use, which may not be the one asked for."""
        return self._server.get_port()

    @property
    def url(self) -> str:
        host = self.options.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}"

    @property
    def watched(self) -> bool:
        """Whether a page is open."""
        with self._lock:
            return bool(self._panels)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The open pages."""
        with self._lock:
            return tuple(panel.session for panel in self._panels.values())

    def _label(self) -> str:
        title = self.workspace.content.title
        return "recon" if title == "recon" else f"recon: {title}"

    def stop(self) -> None:
        """Close the pages and end the threads."""
        self._end_listening()
        self._stopping = True
        self._opening.close()
        self._changed.set()
        for session in self.sessions:
            session.close()
        self.scheduler.stop()
        self._teller.join(timeout=2.0)
        with _hushed():
            self._server.stop()

    def _on_connect(self, client: viser.ClientHandle) -> None:
        look = Look(dark=self.options.dark)
        session = Session(client, self.workspace, self.scheduler, self._photos, look)
        panels = Panels(session, self.options.readonly, self._training)
        self.visited = True
        with self._lock:
            self._panels[client.client_id] = panels
        # The first picture before the panels: that is what people wait for. Only now, since what
        # is loaded from here on is told to the page.
        session.refresh()
        client.camera.on_update(lambda _: guarded(session, panels.on_camera))
        guarded(session, panels.build)
        if client.client_id not in self._server.get_clients():
            self._on_disconnect(client)  # it left before it was known: nobody else tells

    def _on_disconnect(self, client: viser.ClientHandle) -> None:
        with self._lock:
            panels = self._panels.pop(client.client_id, None)
        if panels is not None:
            panels.close()
        self.scheduler.drop(client.client_id)

    def _tell(self) -> None:
        """Pass changes of the content on to the pages, the latest only, on a thread of its own:
        whoever changes the content (training, say) is not held up by the pages."""
        while self._changed.wait() and not self._stopping:
            self._changed.clear()
            before, after = self._told, self.workspace.content
            self._told = after
            if after.scene is not before.scene:
                self._set_initial_camera(after)
            with self._lock:
                panels = tuple(self._panels.values())
            for panel in panels:
                # One page's trouble is told there; the others hear of the change all the same.
                guarded(panel.session, partial(_pass_on, panel, before, after))

    def _set_initial_camera(self, content: Content) -> None:
        scene = content.scene
        view = None if scene is None else best_view(scene)
        if scene is None or view is None:
            return
        # The client's aspect is not known yet: a landscape window is the usual case.
        viewpoint = viewpoint_of(view.camera, scene, aspect=1.4)
        camera = self._server.initial_camera
        camera.up = (0.0, 0.0, 1.0)
        camera.position = viewpoint.position
        camera.look_at = viewpoint.target
        camera.fov = viewpoint.fov
        self._opening.look_from(viewpoint)


def _pass_on(panels: Panels, before: Content, after: Content) -> None:
    if before.scene is None and after.scene is not None:
        panels.session.start_at_home()  # viser moves only those who come later
    panels.on_content(before, after)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep viser from printing: standard output may be meant for scripts."""
    console = rich.get_console()
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def free_port(host: str, first: int) -> int:
    """The first port from `first` on that `host` can listen on.

    Raises:
        OptionError: the address is not this machine's, or no port is free.
    """
    try:
        info = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise OptionError(
            f"the address {host} is not known ({error})", remedy="use --host 127.0.0.1"
        ) from error
    refusal: OSError | None = None
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        with socket.socket(info[0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((info[4][0], port))
                return port
            except OSError as error:
                refusal = error
    raise OptionError(
        f"cannot listen on {host}, ports {first} to {first + PORTS_TRIED - 1} ({refusal})",
        remedy="choose another with --port, or --host 127.0.0.1",
    )
