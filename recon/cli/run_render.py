"""`recon render`."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress

from recon.cli.commands import Render
from recon.fit.parts import FitParts
from recon.fit.rendering import RenderJob, render_run


def run(command: Render, parts: FitParts | None = None) -> int:
    """Returns the exit code."""
    job = RenderJob(
        command.views,
        command.out,
        command.parsed_size(),
        command.frames,
        command.fps,
        command.method,
    )
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rendering", total=None)
        count = render_run(
            command.path,
            job,
            lambda done, total: bar.update(task, completed=done, total=total),
            parts,
        )
    print(f"{count} {'frames' if job.video else 'pictures'} in {command.out}")
    return 0
