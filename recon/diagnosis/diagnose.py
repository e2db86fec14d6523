"""From a capture and what SfM found out to a `Diagnosis`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from recon.capture.types import Capture
from recon.diagnosis.rules_cameras import camera_findings
from recon.diagnosis.rules_photos import blur_of, photo_findings, stops_of
from recon.diagnosis.rules_space import space_findings
from recon.diagnosis.types import Diagnosis, Finding, PhotoHealth
from recon.sfm.survey import Survey

DIAGNOSIS_FILE = "diagnosis.json"
_ORDER = {"fault": 0, "warning": 1, "note": 2}


def diagnose(capture: Capture, survey: Survey) -> Diagnosis:
    """Apply every rule. Nothing is computed from pixels here: it takes milliseconds."""
    findings: list[Finding] = [
        *camera_findings(capture, survey),
        *(
            finding
            for finding in photo_findings(capture, survey.evidence)
            # Where that is why there is no camera at all, it is said already.
            if survey.failure is None or finding.code != "detail"
        ),
        *space_findings(survey),
    ]
    return Diagnosis(
        poses=survey.pose_source,
        photos=_photos(capture, survey),
        findings=tuple(sorted(findings, key=lambda finding: _ORDER[finding.level])),
        components=survey.components,
        points=survey.points,
        reprojection_error=survey.reprojection_error,
        track_length=survey.track_length,
    )


def _photos(capture: Capture, survey: Survey) -> tuple[PhotoHealth, ...]:
    evidence, stops = survey.evidence, stops_of(survey.evidence)
    why = dict(survey.failed)
    if survey.pose_source != "sfm":
        without = (photo.name for photo in capture.photos if photo.name not in survey.cameras)
        why |= dict.fromkeys(without, "has no given pose")
    rows = [PhotoHealth(item.name, "skipped", item.reason) for item in capture.skipped]
    for photo in capture.photos:
        name = photo.name
        facts = evidence.photos.get(name)
        part = None if facts is None or facts.component is None else facts.component + 1
        rows.append(
            PhotoHealth(
                name,
                "placed" if name in survey.cameras else "lost",
                why.get(name, ""),
                blur_of(evidence, name),
                stops.get(name),
                None if facts is None else facts.keypoints,
                None if facts is None else facts.partners,
                None if facts is None else facts.points,
                None if facts is None else facts.error,
                part,
            )
        )
    return tuple(sorted(rows, key=lambda row: row.name))


def save_diagnosis(diagnosis: Diagnosis, folder: Path) -> None:
    """Write `diagnosis.json`, atomically.

    Raises:
        OSError: the folder cannot be written to.
    """
    partial = folder / f".{DIAGNOSIS_FILE}.part"
    partial.write_text(json.dumps(diagnosis.to_json(), indent=1), encoding="utf-8")
    os.replace(partial, folder / DIAGNOSIS_FILE)


def load_findings(folder: Path) -> tuple[Finding, ...]:
    """The findings that `save_diagnosis` left; none if there is no such file or it is broken."""
    try:
        data = json.loads((folder / DIAGNOSIS_FILE).read_text(encoding="utf-8"))
        return tuple(
            Finding(**{**item, "photos": tuple(item["photos"])}) for item in data["findings"]
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
