"""Versions of what shapes a result, for the manifest and for `recon doctor`."""

from __future__ import annotations

import platform
from importlib import metadata

import recon

SHAPING = ("torch", "numpy", "pycolmap", "pillow", "gsplat")


def version_of(distribution: str) -> str | None:
    """The installed version, None when it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def package_versions() -> dict[str, str]:
    """recon, Python, the system, and those of the packages that are installed."""
    versions = {
        "recon": recon.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    for name in SHAPING:
        version = version_of(name)
        if version is not None:
            versions[name] = version
    return versions
