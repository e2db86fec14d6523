"""Names of the splat backends and whether they work here. Imports none until asked."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recon.errors import BackendUnavailable, OptionError

if TYPE_CHECKING:
    from recon.kernels.ops import SplatBackend

_BACKENDS = {
    "native_cpu": "recon.kernels.native_cpu:NativeCpuBackend",
    "reference": "recon.kernels.reference:ReferenceBackend",
}


@dataclass(frozen=True)
class ProbeResult:
    """Whether a backend works here; if not, why and what to do."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def list_backends() -> tuple[str, ...]:
    """All backend names, best first, whether they work here or not."""
    return tuple(_BACKENDS)


def probe(name: str) -> ProbeResult:
    """Try a backend without raising.

    Raises:
        OptionError: there is no backend of this name.
    """
    if name not in _BACKENDS:
        raise OptionError(
            f"there is no backend {name!r}", remedy=f"choose one of {', '.join(_BACKENDS)}"
        )
    if name == "native_cpu":
        try:
            native = importlib.import_module("recon.kernels._native")
        except ImportError as error:
            return ProbeResult(
                name,
                False,
                f"the native kernels are not built ({error})",
                "install recon with a C++20 compiler present: pip install .",
            )
        sets = [label for label, supported in native.instruction_sets() if supported]
        return ProbeResult(
            name, True, f"{sets[0]}, {native.thread_count()} threads (also: {', '.join(sets[1:])})"
        )
    if importlib.util.find_spec("torch") is None:
        return ProbeResult(name, False, "torch is not installed", "pip install torch")
    return ProbeResult(name, True, "torch, slow: for tests and small images")


def get_backend(name: str) -> SplatBackend:
    """The backend of this name.

    Raises:
        BackendUnavailable: it does not work here.
        OptionError: there is no backend of this name.
    """
    result = probe(name)
    if not result.ok:
        raise BackendUnavailable(f"{name}: {result.detail}", remedy=result.remedy)
    module, _, attribute = _BACKENDS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)()
