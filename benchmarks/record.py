"""What a benchmark run leaves: one JSON file for each (scene, preset, method)."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

VERSION = 1


@dataclass(frozen=True)
class Result:
    """One method trained on one scene.

    Attributes:
        scene, preset, method: what was run; for a foreign method the preset is that of the
            cameras alone.
        options: further options of `recon fit`, as they were typed.
        description: of the capture in a few words, for tables.
        settings: of the method, resolved.
        backend: who did the arithmetic.
        commit: of recon; None where it was not recorded.
        machine: see `machine`.
        note: what else one must know, such as that the machine was not idle.
        psnr, ssim: mean over the test split, at width x height; `views` is its number of photos.
        size, size_unit: splats or parameters.
        train_seconds: of training alone; `stages` has the wall time of every stage.
        curve: (seconds of training, PSNR over `curve_views` held-out photos) along the way.
        pixels_per_second: rendered while the held-out photos were measured.
        peak_mb: largest resident memory of the process, None where it was not recorded.
    """

    scene: str
    preset: str
    method: str
    options: str
    description: str
    settings: dict[str, Any]
    backend: str
    commit: str | None
    machine: dict[str, Any]
    note: str
    photos: int
    psnr: float
    ssim: float
    width: int
    height: int
    views: int
    size: int
    size_unit: str
    train_seconds: float
    stages: dict[str, float]
    curve: tuple[tuple[float, float], ...] = ()
    curve_views: int = 0
    pixels_per_second: float | None = None
    peak_mb: float | None = None
    version: int = field(default=VERSION)

    @property
    def file_name(self) -> str:
        return f"{self.scene}-{self.preset}-{self.method}.json"


def save(result: Result, folder: Path) -> Path:
    """Write a result under its own name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / result.file_name
    path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    return path


def with_known_description(result: Result, folder: Path) -> Result:
    """With the description of the result that it replaces, unless it has its own."""
    old = folder / result.file_name
    if result.description or not old.is_file():
        return result
    return replace(result, description=load(old).description)


def load(path: Path) -> Result:
    """Read what `save` wrote; SystemExit says what is wrong with anything else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("version") != VERSION:
            raise ValueError(f"version {data.get('version')}, not {VERSION}")
        data["curve"] = tuple((float(s), float(p)) for s, p in data["curve"])
        return Result(**data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SystemExit(f"{path}: not a benchmark result ({error})") from error


def load_all(folder: Path) -> list[Result]:
    """All results of a folder, by name."""
    return [load(path) for path in sorted(folder.glob("*.json"))]


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, memory, system."""
    from recon.fit.machine import total_memory, usable_threads

    memory = total_memory()
    return {
        "processor": _processor(),
        "cores": usable_threads(),
        "memory_gb": None if memory is None else round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load": _load(),
    }


def _load() -> float | None:
    """Mean number of processes that wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """The checkout's commit, with a mark if files were changed; None outside of a checkout.

    Recorded results do not count: those of one run must not mark the next."""
    where = Path(__file__).parent.parent
    try:
        head = _git(["rev-parse", "HEAD"], where)
        sources = ["--", ".", ":(exclude)benchmarks/results"]
        dirty = _git(["status", "--porcelain", "-uno", *sources], where)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if dirty else "")


def _git(words: Sequence[str], where: Path) -> str:
    return subprocess.check_output(["git", *words], cwd=where, text=True).strip()
