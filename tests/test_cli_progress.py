"""What a person sees while a fit runs: live on a terminal, plain lines in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from recon.cli.progress import LiveReporter, PlainReporter, make_reporter
from recon.cli.text import duration, short_count, training_line
from recon.fit.events import (
    FitEvent,
    Notice,
    StageFinished,
    StageProgress,
    StageStarted,
    Training,
)
from recon.model import EvalEvent, StepEvent

STEP = StepEvent(120, 2000, 4.0, 31.24, 0.04123, 18_345, 480, 270, 60.2)
STORY: tuple[FitEvent, ...] = (
    StageStarted("capture", 1, 5),
    StageProgress("capture", 0.5, "4/8 photos"),
    Notice("skipped bad.jpg: cannot be decoded [error]"),
    StageFinished("capture", 0.8, "8 photos, 1 held out"),
    StageFinished("sfm", 70.0, "8 of 8 photos", skipped=True),
    StageStarted("train_splat", 3, 5),
    Training(EvalEvent(100, 3.0, 26.713, 4)),
    Training(STEP),
)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_terminal_shows_one_line_a_stage_that_fits(width: int) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, color_system=None)
    reporter = make_reporter(console)
    assert isinstance(reporter, LiveReporter)
    with reporter:
        for event in STORY:
            reporter(event)
    last = stream.getvalue().split("\x1b[2K")[-1]
    rows = [line for line in last.splitlines() if line.startswith(("photos", "cameras", "splats"))]
    assert len(rows) == 3
    assert all(len(row.rstrip()) <= width - 4 for row in rows)
    assert "as before" in rows[1]
    if width == 120:
        assert "26.71 dB" in rows[2]
        assert "8 photos, 1 held out" in rows[0]
    # Square brackets in names of files are no markup.
    assert "[error]" in stream.getvalue().replace("\n", "")


def test_a_log_gets_plain_lines_now_and_then() -> None:
    stream = io.StringIO()
    reporter = make_reporter(Console(file=stream, width=80))
    assert isinstance(reporter, PlainReporter)
    with reporter:
        for event in (*STORY, *[Training(STEP)] * 50):
            reporter(event)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "[1/5] photos ...",
        "note: skipped bad.jpg: cannot be decoded [error]",
        "photos: 8 photos, 1 held out (0.8 s)",
        "cameras: 8 of 8 photos (as before)",
        "[3/5] splats ...",
    ]
    eager = PlainReporter(Console(file=stream, width=80), interval=0.0)
    eager(Training(EvalEvent(100, 3.0, 26.713, 4)))
    eager(Training(STEP))
    assert stream.getvalue().splitlines()[-1] == f"  splats: {training_line(STEP, 26.713, 'splat')}"


def test_numbers_read_well() -> None:
    assert [duration(s) for s in (0.84, 42.4, 59.7, 185, 3723)] == [
        "0.8 s",
        "42 s",
        "1:00 min",
        "3:05 min",
        "1:02:03 h",
    ]
    assert [short_count(n) for n in (950, 18_345, 1_250_000)] == ["950", "18.3k", "1.25M"]
    assert training_line(STEP, None, "splat") == (
        "120/2000  1:00 min left  18.3k splats  31.2 step/s  loss 0.0412"
    )
