"""`recon fit`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from recon.cli.commands import Fit
from recon.cli.interrupt import Interrupts, run_in_thread
from recon.cli.progress import Reporter, make_reporter
from recon.cli.text import summary_text
from recon.errors import ReconError
from recon.fit.events import FitEvent, Listener, StopRequest
from recon.fit.parts import FitParts
from recon.fit.pipeline import run_fit
from recon.fit.session import STOPPED

if TYPE_CHECKING:
    from recon.viewer.live import LiveView


def run(command: Fit, parts: FitParts | None = None) -> int:
    """Returns the exit code: 0, or 130 after Ctrl-C (143 after SIGTERM).

    Raises:
        ReconError: see `run_fit`.
    """
    options = command.options()
    if command.dry_run:
        from recon.cli.dry_run import dry_run

        return dry_run(options, as_json=command.json, parts=parts)
    reporter = make_reporter(Console(stderr=True))
    stop = StopRequest()
    interrupts = Interrupts(stop, reporter.say)
    with _viewer(command, stop, reporter) as live:
        listeners: list[Listener] = [reporter] if live is None else [reporter, live]

        def tell(event: FitEvent) -> None:
            for listener in listeners:
                listener(event)

        try:
            with interrupts.handled(), reporter:
                summary = run_in_thread(lambda: run_fit(options, tell, stop, parts))
        except ReconError as error:
            if interrupts.received is None or error.exit_code != STOPPED:
                raise
            print(error, file=sys.stderr)
            return 128 + interrupts.received
        print(json.dumps(summary.to_json(), indent=1) if command.json else summary_text(summary))
        if summary.state == "stopped" and interrupts.received is not None:
            return 128 + interrupts.received
        if live is not None:
            _keep_showing(live, options.run_path)
    return 0


@contextmanager
def _viewer(command: Fit, stop: StopRequest, reporter: Reporter) -> Iterator[LiveView | None]:
    """The live viewer where it was asked for."""
    if not command.view:
        yield None
        return
    from recon.viewer.live import LiveView
    from recon.viewer.run import greeting
    from recon.viewer.server import ServerOptions

    title = command.scene.resolve().name
    live = LiveView(title, ServerOptions(port=command.port), stop.request)
    try:
        for line in greeting(live.server):
            reporter.say(line)
        yield live
    finally:
        live.close()


def _keep_showing(live: LiveView, run_path: Path) -> None:
    """The finished model stays on the page until Ctrl-C."""
    from recon.viewer.run import wait_for_interrupt

    live.finish(run_path)
    with suppress(KeyboardInterrupt):  # it may come as soon as the line can be read
        print(f"The viewer stays open at {live.server.url}; Ctrl-C ends it.", file=sys.stderr)
        wait_for_interrupt()
