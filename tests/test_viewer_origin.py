"""The viewer answers to its own pages only: foreign origins and foreign names are refused."""

from __future__ import annotations

import asyncio
import http.client

import pytest
import viser
import websockets.asyncio.server as websocket_server
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from recon.errors import BackendUnavailable
from recon.viewer.origin import refusal, refusing_strangers
from recon.viewer.server import ServerOptions, ViewerServer
from recon.viewer.workspace import Workspace


def told(host: str, origin: str | None = None, listening: str = "127.0.0.1") -> str | None:
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    return refusal(headers, listening)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "LocalHost"])
def test_its_own_page_is_welcome(host: str) -> None:
    assert told(host) is None
    assert told(host, f"http://{host}") is None


@pytest.mark.parametrize(
    "origin",
    [
        "https://elsewhere.example",
        "http://localhost:3000",  # another server on this machine
        "http://127.0.0.1",
        "file://localhost:8080",
        "null",
        "",
    ],
)
def test_a_foreign_origin_is_refused(origin: str) -> None:
    assert told("localhost:8080", origin) is not None


@pytest.mark.parametrize("host", ["elsewhere.example:8080", "", "[", "localhost.elsewhere.example"])
def test_a_foreign_name_is_refused_even_as_its_own_origin(host: str) -> None:
    assert told(host, f"http://{host}") is not None
    assert told(host, f"http://{host}", listening="0.0.0.0") is not None


def test_the_name_it_listens_on_is_its_own() -> None:
    assert told("scanner.lan:8080", "http://scanner.lan:8080", listening="scanner.lan") is None
    assert told("192.168.1.7:8080", "http://192.168.1.7:8080", listening="0.0.0.0") is None


def test_a_served_viewer_refuses_them() -> None:
    async def open_from(origin: str) -> None:
        protocol = Subprotocol(f"viser-v{viser.__version__}")
        async with connect(
            f"ws://127.0.0.1:{server.port}",
            origin=Origin(origin),
            subprotocols=[protocol],
            proxy=None,
        ) as socket:
            await socket.recv()

    def page(host: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()

    with ViewerServer(Workspace(), ServerOptions(port=8600)) as server:
        asyncio.run(open_from(f"http://127.0.0.1:{server.port}"))
        for origin in ("http://elsewhere.example", f"http://localhost:{server.port}"):
            with pytest.raises(InvalidStatus) as refused:
                asyncio.run(open_from(origin))
            assert refused.value.response.status_code == 403
        assert page(f"127.0.0.1:{server.port}")[0] == 200
        status, text = page("elsewhere.example")
        assert (status, b"elsewhere.example" in text) == (403, True)


def test_a_server_that_cannot_be_guarded_is_not_started() -> None:
    before = websocket_server.serve
    with pytest.raises(BackendUnavailable), refusing_strangers("127.0.0.1"):
        pass
    assert websocket_server.serve is before
