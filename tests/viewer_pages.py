"""Pages of the viewer without a browser: they speak viser's protocol, and draw nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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
async def open_page(port: int) -> AsyncIterator[ClientConnection]:
    """A page that has told where its camera is."""
    protocol = Subprotocol(f"viser-v{viser.__version__}")
    address = f"ws://127.0.0.1:{port}"
    async with connect(address, subprotocols=[protocol], proxy=None, max_size=None) as page:
        await page.send(msgspec.msgpack.encode(CAMERA))
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


def _unpacked(message: str | bytes) -> bytes:
    """viser's own framing: two lengths of eight bytes, then zstd."""
    assert isinstance(message, bytes)
    packed = message[16 : 16 + int.from_bytes(message[8:16], "little")]
    return zstandard.ZstdDecompressor().decompress(packed)
