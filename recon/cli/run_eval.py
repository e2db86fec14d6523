"""`recon eval`."""

from __future__ import annotations

import json

from rich.console import Console

from recon.cli.commands import Eval
from recon.cli.progress import make_reporter
from recon.fit.parts import FitParts
from recon.fit.quality import quality_text
from recon.fit.reevaluate import reevaluate


def run(command: Eval, parts: FitParts | None = None) -> int:
    """Returns the exit code."""
    with make_reporter(Console(stderr=True)) as reporter:
        entries = reevaluate(command.path, reporter, parts)
    if command.json:
        print(json.dumps(entries, indent=1))
    else:
        for method, entry in entries.items():
            print(f"{method}: {quality_text(entry)}")
    return 0
