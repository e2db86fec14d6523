"""`recon fit`."""

from __future__ import annotations

import json

from rich.console import Console

from recon.cli.commands import Fit
from recon.cli.interrupt import Interrupts, run_in_thread
from recon.cli.progress import make_reporter
from recon.cli.text import summary_text
from recon.fit.events import FitEvent, StopRequest
from recon.fit.parts import FitParts
from recon.fit.pipeline import run_fit


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

    def listener(event: FitEvent) -> None:
        reporter(event)

    with interrupts.handled(), reporter:
        summary = run_in_thread(lambda: run_fit(options, listener, stop, parts))
    if command.json:
        print(json.dumps(summary.to_json(), indent=1))
    else:
        print(summary_text(summary))
    if summary.state == "stopped" and interrupts.received is not None:
        return 128 + interrupts.received
    return 0
