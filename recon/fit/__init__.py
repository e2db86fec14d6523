"""Wiring: from photos to a run directory. See docs/run-directory.md for what it leaves.

    from recon.fit import FitOptions, run_fit
    summary = run_fit(FitOptions(Path("scenes/studio"), preset="draft"))

Names are resolved on first use, since the command line needs `options` before anything heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.fit.events import StopRequest
    from recon.fit.options import FitOptions
    from recon.fit.pipeline import run_fit
    from recon.fit.rundir import RunDir
    from recon.fit.summary import FitSummary

__all__ = ["FitOptions", "FitSummary", "RunDir", "StopRequest", "run_fit"]

_MODULES = {
    "FitOptions": "recon.fit.options",
    "FitSummary": "recon.fit.summary",
    "RunDir": "recon.fit.rundir",
    "StopRequest": "recon.fit.events",
    "run_fit": "recon.fit.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
