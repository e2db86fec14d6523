"""A run's results in the formats of other programs, in the capture's own world.

Names are resolved on first use, since the command line needs `options` before anything heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.export.options import ExportJob
    from recon.export.run import ExportOutcome, export_run

__all__ = ["ExportJob", "ExportOutcome", "export_run"]

_MODULES = {
    "ExportJob": "recon.export.options",
    "ExportOutcome": "recon.export.run",
    "export_run": "recon.export.run",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
