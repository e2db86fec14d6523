"""Ctrl-C: the first asks politely, the second ends the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

from recon.fit.events import StopRequest

T = TypeVar("T")

_SHOW_CURSOR = "\x1b[?25h"


class Interrupts:
    """Turns SIGINT and SIGTERM into a stop request while its context is open.

    Args:
        stop: what is asked.
        say: tells the person what is heard.
        ending: how the work in hand ends now, in plain words.

    Attributes:
        received: number of the first signal that came, None while none has.
    """

    def __init__(
        self,
        stop: StopRequest,
        say: Callable[[str], None],
        ending: Callable[[], str] = lambda: "stopping",
    ) -> None:
        self.received: int | None = None
        self._stop = stop
        self._say = say
        self._ending = ending

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Must be entered in the main thread: only there do signals arrive."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is not None:
            # Nothing is lost by this: what is on disk survives even a power cut.
            if sys.stderr.isatty():
                sys.stderr.write(_SHOW_CURSOR)
                sys.stderr.flush()
            os._exit(128 + number)
        self.received = number
        self._stop.request()
        self._say(f"{self._ending()} (Ctrl-C again ends at once)")


def run_in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own and wait for it.

    Python hands signals to the main thread only, between two of its instructions: in there, a
    long call into native code would keep Ctrl-C waiting.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    # Not a daemon: a model that is being saved must not be cut off at exit.
    thread = threading.Thread(target=call, name="recon-fit")
    thread.start()
    while thread.is_alive():
        thread.join(0.2)  # without a limit, Windows would not deliver signals
    if errors:
        raise errors[0]
    return results[0]
