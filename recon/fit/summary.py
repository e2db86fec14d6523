"""What a person or a script wants to know of a run, read back from its directory."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.fit.manifest import RunState
from recon.fit.rundir import RunDir


@dataclass(frozen=True)
class FitSummary:
    """The outcome of a run; `recon fit --json` prints it.

    Attributes:
        state: "done", or "stopped" when training ended early on request.
        run: absolute path of the run directory.
        method: what was trained.
        model: the file that other programs open.
        report: the page to look at.
        images, registered: usable photos, and those with a camera.
        psnr, ssim: mean over the held-out views; None when none is held out.
        views: number of held-out views.
        width, height: resolution of the evaluation.
        splats: number of splats.
        steps: training steps done.
        train_seconds: training alone, without evaluation and waiting.
        seconds: wall time of each stage.
        view_command: opens the viewer.
    """

    state: RunState
    run: str
    method: str
    model: str
    report: str
    images: int
    registered: int | None
    psnr: float | None
    ssim: float | None
    views: int
    width: int | None
    height: int | None
    splats: int
    steps: int
    train_seconds: float | None
    seconds: dict[str, float]
    view_command: str

    @classmethod
    def of(cls, run: RunDir) -> FitSummary:
        """The summary of a run that has a trained and evaluated model."""
        manifest = run.manifest
        method = manifest.method
        entry = run.read_eval().get(method, {})
        training = manifest.training.get(method, {})
        return cls(
            state=manifest.state,
            run=str(run.path.absolute()),
            method=method,
            model=str(run.exported(method).absolute()),
            report=str(run.report.absolute()),
            images=manifest.images,
            registered=manifest.registered,
            psnr=entry.get("psnr"),
            ssim=entry.get("ssim"),
            views=len(entry.get("views", {})),
            width=entry.get("width"),
            height=entry.get("height"),
            splats=int(entry.get("splats", 0)),
            steps=int(training.get("steps", 0)),
            train_seconds=training.get("seconds"),
            seconds={name: record.seconds for name, record in manifest.stages.items()},
            view_command=f"recon view {shlex.quote(_short(run.path))}",
        )

    def to_json(self) -> dict[str, Any]:
        return {"version": 1, **dataclasses.asdict(self)}


def _short(path: Path) -> str:
    """The path as a person in this folder would type it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path.absolute())
