"""What reaches one browser: pictures on its canvas, messages in their place, notices."""

from __future__ import annotations

import viser

from recon.viewer.compose import message
from recon.viewer.images import Rgb8
from recon.viewer.look import Look
from recon.viewer.pilot import Pilot

JPEG_MOVING = 70
JPEG_REST = 92

NOTICE_SECONDS = 15.0
"""How long an error is told in the page's corner."""


class Screen:
    """The canvas of one client. May be used from any thread; after `close` nothing is sent.

    Attributes:
        look: how its owner wants to see the model; replaced as a whole.
        closed: the browser left.
    """

    def __init__(self, client: viser.ClientHandle, pilot: Pilot, look: Look) -> None:
        self.look = look
        self.closed = False
        self._client = client
        self._pilot = pilot

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of the pictures sent at rest."""
        return self._pilot.canvas(self.look.longest)

    def show(self, picture: Rgb8, *, sharp: bool) -> None:
        """Show a picture (H, W, 3) as the canvas's background; `sharp`: nothing better follows."""
        if self.closed:
            return
        quality = JPEG_REST if sharp else JPEG_MOVING
        self._client.scene.set_background_image(picture, format="jpeg", jpeg_quality=quality)
        self._client.flush()

    def say(self, text: str) -> None:
        """Only words on the canvas."""
        self.show(message(text, *self.canvas, dark=self.look.dark), sharp=True)

    def fail(self, error: Exception) -> None:
        """Say on the canvas why there is no picture."""
        self.say(_words(error))
        self.notify(error)

    def notify(self, error: Exception) -> None:
        """Tell of an error in the page's corner; the canvas stays as it is."""
        if not self.closed:
            self._client.add_notification(
                "This did not work", _words(error), color="red", auto_close_seconds=NOTICE_SECONDS
            )

    def close(self) -> None:
        """The browser left."""
        self.closed = True


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
