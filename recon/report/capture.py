"""The part of the page that says what is right and wrong with the photos."""

from __future__ import annotations

from recon.diagnosis import DIAGNOSIS_FILE, load_findings
from recon.report.data import RunData
from recon.report.html import Html, el
from recon.report.sections import note, section

_WORDS = {"fault": "Serious", "warning": "Will suffer", "note": "Good to know"}


def capture(run: RunData) -> Html | None:
    """The findings of the diagnosis; nothing for runs that have none."""
    if not (run.folder / DIAGNOSIS_FILE).is_file():
        return None
    findings = load_findings(run.folder)
    lead = "What the photos and their cameras say about the capture, the worst first."
    if not findings:
        return section("The capture", lead, note("Nothing to complain about."))
    rows = [el("tr", el("th", _WORDS.get(f.level, f.level)), el("td", str(f))) for f in findings]
    return section("The capture", lead, el("table", el("tbody", *rows), class_="pairs"))
