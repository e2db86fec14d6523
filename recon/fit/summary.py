"""What a person or a script wants to know of a run, read back from its directory."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.fit.manifest import RunState
from recon.fit.options import MethodName
from recon.fit.quality import size_unit
from recon.fit.rundir import RunDir
from recon.report.data import read_courses
from recon.report.race import reached_other


@dataclass(frozen=True)
class MethodResult:
    """What became of one method.

    Attributes:
        method: its name.
        model: the file that other programs open, or recon's own where there is no such format.
        psnr, ssim: mean over the held-out views; None when none is held out.
        views: number of held-out views.
        width, height: resolution of the evaluation.
        size: number of splats, or of parameters.
        steps: training steps done.
        train_seconds: training alone, without evaluation and waiting.
        pixels_per_second: rendered while the held-out views were measured.
        reached_other: seconds of training after which its held-out PSNR first was that of the
            other method in the end; None where it never was, or there is no other.
    """

    method: MethodName
    model: str
    psnr: float | None
    ssim: float | None
    views: int
    width: int | None
    height: int | None
    size: int
    steps: int
    train_seconds: float | None
    pixels_per_second: float | None
    reached_other: float | None

    @classmethod
    def of(cls, run: RunDir, method: MethodName) -> MethodResult:
        entry = run.read_eval().get(method, {})
        training = run.manifest.training.get(method, {})
        exported = run.exported(method)
        model = exported if exported.is_file() else run.model(method)
        return cls(
            method=method,
            model=str(model.absolute()),
            psnr=entry.get("psnr"),
            ssim=entry.get("ssim"),
            views=len(entry.get("views", {})),
            width=entry.get("width"),
            height=entry.get("height"),
            size=int(entry.get(size_unit(method), 0)),
            steps=int(training.get("steps", 0)),
            train_seconds=training.get("seconds"),
            pixels_per_second=entry.get("pixels_per_second"),
            reached_other=reached_other(read_courses(run.events), method),
        )

    def to_json(self) -> dict[str, Any]:
        """All fields, the size under the name of what it counts."""
        fields = dataclasses.asdict(self)
        return {**fields, size_unit(self.method): fields.pop("size")}


@dataclass(frozen=True)
class FitSummary:
    """The outcome of a run; `recon fit --json` prints it.

    Attributes:
        state: "done", or "stopped" when training ended early on request.
        run: absolute path of the run directory.
        report: the page to look at.
        images, registered: usable photos, and those with a camera.
        results: of each method that has a model, in the order of training; at least one.
        seconds: wall time of each stage.
        view_command: opens the viewer.
    """

    state: RunState
    run: str
    report: str
    images: int
    registered: int | None
    results: tuple[MethodResult, ...]
    seconds: dict[str, float]
    view_command: str

    @property
    def best(self) -> MethodResult:
        """The result with the highest PSNR."""
        return max(self.results, key=lambda r: -1.0 if r.psnr is None else r.psnr)

    @classmethod
    def of(cls, run: RunDir) -> FitSummary:
        """The summary of a run that has a trained and evaluated model."""
        manifest = run.manifest
        return cls(
            state=manifest.state,
            run=str(run.path.absolute()),
            report=str(run.report.absolute()),
            images=manifest.images,
            registered=manifest.registered,
            results=tuple(MethodResult.of(run, name) for name in run.trained_methods),
            seconds={name: record.seconds for name, record in manifest.stages.items()},
            view_command=f"recon view {shlex.quote(_short(run.path))}",
        )

    def to_json(self) -> dict[str, Any]:
        """The fields of the best method, and under `methods` those of each."""
        fields = dataclasses.asdict(self)
        del fields["results"]
        methods = {result.method: result.to_json() for result in self.results}
        return {"version": 1, **fields, **self.best.to_json(), "methods": methods}


def _short(path: Path) -> str:
    """The path as a person in this folder would type it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path.absolute())
