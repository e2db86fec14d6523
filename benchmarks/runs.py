"""From a run directory of `recon fit` to benchmark results."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from record import Result, commit, machine

from recon.fit.options import METHODS, MethodName
from recon.fit.quality import size_unit
from recon.fit.rundir import RunDir
from recon.report.data import read_courses

SHARED_STAGES = ("capture", "sfm", "report")


def fit(scene: Path, preset: str, method: str, options: str, out: Path) -> list[Result]:
    """One `recon fit` in a process of its own, into a fresh folder; a result for each method."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "recon", "fit", str(scene), "--out", str(out)]
    command += ["--preset", preset, "--method", method, "--json", *shlex.split(options)]
    state = {"commit": commit(), "machine": machine()}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    summary = json.loads(process.stdout.read() or "null")
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0 or summary is None:
        raise SystemExit(f"failed: {shlex.join(command)}")
    peak = round(usage.ru_maxrss / 1024, 1)
    results = read_run(out, scene.name, options)
    # With several methods in one process the peak is that of the greediest.
    return [replace(r, peak_mb=peak if len(results) == 1 else None, **state) for r in results]


def read_run(folder: Path, scene: str = "", options: str = "") -> list[Result]:
    """What a finished run directory says of its methods; commit, machine and memory it does not."""
    run = RunDir.load(folder)
    return [_result(run, method, scene, options) for method in METHODS if method in run.read_eval()]


def _result(run: RunDir, method: MethodName, scene: str, options: str) -> Result:
    manifest, entry = run.manifest, run.read_eval()[method]
    course = read_courses(run.events).get(method)
    wanted = (*SHARED_STAGES, f"train_{method}", f"evaluate_{method}", "evaluate")
    return Result(
        scene=scene or Path(manifest.scene).name,
        preset=manifest.settings["preset"],
        method=method,
        options=options,
        description="",
        settings=manifest.settings.get(method, {}),
        backend=manifest.backend,
        commit=None,
        machine={},
        note="",
        photos=manifest.images,
        psnr=entry["psnr"],
        ssim=entry["ssim"],
        width=entry["width"],
        height=entry["height"],
        views=len(entry["views"]),
        size=entry[size_unit(method)],
        size_unit=size_unit(method),
        train_seconds=entry["train_seconds"],
        stages={n: s.seconds for n, s in manifest.stages.items() if n in wanted},
        curve=() if course is None else course.psnr,
        curve_views=0 if course is None else course.psnr_views,
        pixels_per_second=entry.get("pixels_per_second"),
    )
