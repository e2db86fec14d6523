"""Pages of the viewer without a browser: they speak viser's protocol, and draw nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import viser
import zstandard
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

PATIENCE = 60.0
"""Seconds to wait for anything: machines that test may be busy."""

JPEG = b"\xff\xd8\xff"
"""How such a file begins."""

CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": (1.0, 0.0, 0.0, 0.0), "position": (0.0, 0.0, -2.0),
    "fov": 1.0, "near": 0.01, "far": 100.0, "image_height": 120, "image_width": 160,
    "look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, 0.0, 1.0),
}  # fmt: skip


@asynccontextmanager
async def open_page(
    port: int, canvas: tuple[int, int] = (160, 120)
) -> AsyncIterator[ClientConnection]:
    """A page that has told where its camera is, and how wide and high it shows that."""
    protocol = Subprotocol(f"viser-v{viser.__version__}")
    address = f"ws://127.0.0.1:{port}"
    async with connect(address, subprotocols=[protocol], proxy=None, max_size=None) as page:
        size = {"image_width": canvas[0], "image_height": canvas[1]}
        await page.send(msgspec.msgpack.encode({**CAMERA, **size}))
        yield page


async def hears(page: ClientConnection, *words: bytes) -> bool:
    """Whether a message with all of these words arrives before the server hangs up."""
    async with asyncio.timeout(PATIENCE):
        async for message in page:
            unpacked = _unpacked(message)
            if all(word in unpacked for word in words):
                return True
    return False


async def gets_picture(page: ClientConnection) -> bool:
    """Whether a picture arrives. viser itself begins with an empty one: that does not count."""
    return await hears(page, b"BackgroundImageMessage", JPEG)


async def last_picture(page: ClientConnection, done: Callable[[], bool]) -> bytes:
    """The file of the picture that the page shows once `done` and nothing more is sent to it."""
    file = b""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                message = _unpacked(await asyncio.wait_for(page.recv(), 0.5))
            except TimeoutError:
                if done() and file:
                    return file
                continue
            if b"BackgroundImageMessage" in message and JPEG in message:
                file = message[message.rindex(JPEG) :]


def _unpacked(message: str | bytes) -> bytes:
    """viser's own framing: two lengths of eight bytes, then zstd."""
    assert isinstance(message, bytes)
    packed = message[16 : 16 + int.from_bytes(message[8:16], "little")]
    return zstandard.ZstdDecompressor().decompress(packed)
