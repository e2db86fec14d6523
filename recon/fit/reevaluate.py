"""Measuring a finished run again, on its own held-out views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recon.fit import stages
from recon.fit.events import TRAIN, Listener, StopRequest
from recon.fit.jobs import Job
from recon.fit.models import load_model, no_model, trained_methods
from recon.fit.options import FitOptions, MethodName
from recon.fit.parts import FitParts, default_parts
from recon.fit.rundir import RunDir
from recon.fit.session import Session


def reevaluate(
    path: Path, listener: Listener = lambda event: None, parts: FitParts | None = None
) -> dict[str, Any]:
    """Renew eval.json, the renders and the report of a run; returns eval.json's content.

    All methods are measured that have a trained model.

    Raises:
        RunDirError: there is no run, or it has no model yet.
    """
    folder = RunDir.find(path).path
    parts = parts or default_parts()
    with RunDir.locked(folder):
        run = RunDir.load(folder)
        settings, records = run.manifest.settings, run.manifest.stages
        methods: list[MethodName] = [
            name for name in trained_methods(run) if TRAIN[name] in records
        ]
        if not methods or "resolution" not in settings:
            raise no_model(run)
        device = settings.get("device", "auto")
        jobs = tuple(
            Job(name, parts.method(name), None, parts.choose_backend(device, name))
            for name in methods
        )
        options = FitOptions(
            scene=Path(run.manifest.scene), out=folder, resolution=settings["resolution"]
        )
        session = Session(options, run, parts, jobs, listener, StopRequest())
        scene = parts.load_scene(folder)
        for job in jobs:
            model = load_model(run, parts, job.name)
            stages.evaluate(session, job, scene, model, records[TRAIN[job.name]].fingerprint)
        stages.report(session, changed=True)
        return run.read_eval()
