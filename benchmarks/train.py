"""Train presets on scenes with the product itself and write what came out.

    python benchmarks/train.py SCENE[=fit options] ... [--presets draft,standard] [--out DIR]

Each (scene, preset) is one `recon fit` in a process of its own, into a fresh folder. Writes
DIR/results.json (commit, machine, settings, stage times, held-out PSNR and SSIM of the whole test
split, PSNR along the way, splats, peak memory); each run's report.html lies in its folder.
Fit options after `=` are passed on: `"scenes/studio=--resolution 640"`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """One fit.

    Attributes:
        scene, preset, options: what was run.
        psnr, ssim: mean over the test split, at width x height.
        train_seconds: of training alone; `stages` has every stage's wall time.
        curve: (seconds of training, PSNR over some held-out views) along the way.
        peak_mb: largest resident memory of the fit's processes.
    """

    scene: str
    preset: str
    options: str
    psnr: float
    ssim: float
    width: int
    height: int
    views: int
    splats: int
    train_seconds: float
    stages: dict[str, float]
    curve: list[tuple[float, float]]
    peak_mb: float
    settings: dict[str, Any]


def run_fit(scene: Path, preset: str, options: str, out: Path) -> Result:
    """Run one fit and read its run directory."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "recon", "fit", str(scene), "--out", str(out)]
    command += ["--preset", preset, "--json", *shlex.split(options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    summary = json.loads(process.stdout.read() or "null")
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0 or summary is None:
        raise SystemExit(f"failed: {shlex.join(command)}")
    entry = json.loads((out / "eval.json").read_text())["splat"]
    manifest = json.loads((out / "manifest.json").read_text())
    curve = []
    for line in (out / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event.get("type") == "EvalEvent":
            curve.append((event["seconds"], event["psnr"]))
    curve.append((entry["train_seconds"], entry["psnr"]))
    return Result(
        scene=scene.name,
        preset=preset,
        options=options,
        psnr=entry["psnr"],
        ssim=entry["ssim"],
        width=entry["width"],
        height=entry["height"],
        views=len(entry["views"]),
        splats=entry["splats"],
        train_seconds=entry["train_seconds"],
        stages={name: stage["seconds"] for name, stage in manifest["stages"].items()},
        curve=curve,
        peak_mb=usage.ru_maxrss / 1024,
        settings=manifest["settings"],
    )


def commit() -> str:
    """The checkout's commit, with a mark if files were changed."""
    try:
        where = Path(__file__).parent
        head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=where, text=True).strip()
        dirty = subprocess.check_output(
            ["git", "status", "--porcelain", "-uno"], cwd=where, text=True
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if dirty else "")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train presets on scenes and record the outcome.")
    parser.add_argument("scenes", nargs="+", help="folder, or folder=options of recon fit")
    parser.add_argument("--presets", default="draft", help="comma-separated")
    parser.add_argument("--out", type=Path, default=Path("build/benchmark"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results = []
    for item in args.scenes:
        folder, _, options = item.partition("=")
        for preset in args.presets.split(","):
            scene = Path(folder).resolve()
            result = run_fit(scene, preset, options, args.out / f"{scene.name}-{preset}")
            results.append(result)
            print(
                f"{result.scene:12s} {preset:9s} {result.width}x{result.height} "
                f"{result.psnr:6.2f} dB  SSIM {result.ssim:.3f}  {result.splats:8,d} splats  "
                f"train {result.train_seconds:6.1f} s  all {sum(result.stages.values()):6.1f} s  "
                f"{result.peak_mb:5.0f} MB",
                flush=True,
            )
            data = {
                "commit": commit(),
                "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
                "results": [asdict(r) for r in results],
            }
            (args.out / "results.json").write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
