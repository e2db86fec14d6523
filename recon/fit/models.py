"""The trained models of a run."""

from __future__ import annotations

from recon.errors import RunDirError
from recon.fit.options import MethodName
from recon.fit.parts import FitParts
from recon.fit.rundir import RunDir
from recon.model import RadianceModel


def no_model(run: RunDir, method: MethodName | None = None) -> RunDirError:
    """The error that a run has no trained model (of a method)."""
    option = "" if method is None else f" --method {method}"
    return RunDirError(
        f"this run has no trained {method or ''} model yet".replace("  ", " "),
        where=run.path,
        remedy=f"make one with: recon fit {run.manifest.scene}{option}",
    )


def trained_methods(run: RunDir, wanted: MethodName | None = None) -> tuple[MethodName, ...]:
    """The methods of a run that have a trained model, or just the wanted one.

    Raises:
        RunDirError: there is none, or not the wanted one.
    """
    methods = run.trained_methods
    if not methods or (wanted is not None and wanted not in methods):
        raise no_model(run, wanted)
    return methods if wanted is None else (wanted,)


def load_model(run: RunDir, parts: FitParts, method: MethodName) -> RadianceModel:
    """The trained model of a method.

    Raises:
        RunDirError: there is none yet.
        BackendUnavailable: this version cannot render it.
    """
    file = run.model(method)
    if not file.is_file():
        raise no_model(run, method)
    backend = parts.choose_backend(run.manifest.settings.get("device", "auto"), method)
    return parts.method(method).load(file, backend)
