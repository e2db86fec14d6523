"""How the worker's steps report and hear that they should stop. Runs only in the worker process."""

from __future__ import annotations

from collections.abc import Callable

import pycolmap

Report = Callable[[str, int, int, str], None]
"""Called with stage, done, total, and what is being done in plain words."""


class Stopped(Exception):
    """The parent asked to stop."""


def check(token: pycolmap.CancellationToken) -> None:
    """Between steps.

    Raises:
        Stopped: the token was cancelled.
    """
    if token.is_cancelled:
        raise Stopped
