"""What a fit is asked to do. Standard library only, so that `recon --help` can name it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.container import scene_folder
from recon.errors import OptionError

Preset = Literal["draft", "standard", "high"]
Device = Literal["auto", "cpu", "cuda"]
Poses = Literal["auto", "sfm", "given"]
MethodName = Literal["splat", "nerf"]
Method = Literal["splat", "nerf", "both"]

METHODS: tuple[MethodName, ...] = ("splat", "nerf")
"""All methods, in the order in which they are trained and listed."""

DEFAULT_RESOLUTION = 960
DEFAULT_RUN_NAME = "recon"

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def parse_duration(text: str) -> float:
    """Seconds of "90", "90s", "5m", "1h30m" or "1.5h".

    Raises:
        OptionError: not such a text, or no positive time.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    parts = [float(p or 0) for p in match.groups()] if match and text.strip() else []
    seconds = sum(p * unit for p, unit in zip(parts, (3600, 60, 1), strict=False))
    if seconds <= 0:
        raise OptionError(
            f"this is no length of time: {text!r}", remedy="write it like 90s, 5m or 1h30m"
        )
    return seconds


def parse_scale(text: str) -> tuple[str, str, float]:
    """Two photo names and metres of "A,B=METRES".

    Raises:
        OptionError: not such a text, or no positive length.
    """
    names, _, length = text.rpartition("=")
    first, _, second = names.partition(",")
    try:
        metres = float(length.strip().removesuffix("m"))
    except ValueError:
        metres = 0.0
    if not (first.strip() and second.strip() and 0 < metres < 1e6):
        raise OptionError(
            f"this is no known distance: {text!r}",
            remedy="write two photos and the metres between their cameras: a.jpg,b.jpg=2.5",
        )
    return first.strip(), second.strip(), metres


@dataclass(frozen=True)
class FitOptions:
    """All that decides what a run makes and where.

    Attributes:
        scene: folder of photos, or a video or zip.
        out: run directory; None for SCENE/recon.
        method: which kind of model is trained; "both" trains one after the other, from the same
            cameras.
        preset: the level of effort that the dials below start from.
        steps: training steps; None for the preset's. Not with "both": a step of splats is a whole
            picture, one of a NeRF a few thousand rays.
        max_splats: ceiling on the number of splats; None for the preset's.
        time_budget: training time in seconds that the schedules are planned for; None for none.
            With "both", each method has all of it: they are then compared at equal time.
        resolution: longest side, in pixels, of the photos that are trained and evaluated on.
        device: where training runs.
        poses: "given" takes cameras that lie beside the photos, "sfm" finds them, "auto" takes
            given ones where there are any.
        seed: of everything that is random.
        threads: CPU threads, None for all that this process may use.
        scale: "A,B=METRES": the cameras of the photos A and B were that far apart; None if
            unknown.
        resume: go on with an unfinished run of the same inputs and settings.
    """

    scene: Path
    out: Path | None = None
    method: Method = "splat"
    preset: Preset = "standard"
    steps: int | None = None
    max_splats: int | None = None
    time_budget: float | None = None
    resolution: int = DEFAULT_RESOLUTION
    device: Device = "auto"
    poses: Poses = "auto"
    seed: int = 0
    threads: int | None = None
    resume: bool = True
    scale: str | None = None

    def __post_init__(self) -> None:
        limits = (
            ("--steps", self.steps, 1, 10_000_000),
            ("--max-splats", self.max_splats, 100, 100_000_000),
            ("--time-budget", self.time_budget, 1, 30 * 86400),
            ("--resolution", self.resolution, 32, 16384),
            ("--seed", self.seed, 0, 2**31 - 1),
            ("--threads", self.threads, 1, 1024),
        )
        for name, value, low, high in limits:
            if value is not None and not low <= value <= high:
                raise OptionError(f"{name} must lie between {low:,} and {high:,}, not {value:,}")
        if self.method == "both" and self.steps is not None:
            raise OptionError(
                "--steps with --method both: a step means another thing to each method",
                remedy="use --time-budget, or train one after the other in the same folder: "
                "--method splat --steps N, then --method nerf --steps M",
            )
        if self.method == "nerf" and self.max_splats is not None:
            raise OptionError("--max-splats is for splats", remedy="leave it away")

    @property
    def methods(self) -> tuple[MethodName, ...]:
        """What is trained, in order."""
        return METHODS if self.method == "both" else (self.method,)

        if self.scale is not None:
            parse_scale(self.scale)

    @property
    def run_path(self) -> Path:
        return self.out if self.out is not None else scene_folder(self.scene) / DEFAULT_RUN_NAME
