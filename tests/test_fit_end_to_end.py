"""The real command on a part of the bundled scene: given cameras, short training, all outputs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("recon.kernels._native", reason="the native kernels are not built")

STUDIO = Path(__file__).resolve().parent.parent / "scenes" / "studio"
TRUTH = STUDIO / "truth" / "transforms.json"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TRUTH.is_file(), reason="scenes/studio is not here"),
]
COUNT = 32  # one lap around the table


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """One lap of the studio with their true cameras."""
    folder = tmp_path / "studio"
    (folder / "images").mkdir(parents=True)
    transforms = json.loads(TRUTH.read_text())
    frames = sorted(transforms["frames"], key=lambda frame: frame["file_path"])[:COUNT]
    kept = []
    for frame in frames:
        name = Path(frame["file_path"]).name
        shutil.copy(STUDIO / "images" / name, folder / "images" / name)
        kept.append({"file_path": f"images/{name}", "transform_matrix": frame["transform_matrix"]})
    (folder / "transforms.json").write_text(json.dumps({**transforms, "frames": kept}))
    return folder


def fit(scene: Path, *words: str) -> subprocess.Popen[str]:
    options = ["--resolution", "160", "--max-splats", "4000", "--json", *words]
    return subprocess.Popen(
        [sys.executable, "-m", "recon", "fit", str(scene), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((image - truth) ** 2)))


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def test_photos_to_a_model_that_predicts_unseen_photos(scene: Path) -> None:
    code, out, err = end(fit(scene, "--steps", "500"))
    assert code == 0, err
    summary = json.loads(out)
    run = scene / "recon"
    assert summary["state"] == "done"
    assert summary["registered"] == COUNT
    assert 1000 < summary["splats"] <= 4000
    entry = json.loads((run / "eval.json").read_text())["splat"]
    assert len(entry["views"]) == 4
    for view in entry["views"].values():
        truth, render = (
            np.asarray(Image.open(run / "renders" / kind / view["file"]), np.float64) / 255
            for kind in ("truth", "splat")
        )
        assert max(truth.shape) == 160
        # The figure in the file is that of the pictures beside it, and far better than one colour.
        assert psnr(render, truth) == pytest.approx(view["psnr"], abs=0.05)
        assert view["psnr"] > psnr(truth.mean(axis=(0, 1)), truth) + 2
    page = (run / "report.html").read_text()
    assert f"{summary['psnr']:.2f}" in page or f"{summary['psnr']:.1f}" in page

    from plyfile import PlyData

    vertices = PlyData.read(str(run / "splat.ply"))["vertex"].data
    assert len(vertices) == summary["splats"]
    assert all(np.isfinite(vertices[name]).all() for name in vertices.dtype.names)

    measured_again = subprocess.run(
        [sys.executable, "-m", "recon", "eval", str(scene), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    # Saving, loading and rendering change nothing at all.
    again = json.loads(measured_again.stdout)["splat"]
    assert again["psnr"] == entry["psnr"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_killed_in_training_it_goes_on_to_the_end(scene: Path) -> None:
    first = fit(scene, "--steps", "600")
    log = scene / "recon" / "events.jsonl"
    limit = time.monotonic() + 180
    while not log.exists():
        assert time.monotonic() < limit
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)  # leaves a checkpoint wherever it is
    code, out, err = end(first)
    assert code == 130, err
    steps = json.loads(out)["steps"]
    assert 0 < steps < 600
    second = fit(scene, "--steps", "600")
    while '"resumed at step' not in log.read_text():
        assert second.poll() is None, second.communicate()
        time.sleep(0.02)
    second.kill()
    end(second)
    code, out, err = end(fit(scene, "--steps", "600"))
    assert code == 0, err
    assert json.loads(out)["steps"] == 600
    assert f"resumed at step {steps}" in err
