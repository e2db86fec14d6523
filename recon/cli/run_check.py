"""`recon check`: what is right and wrong with a capture, before the long run."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from recon.cli.check_text import print_diagnosis
from recon.cli.commands import Check
from recon.cli.interrupt import Interrupts, run_in_thread
from recon.fit.events import StopRequest
from recon.fit.options import FitOptions, Preset
from recon.fit.rundir import RunDir
from recon.fit.session import FitStopped
from recon.fit.settings import require_outside_photos
from recon.fit.storage import clear_disk_errors

if TYPE_CHECKING:
    from recon.capture import Capture
    from recon.diagnosis import Diagnosis
    from recon.fit.forecast import Forecast
    from recon.sfm.options import SfmProgress

EXIT_CODES = {"good": 0, "reservations": 10, "bad": 11}
"""By verdict. Errors (no photos, unreadable poses, ...) have their own, lower ones."""

_PRESETS: tuple[Preset, ...] = ("draft", "standard", "high")


def run(command: Check) -> int:
    """Returns 0 for a good capture, 10 with warnings, 11 where a fault was found.

    Raises:
        ReconError: the photos cannot be read, or SfM itself failed.
    """
    console = Console(stderr=True)
    stop = StopRequest()
    interrupts = Interrupts(stop, console.print)
    with interrupts.handled(), console.status("") as status:

        def tell(text: str) -> None:
            status.update(text)

        outcome = run_in_thread(lambda: examine(command, tell, stop))
    diagnosis, forecasts = outcome
    if command.json:
        data: dict[str, Any] = diagnosis.to_json()
        data["estimates"] = {
            name: {"seconds": f.seconds, "memory": f.memory, "disk": f.disk}
            for name, f in forecasts.items()
        }
        print(json.dumps(data, indent=1))
    else:
        print_diagnosis(Console(), command.scene, diagnosis, forecasts, every=command.all)
    sys.stdout.flush()
    return EXIT_CODES[diagnosis.verdict]


def examine(command: Check, tell: Any, stop: StopRequest) -> tuple[Diagnosis, dict[str, Forecast]]:
    """Read the photos, find draft cameras, apply the rules, estimate the runs."""
    from recon.capture import load_capture
    from recon.diagnosis import diagnose, save_diagnosis
    from recon.sfm import SfmOptions, survey_capture

    options = FitOptions(command.scene, out=command.out, poses=command.poses)

    def reading(done: int, total: int) -> None:
        if stop():
            raise FitStopped("capture")
        tell(f"reading photos {done}/{total}")

    capture = load_capture(
        command.scene,
        reading,
        ignore_poses=command.poses == "sfm",
    )

    def progress(event: SfmProgress) -> None:
        count = f" {event.done}/{event.total}" if event.total > 1 else ""
        tell(f"{event.text}{count}")

    sfm = SfmOptions(
        pose_source=command.poses, quality="draft", threads=command.threads, thorough=False
    )
    where = options.run_path
    RunDir.existing(where)  # raises where other things lie
    require_outside_photos(options, capture)
    with RunDir.locked(where), clear_disk_errors(where):
        survey = survey_capture(capture, where, sfm, progress, stop)
        diagnosis = diagnose(capture, survey)
        save_diagnosis(diagnosis, where)
    return diagnosis, _forecasts(options, capture)


def _forecasts(options: FitOptions, capture: Capture) -> dict[str, Forecast]:
    from recon.fit.forecast import forecast
    from recon.fit.parts import default_parts

    def known(folder: Path, progress: Any, ignore_poses: bool) -> Capture:
        return capture

    parts = replace(default_parts(), load_capture=known)
    return {preset: forecast(replace(options, preset=preset), parts) for preset in _PRESETS}
