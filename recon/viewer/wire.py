"""Connecting the page's controls: whatever goes wrong in acting on one is told on the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import viser

from recon.viewer.session import Session

Act = Callable[[], object]


class _Editable(Protocol):
    def on_update(self, func: Callable[[Any], Any], /) -> Any: ...


class _Clickable(Protocol):
    def on_click(self, func: Callable[[Any], Any], /) -> Any: ...


def guarded(session: Session, act: Act) -> None:
    """Run `act`; an error goes to the page."""
    try:
        act()
    except Exception as error:  # The last one to catch it before a silent thread pool.
        session.screen.notify(error)


def on_edit(session: Session, handle: _Editable, act: Act) -> None:
    """Call `act` when a person changed an input; assignments by the server do not count."""
    handle.on_update(lambda event: guarded(session, act) if event.client is not None else None)


def on_click(session: Session, handle: _Clickable, act: Act) -> None:
    """Call `act` when a button is pressed."""
    handle.on_click(lambda _: guarded(session, act))


def on_command(session: Session, command: viser.CommandHandle, act: Act) -> None:
    """Call `act` when a key or the command palette asks for it."""
    command.on_trigger(lambda _: guarded(session, act))
