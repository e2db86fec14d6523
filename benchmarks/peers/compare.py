"""One foreign method on the cameras of `recon fit`, measured as our own are."""

from __future__ import annotations

import shlex
import shutil
import time
from pathlib import Path

import tyro
from record import Result, commit, machine

from peers.base import Peer
from recon.cli.commands import Fit
from recon.evaluate import evaluate
from recon.fit.parts import default_parts
from recon.sfm import SfmOptions


def train_peer(
    peer: Peer, folder: Path, preset: str, options: str, out: Path, steps: int | None
) -> Result:
    """Find the cameras, train, render the held-out views, measure.

    Args:
        options: of `recon fit`; those that decide the cameras and the resolution count.
    """
    state = {"commit": commit(), "machine": machine()}
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    words = [str(folder), "--preset", preset, *shlex.split(options)]
    wanted = tyro.cli(Fit, args=words).options()
    parts = default_parts()
    start = time.monotonic()
    capture = parts.load_capture(wanted.scene, lambda done, total: None, wanted.poses == "sfm")
    sfm = SfmOptions(
        pose_source=wanted.poses,
        quality=wanted.preset,
        long_side=wanted.resolution,
        seed=wanted.seed,
        threads=wanted.threads,
    )
    scene = parts.pose_capture(capture, out / "cameras", sfm, lambda progress: None, lambda: False)
    posed = time.monotonic() - start
    work = out / peer.name
    work.mkdir()
    trained = peer.train(scene, work, steps)
    measured = evaluate(
        trained.model, scene, long_side=wanted.resolution, renders_dir=out / "renders"
    )
    if measured.psnr is None or measured.ssim is None:
        raise SystemExit(f"{folder} holds no photo out: there is nothing to compare")
    return Result(
        scene=folder.name,
        preset=preset,
        method=peer.name,
        options=options,
        description="",
        settings=trained.settings,
        backend=str(trained.settings.get("device", "")),
        note="",
        photos=len(capture.photos),
        psnr=round(measured.psnr, 6),
        ssim=round(measured.ssim, 6),
        width=measured.width or 0,
        height=measured.height or 0,
        views=len(measured.views),
        size=measured.size,
        size_unit=peer.size_unit,
        train_seconds=round(trained.seconds, 3),
        stages={"sfm": round(posed, 3), f"train_{peer.name}": round(trained.seconds, 3)},
        peak_mb=trained.peak_mb,
        **state,
    )
