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
from recon.cli.trouble import explain
from recon.errors import ReconError
from recon.fit.events import TRAIN, FitEvent, Listener, StageName, StageStarted, StopRequest
from recon.fit.parts import FitParts
from recon.fit.pipeline import run_fit
from recon.fit.session import STOPPED

if TYPE_CHECKING:
    from recon.viewer.live import LiveView


def run(command: Fit, parts: FitParts | None = None) -> int:
    """Returns the exit code: 0 when all was made, or 130 after Ctrl-C (143 after SIGTERM).

    A signal ends the command, the viewer too, as soon as the work in hand can be left: training is
    cut short, an evaluation or a report that has begun is finished. Only a fit that came to its
    end undisturbed, or that failed while somebody had the viewer open, leaves it open.

    Raises:
        ReconError: see `run_fit`; not when the viewer tells it.
    """
    options = command.options()
    if command.dry_run:
        from recon.cli.dry_run import dry_run

        return dry_run(options, as_json=command.json, parts=parts)
    reporter = make_reporter(Console(stderr=True))
    stop = StopRequest()
    stage = _StageInHand()
    interrupts = Interrupts(stop, reporter.say, stage.ending)
    with _viewer(command, stop, reporter) as live:
        listeners: list[Listener] = [reporter, stage]
        if live is not None:
            listeners.append(live)

        def tell(event: FitEvent) -> None:
            for listener in listeners:
                listener(event)

        try:
            with interrupts.handled(), reporter:
                summary = run_in_thread(lambda: run_fit(options, tell, stop, parts))
        except Exception as error:
            if interrupts.received is None:
                if live is None:
                    raise
                return _keep_telling(live, error)
            if not isinstance(error, ReconError) or error.exit_code != STOPPED:
                raise
            print(error, file=sys.stderr)
            return 128 + interrupts.received
        print(json.dumps(summary.to_json(), indent=1) if command.json else summary_text(summary))
        if summary.state == "stopped" and interrupts.received is not None:
            return 128 + interrupts.received
        if live is not None and interrupts.received is None:
            _keep_showing(live, options.run_path)
    return 0


class _StageInHand:
    """Knows which stage is under way, and so what Ctrl-C will do. A `Listener`."""

    def __init__(self) -> None:
        self._stage: StageName = "capture"

    def __call__(self, event: FitEvent) -> None:
        if isinstance(event, StageStarted):
            self._stage = event.stage

    def ending(self) -> str:
        """What becomes of the work when it is stopped now."""
        if self._stage in TRAIN.values():
            return "stopping; the model is saved and evaluated as it is"
        if self._stage in ("capture", "sfm"):
            return "stopping; the same command goes on from here"
        return "stopping as soon as the report is written"


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
    except Exception as error:
        live.fail(str(error), stays=False)
        raise
    finally:
        live.close()


def _keep_telling(live: LiveView, error: Exception) -> int:
    """What went wrong, on the terminal and on the page, in the same words. Where somebody had the
    page open it stays until Ctrl-C: they may be elsewhere just now. Returns the exit code."""
    from recon.viewer.run import wait_for_interrupt

    trouble = explain(error, sys.argv[1:])
    with suppress(KeyboardInterrupt):
        print(f"error: {trouble.text}", file=sys.stderr)
        live.fail(trouble.text, stays=live.server.visited)
        if live.server.visited:
            print(f"The viewer says so at {live.server.url}; Ctrl-C ends it.", file=sys.stderr)
            wait_for_interrupt()
    return trouble.exit_code


def _keep_showing(live: LiveView, run_path: Path) -> None:
    """The finished model stays on the page until Ctrl-C."""
    from recon.viewer.run import wait_for_interrupt

    with suppress(KeyboardInterrupt):  # it may come at any time from here on
        live.finish(run_path)
        print(f"The viewer stays open at {live.server.url}; Ctrl-C ends it.", file=sys.stderr)
        wait_for_interrupt()
