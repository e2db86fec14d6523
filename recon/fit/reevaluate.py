"""Measuring a finished run again, on its own held-out views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recon.errors import RunDirError
from recon.fit import stages
from recon.fit.events import Listener, StopRequest
from recon.fit.options import FitOptions
from recon.fit.parts import FitParts, default_parts
from recon.fit.rendering import load_model
from recon.fit.rundir import RunDir
from recon.fit.session import Session


def reevaluate(
    path: Path, listener: Listener = lambda event: None, parts: FitParts | None = None
) -> dict[str, Any]:
    """Renew eval.json, the renders and the report of a run; returns the entry of its method.

    Raises:
        RunDirError: there is no run, or it has no model yet.
    """
    folder = RunDir.find(path).path
    parts = parts or default_parts()
    with RunDir.locked(folder):
        run = RunDir.load(folder)
        settings = run.manifest.settings
        trained = run.manifest.stages.get("train_splat")
        if trained is None or "resolution" not in settings:
            raise RunDirError(
                "this run has no trained model yet",
                where=run.path,
                remedy=f"finish it with: recon fit {run.manifest.scene}",
            )
        backend = parts.choose_backend(settings.get("device", "auto"))
        options = FitOptions(
            scene=Path(run.manifest.scene), out=folder, resolution=settings["resolution"]
        )
        session = Session(options, run, parts, None, backend, listener, StopRequest())
        scene = parts.load_scene(folder)
        model = load_model(run, parts)
        stages.evaluate(session, scene, model, trained.fingerprint)
        stages.report(session, changed=True)
        return run.read_eval()[parts.method.name]
