"""`recon export`."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress

from recon.cli.commands import Export
from recon.export import ExportJob, export_run
from recon.fit.parts import FitParts


def run(command: Export, parts: FitParts | None = None) -> int:
    """Returns the exit code."""
    job = ExportJob(command.to, command.out, command.space, command.method, command.voxel)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("exporting", total=None)
        outcome = export_run(
            command.path,
            job,
            lambda done, total: bar.update(task, completed=done, total=total),
            parts,
        )
    print(f"{outcome.text}: {outcome.path}")
    return 0
