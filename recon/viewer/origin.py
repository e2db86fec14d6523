"""Who may talk to the viewer: only pages that it served itself.

A browser lets any web page open a WebSocket to this machine, and viser takes them all: a page of
somebody else could read the capture and press the buttons. So the origin that the browser names
has to be the viewer itself, and the host it was reached by has to be one of this machine's names:
otherwise a foreign name that is made to point here (DNS rebinding) would pass for its own origin.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import websockets.asyncio.server as websocket_server

from recon.errors import BackendUnavailable

_patching = threading.Lock()

Answer = Callable[[Any, Any], Any]
"""Takes a request and viser's own response to it, returns a response or an awaitable of one."""


def refusal(headers: Mapping[str, str], listening: str) -> str | None:
    """Why a request is refused, in plain words; None when it is welcome.

    Args:
        headers: of the HTTP request; names in any case if the mapping allows that.
        listening: the address that was given to listen on.
    """
    host = headers.get("Host", "")
    name = _hostname(host)
    if name is None or not _is_ours(name, listening):
        return f"This viewer does not answer to the name {name or host!r}; use its address."
    origin = headers.get("Origin")
    if origin is None:  # No browser leaves it away when it opens a WebSocket.
        return None
    parts = urlsplit(origin)
    if parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower():
        return None
    return f"This viewer does not answer to pages of {origin}."


def _hostname(host: str) -> str | None:
    """The name in a Host header, without port and brackets, in lower case."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_ours(name: str, listening: str) -> bool:
    if name in ("localhost", listening.lower()) or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        machine = socket.gethostname().lower()
        return name in (machine, f"{machine}.local", machine.partition(".")[0])
    return True  # An address is no name that could be made to point elsewhere.


@contextmanager
def refusing_strangers(listening: str, answer: Answer | None = None) -> Iterator[None]:
    """A viser server that is made inside answers only to its own pages, and those as `answer` says.

    viser hands its request handler to `websockets` and offers no place for another: `serve` is
    wrapped while the server starts.

    Raises:
        BackendUnavailable: this release of viser starts its server in another way.
    """
    wrapped = False
    with _patching:
        serve = websocket_server.serve

        def guarded_serve(*args: Any, process_request: Any = None, **options: Any) -> Any:
            nonlocal wrapped
            wrapped = True

            def check(connection: Any, request: Any) -> Any:
                why = refusal(request.headers, listening)
                if why is not None:
                    return connection.respond(403, why + "\n")
                own = None if process_request is None else process_request(connection, request)
                return own if answer is None else answer(request, own)

            return serve(*args, process_request=check, **options)

        websocket_server.serve = guarded_serve
        try:
            yield
        finally:
            websocket_server.serve = serve
    if not wrapped:
        raise BackendUnavailable(
            "this release of viser cannot be kept to its own pages",
            remedy="install the one that recon was made with: pip install 'viser<1.2'",
        )
