"""What `recon doctor` looks at. Each finding that is no "ok" says what to do."""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import recon
from recon.errors import BackendUnavailable
from recon.fit.backend import choose_backend
from recon.fit.machine import free_memory, total_memory, usable_threads
from recon.fit.storage import megabytes
from recon.fit.versions import version_of
from recon.kernels.registry import list_backends, probe

Status = Literal["ok", "note", "warning", "fault"]

MIN_PYTHON = (3, 11)
_LITTLE_MEMORY = 3_000_000_000
_LITTLE_DISK = 2_000_000_000
_SET_UP = "python3 -m recon.bootstrap setup (in a clone), or: pip install recon-3d"


@dataclass(frozen=True)
class Package:
    """A package that recon uses: distribution, module, and what it is for."""

    distribution: str
    module: str
    purpose: str
    needed: bool = True


PACKAGES = (
    Package("torch", "torch", "training"),
    Package("numpy", "numpy", "arrays"),
    Package("scipy", "scipy", "neighbours of points"),
    Package("pillow", "PIL", "photos"),
    Package("pycolmap", "pycolmap", "cameras from photos"),
    Package("safetensors", "safetensors", "checkpoints"),
    Package("rich", "rich", "progress"),
    Package("viser", "viser", "recon view", needed=False),
    Package("av", "av", "mp4 of recon render", needed=False),
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: the thing.
        status: "ok"; "note" (absent, and that is fine); "warning" (may hurt); "fault" (splats
            cannot be trained here).
        detail: what was found.
        remedy: what to do about it; "" where nothing need be done.
    """

    what: str
    status: Status
    detail: str
    remedy: str = ""


def examine() -> tuple[Finding, ...]:
    """Look at everything. Imports every package, so it takes a few seconds."""
    return (
        Finding("recon", "ok", f"{recon.__version__} in {Path(recon.__file__).parent}"),
        _python(),
        *(_package(package) for package in PACKAGES),
        *_backends(),
        *_machine(Path.cwd()),
    )


def _python() -> Finding:
    detail = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    if sys.version_info < MIN_PYTHON:
        wanted = ".".join(map(str, MIN_PYTHON))
        return Finding("Python", "fault", detail, f"install Python {wanted} or newer")
    return Finding("Python", "ok", detail)


def _package(package: Package) -> Finding:
    bad: Status = "fault" if package.needed else "warning"
    version = version_of(package.distribution)
    if version is None:
        return Finding(
            package.distribution, bad, f"not installed; needed for {package.purpose}", _SET_UP
        )
    try:
        # Only importing shows that a package's own libraries are there and fit this machine.
        importlib.import_module(package.module)
    except Exception as error:
        return Finding(
            package.distribution,
            bad,
            f"{version} does not import: {type(error).__name__}: {error}",
            f"pip install --force-reinstall {package.distribution}",
        )
    return Finding(package.distribution, "ok", version)


def _backends() -> Iterator[Finding]:
    for name in list_backends():
        result = probe(name)
        yield Finding(
            f"backend {name}", "ok" if result.ok else "note", result.detail, result.remedy
        )
    try:
        splats, nerfs = choose_backend("auto", "splat"), choose_backend("auto", "nerf")
        detail = f"--device auto takes {splats} for splats, {nerfs} for NeRFs"
        yield Finding("training", "ok", detail)
    except BackendUnavailable as error:
        yield Finding("training", "fault", error.what, error.remedy)


def _machine(folder: Path) -> Iterator[Finding]:
    yield Finding("cores", "ok", str(usable_threads()))
    free, total = free_memory(), total_memory()
    if free is None or total is None:
        yield Finding("memory", "note", "not known on this system")
    else:
        little = free < _LITTLE_MEMORY
        yield Finding(
            "memory",
            "warning" if little else "ok",
            f"{megabytes(free)} free of {megabytes(total)}",
            "close other programs, or lower --resolution and --max-splats" if little else "",
        )
    space = shutil.disk_usage(folder).free
    little = space < _LITTLE_DISK
    yield Finding(
        "disk",
        "warning" if little else "ok",
        f"{megabytes(space)} free in {folder}",
        "free some space, or write to another disk with --out DIR" if little else "",
    )
