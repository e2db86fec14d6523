"""The page that `recon check` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from recon.cli.text import rough_duration
from recon.fit.storage import megabytes

if TYPE_CHECKING:
    from recon.diagnosis import Diagnosis, Finding, PhotoHealth
    from recon.fit.forecast import Forecast

_MARKS = {"fault": ("NO", "red bold"), "warning": ("!", "yellow"), "note": ("--", "dim")}
_VERDICTS = {
    "good": ("This capture looks good.", "green bold"),
    "reservations": ("This will work, with the reservations above.", "yellow bold"),
    "bad": ("This will not give a good result as it is: see NO above.", "red bold"),
}
_MOST_ROWS = 12
_LONGEST_NAME = 40


def print_diagnosis(
    console: Console,
    scene: Path,
    diagnosis: Diagnosis,
    forecasts: Mapping[str, Forecast],
    *,
    every: bool,
) -> None:
    """Facts, findings with remedies, the photos that stand out (or `every` one), estimates."""
    console.print(_facts(diagnosis), soft_wrap=True)
    console.print()
    for finding in diagnosis.findings:
        console.print(_finding(finding), soft_wrap=True)
    if not diagnosis.findings:
        console.print("  Nothing to complain about.")
    rows = list(diagnosis.photos) if every else _striking(diagnosis)
    if rows:
        console.print()
        for line in _rows(rows[: None if every else _MOST_ROWS]):
            console.print(line, soft_wrap=True)
        hidden = len(rows) - _MOST_ROWS
        if hidden > 0 and not every:
            console.print(f"  and {hidden} more; --all lists every photo")
    text, style = _VERDICTS[diagnosis.verdict]
    console.print()
    console.print(Text(text, style=style))
    if diagnosis.placed:
        console.print(_estimates(scene, forecasts))


def _facts(diagnosis: Diagnosis) -> str:
    parts = [f"{diagnosis.usable} photos"]
    if diagnosis.poses == "sfm":
        parts.append(f"{diagnosis.placed} with cameras (found at draft effort or better)")
    else:
        parts.append(f"{diagnosis.placed} with cameras (given: {diagnosis.poses})")
    if diagnosis.points:
        parts.append(f"{diagnosis.points:,} points")
    if diagnosis.reprojection_error is not None:
        parts.append(f"reprojection error {diagnosis.reprojection_error:.2f} pixels")
    if diagnosis.track_length is not None:
        parts.append(f"{diagnosis.track_length:.1f} photos a point")
    return ", ".join(parts)


def _finding(finding: Finding) -> Text:
    mark, style = _MARKS[finding.level]
    text = Text.assemble((f"{mark:>4}  ", style), f"{finding.what}.")
    if finding.remedy:
        text.append(f"\n      -> {finding.remedy}", style="italic")
    return text


def _striking(diagnosis: Diagnosis) -> list[PhotoHealth]:
    """Photos that are lost, skipped, or named by a finding of some weight."""
    named = {name for f in diagnosis.findings if f.level != "note" for name in f.photos}
    return [p for p in diagnosis.photos if p.status != "placed" or p.name in named]


_COLUMNS = ("part", "blur", "stops", "features", "partners", "points", "error")


def _rows(rows: list[PhotoHealth]) -> Iterator[Text]:
    """A line for each photo; the reason comes last, so that a narrow terminal wraps only that."""
    width = min(_LONGEST_NAME, max(len(row.name) for row in rows))
    head = "".join(f"{title:>{len(title) + 2}}" for title in _COLUMNS)
    yield Text(f"  {'photo':<{width}}{head}", style="bold")
    for row in rows:
        cells = (
            "" if row.part is None else str(row.part),
            "" if row.blur is None else f"{row.blur:.1f}",
            "" if row.stops is None else f"{row.stops:+.1f}",
            *("" if n is None else str(n) for n in (row.keypoints, row.partners, row.points)),
            "" if row.error is None else f"{row.error:.1f}",
        )
        values = "".join(
            f"{cell:>{len(title) + 2}}" for cell, title in zip(cells, _COLUMNS, strict=True)
        )
        name = row.name if len(row.name) <= width else "…" + row.name[1 - width :]
        yield Text(
            f"  {name:<{width}}{values}  {row.why}".rstrip(),
            style="" if row.status == "placed" else "dim" if row.status == "skipped" else "yellow",
        )


def _estimates(scene: Path, forecasts: Mapping[str, Forecast]) -> str:
    lines = ["", f"  {'recon fit ' + str(scene)}"]
    for preset, forecast in forecasts.items():
        lines.append(
            f"    --preset {preset:<9} {rough_duration(forecast.seconds):>16}, "
            f"{megabytes(forecast.memory)} of memory, {megabytes(forecast.disk)} of disk"
        )
    warnings = dict.fromkeys(w for f in forecasts.values() for w in f.warnings if "need" in w)
    return "\n".join(lines + [f"    {warning}" for warning in warnings])
