"""Figures of a method in words."""

from __future__ import annotations

from typing import Any


def size_unit(method: str) -> str:
    """What a model's size counts; also the key of the size in eval.json."""
    return "splats" if method == "splat" else "parameters"


def quality_text(entry: dict[str, Any]) -> str:
    """One line: PSNR, SSIM, views and resolution."""
    if entry.get("psnr") is None:
        return "no photo is held out: not measured"
    return (
        f"PSNR {entry['psnr']:.2f} dB, SSIM {entry['ssim']:.4f} on {len(entry['views'])} "
        f"held-out views at {entry['width']}x{entry['height']}"
    )
