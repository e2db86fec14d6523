"""`recon doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from recon.cli.checkup import Finding, Status, examine
from recon.cli.commands import Doctor

_MARKS: dict[Status, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "note": ("--", "dim"),
    "warning": ("!", "yellow"),
    "fault": ("NO", "red bold"),
}


def run(command: Doctor) -> int:
    """Returns 0 when splats can be trained here, 1 otherwise."""
    findings = examine()
    able = not any(finding.status == "fault" for finding in findings)
    if command.json:
        data = {"version": 1, "able": able, "findings": [asdict(f) for f in findings]}
        print(json.dumps(data, indent=1))
    else:
        console = Console()
        for finding in findings:
            console.print(_line(finding), soft_wrap=True)
        verdict = "Splats can be trained here." if able else "Splats cannot be trained here yet."
        console.print(Text(f"\n{verdict}", style="bold"))
    return 0 if able else 1


def _line(finding: Finding) -> Text:
    mark, style = _MARKS[finding.status]
    text = Text.assemble((f"{mark:>3}  ", style), (f"{finding.what:<20}", "bold"), finding.detail)
    if finding.remedy:
        text.append(f"\n     {'':<20}-> {finding.remedy}", style="italic")
    return text
