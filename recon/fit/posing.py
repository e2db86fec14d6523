"""Cameras together with their diagnosis, as a fit wants them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recon.capture import Capture
from recon.diagnosis import diagnose, load_findings, save_diagnosis
from recon.scene import PosedScene
from recon.sfm import SfmOptions, load_report, load_survey, pose_capture
from recon.sfm.options import SfmProgress
from recon.sfm.reasons import NothingPlaced
from recon.sfm.survey import failed_survey


def pose_and_diagnose(
    capture: Capture,
    run_dir: Path,
    options: SfmOptions,
    progress: Callable[[SfmProgress], None],
    cancelled: Callable[[], bool],
) -> PosedScene:
    """`pose_capture`, and `diagnosis.json` beside what it leaves.

    Raises:
        ReconError: see `pose_capture`.
    """
    try:
        scene = pose_capture(capture, run_dir, options, progress, cancelled)
    except NothingPlaced as error:
        save_diagnosis(diagnose(capture, failed_survey(error)), run_dir)
        raise
    survey = load_survey(capture, run_dir, options)
    if survey is not None:
        save_diagnosis(diagnose(capture, survey), run_dir)
    return scene


def pose_notices(run_dir: Path) -> tuple[str, ...]:
    """What the person should know of the cameras: faults and warnings of the diagnosis."""
    findings = load_findings(run_dir)
    told = tuple(str(finding) for finding in findings if finding.level != "note")
    return load_report(run_dir).notices + told
