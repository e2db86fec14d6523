"""Progress of a fit on a terminal (one live line a stage) or in a log (plain lines)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from recon.cli.text import STAGE_TITLES, duration, training_line
from recon.fit.events import (
    ALL_STAGES,
    TRAIN,
    FitEvent,
    Notice,
    StageFinished,
    StageName,
    StageProgress,
    StageStarted,
    Training,
)
from recon.model import EvalEvent, NoticeEvent, StepEvent

PLAIN_INTERVAL = 5.0


class Reporter(Protocol):
    """Shows the events of a fit; a context manager around it."""

    def __enter__(self) -> Reporter: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __call__(self, event: FitEvent) -> None: ...

    def say(self, text: str) -> None:
        """A line of its own, above whatever is live."""
        ...


def make_reporter(console: Console) -> Reporter:
    """A live one on a terminal, plain lines elsewhere."""
    return LiveReporter(console) if console.is_terminal else PlainReporter(console)


class PlainReporter:
    """Lines for a log file: at most one every five seconds while a stage is under way."""

    def __init__(self, console: Console, interval: float = PLAIN_INTERVAL) -> None:
        self._console = console
        self._interval = interval
        self._last = 0.0
        self._psnr: float | None = None

    def __enter__(self) -> PlainReporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del kind, error, trace

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __call__(self, event: FitEvent) -> None:
        match event:
            case StageStarted(stage, index, of):
                self._last, self._psnr = time.monotonic(), None
                self.say(f"[{index}/{of}] {STAGE_TITLES[stage]} ...")
            case StageProgress(stage, _, text):
                self._now_and_then(stage, text)
            case Training(StepEvent() as step, method):
                self._now_and_then(TRAIN[method], training_line(step, self._psnr, method))
            case Training(EvalEvent() as quality):
                self._psnr = quality.psnr
            case Training(NoticeEvent(text=text)) | Notice(text):
                self.say(f"note: {text}")
            case StageFinished() as done:
                self.say(finished_line(done))
            case _:
                pass

    def _now_and_then(self, stage: StageName, text: str) -> None:
        if time.monotonic() - self._last >= self._interval:
            self._last = time.monotonic()
            self.say(f"  {STAGE_TITLES[stage]}: {text}")


def finished_line(event: StageFinished) -> str:
    took = "as before" if event.skipped else duration(event.seconds)
    return f"{STAGE_TITLES[event.stage]}: {event.text} ({took})"


@dataclass
class _Row:
    """One stage on the screen."""

    start: float
    fraction: float | None = None
    text: str = ""
    end: str = ""


class LiveReporter:
    """One line a stage, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[StageName, _Row] = {}
        self._psnr: float | None = None
        self._live = Live(
            console=console, refresh_per_second=5, get_renderable=self._table, transient=False
        )

    def __enter__(self) -> LiveReporter:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del kind, error, trace
        self._live.stop()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def __call__(self, event: FitEvent) -> None:
        match event:
            case StageStarted(stage, _, _):
                self._rows[stage], self._psnr = _Row(time.monotonic()), None
            case StageProgress(stage, fraction, text):
                row = self._rows.setdefault(stage, _Row(time.monotonic()))
                row.fraction, row.text = fraction, text
            case Training(StepEvent() as step, method):
                row = self._rows.setdefault(TRAIN[method], _Row(time.monotonic()))
                row.fraction = step.step / max(step.total_steps, 1)
                row.text = training_line(step, self._psnr, method)
            case Training(EvalEvent() as quality):
                self._psnr = quality.psnr
            case Training(NoticeEvent(text=text)) | Notice(text):
                self.say(f"note: {text}")
            case StageFinished() as done:
                row = self._rows.setdefault(done.stage, _Row(time.monotonic()))
                row.fraction, row.text = 1.0, done.text
                row.end = "as before" if done.skipped else duration(done.seconds)
            case _:
                pass

    def _table(self) -> Constrain:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right", min_width=8)
        table.add_column(no_wrap=True, width=12)
        table.add_column()  # the only one that gives way on a narrow terminal
        for stage in ALL_STAGES:
            row = self._rows.get(stage)
            if row is None:
                continue
            elapsed = row.end or duration(time.monotonic() - row.start)
            bar: Text | ProgressBar = Text("done", style="green")
            if not row.end:
                bar = ProgressBar(
                    total=None if row.fraction is None else 1.0,
                    completed=row.fraction or 0.0,
                    width=12,
                )
            text = Text(row.text, no_wrap=True, overflow="ellipsis")
            table.add_row(STAGE_TITLES[stage], elapsed, bar, text)
        # Room for the ^C that terminals echo: if it wrapped, the next redraw would be off by one.
        return Constrain(table, max(20, self._console.width - 4))
