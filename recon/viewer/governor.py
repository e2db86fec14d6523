"""Keeps what watching a training costs to a share of the time, by measuring it.

Rendering is not all of it: snapshots hold training up, pictures are encoded and sent, pages are
kept up to date. Whatever the rest takes is taken from what may be rendered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

MOST = 0.09
"""Share of the time that watching may take in all: below the tenth that is promised."""

LEAST_RENDERING = 0.01
"""Share that is left for rendering however much the rest takes: the page must not freeze."""

INTERVAL = 5.0
"""Seconds that each measurement spans at least."""

MOST_OWED = 30.0 * MOST
"""Seconds of overspending that are remembered: half a minute of watching, so that one long copy is
paid back, and yet a page that made a film does not wait for minutes."""


class Governor:
    """Sets the share of the time that may be rendered.

    Args:
        set_share: takes the share, 0..1.
        rendering: seconds spent rendering so far.
        helping: seconds of CPU that the viewer's other threads took so far.
        clock: seconds.
    """

    def __init__(
        self,
        set_share: Callable[[float], None],
        rendering: Callable[[], float],
        helping: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._set_share = set_share
        self._rendering = rendering
        self._helping = helping
        self._clock = clock
        self._held_up = 0.0
        self._owed = 0.0
        self.cost = 0.0
        """Share of the time that watching took in the last interval."""
        self.start()

    def start(self) -> None:
        """Begin a measurement: training goes on after a pause, say."""
        self._began = self._clock()
        self._before = self._rendering(), self._helping()
        self._held_up = 0.0
        self._set_share(MOST / 2)

    def hold_up(self, seconds: float) -> None:
        """Tell that training waited for us, for a snapshot say."""
        self._held_up += seconds

    def tick(self) -> None:
        """Adjust the share if it is time; to be called often."""
        now = self._clock()
        passed = now - self._began
        if passed < INTERVAL:
            return
        rendering, helping = self._rendering(), self._helping()
        rendered = (rendering - self._before[0]) / passed
        rest = (helping - self._before[1] + self._held_up) / passed
        self.cost = rendered + rest
        # Rendering can be cut to nothing at best: what is spent beyond is paid back later.
        self._owed = min(max(self._owed + (self.cost - MOST) * passed, 0.0), MOST_OWED)
        share = MOST - rest - self._owed / INTERVAL
        self._set_share(min(max(share, LEAST_RENDERING), MOST))
        self._began, self._before, self._held_up = now, (rendering, helping), 0.0


class HelperClock:
    """Seconds of CPU of all Python threads but two: the caller's and the renderer's.

    Args:
        renderer: name of the thread that renders, which is measured by itself.
    """

    def __init__(self, renderer: str) -> None:
        self._renderer = renderer
        self._seen: dict[int, float] = {}
        self._gone = 0.0

    def seconds(self) -> float:
        """Grows only; 0 on systems that do not tell the CPU time of threads."""
        if not hasattr(time, "pthread_getcpuclockid"):
            return 0.0
        now: dict[int, float] = {}
        for thread in threading.enumerate():
            ident = thread.ident
            if ident is None or ident == threading.get_ident() or thread.name == self._renderer:
                continue
            with suppress(OSError):  # It ended just now.
                now[ident] = time.clock_gettime(time.pthread_getcpuclockid(ident))
        for ident, seconds in self._seen.items():
            if now.get(ident, 0.0) < seconds:  # Another one by the same number, or none.
                self._gone += seconds
        self._seen = now
        return self._gone + sum(now.values())
