"""A method's entry in eval.json, and the words for it."""

from __future__ import annotations

from typing import Any

from recon.fit.rundir import RunDir
from recon.model import RadianceModel


def facts_of_training(run: RunDir, method: str, model: RadianceModel) -> dict[str, Any]:
    """What eval.json says of a model beyond its quality."""
    training = run.manifest.training.get(method, {})
    return {"train_seconds": training.get("seconds"), f"{method}s": model.size}


def quality_text(entry: dict[str, Any]) -> str:
    """One line: PSNR, SSIM, views and resolution."""
    if entry.get("psnr") is None:
        return "no photo is held out: not measured"
    return (
        f"PSNR {entry['psnr']:.2f} dB, SSIM {entry['ssim']:.4f} on {len(entry['views'])} "
        f"held-out views at {entry['width']}x{entry['height']}"
    )
