"""Names of the backends and whether they work here. Imports none until asked."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from recon.errors import BackendUnavailable, OptionError

if TYPE_CHECKING:
    from recon.kernels.engine import TrainingBackend
    from recon.kernels.field_engine import NativeFieldEngine
    from recon.kernels.field_ops import FieldShape
    from recon.kernels.ops import SplatBackend

_BACKENDS = {
    "native_cuda": "recon.kernels.native_cuda:NativeCudaBackend",
    "gsplat": "recon.kernels.gsplat_backend:GsplatBackend",
    "native_cpu": "recon.kernels.native_cpu:NativeCpuBackend",
    "reference": "recon.kernels.reference:ReferenceBackend",
}
# Those of them that have a hash-grid field.
_FIELDS = {
    "native_cuda": "recon.kernels.native_cuda_field:FieldEngine",
    "native_cpu": "recon.kernels.native_field:FieldEngine",
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
    looks = {"native_cpu": _probe_cpu, "native_cuda": _probe_cuda, "gsplat": _probe_gsplat}
    return looks.get(name, _probe_reference)(name)


def _probe_cpu(name: str) -> ProbeResult:
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


def _probe_cuda(name: str) -> ProbeResult:
    if importlib.util.find_spec("recon.kernels._native_cuda") is None:
        nvcc = shutil.which("nvcc")
        if nvcc is None:
            return ProbeResult(
                name,
                False,
                "the CUDA kernels are not built: nvcc was not found",
                "on a machine with an NVIDIA GPU, install a CUDA toolkit, then: pip install .",
            )
        return ProbeResult(
            name,
            False,
            f"the CUDA kernels are not built, although nvcc is there now ({nvcc})",
            "pip install .",
        )
    module = importlib.import_module("recon.kernels.native_cuda")
    try:
        native = module.load_native()
    except BackendUnavailable as error:
        return ProbeResult(name, False, error.what, error.remedy)
    return ProbeResult(name, True, native.device_name(0))


def _probe_gsplat(name: str) -> ProbeResult:
    if importlib.util.find_spec("gsplat") is None:
        return ProbeResult(name, False, "gsplat is not installed", "pip install 'recon-3d[cuda]'")
    import torch

    if not torch.cuda.is_available():
        reason = (
            "this torch has no CUDA" if torch.version.cuda is None else "no GPU that torch can use"
        )
        return ProbeResult(
            name,
            False,
            f"gsplat is installed, but it needs CUDA: {reason}",
            "install NVIDIA's driver and a torch with CUDA, or use --device cpu",
        )
    return ProbeResult(name, True, f"on {torch.cuda.get_device_name(0)}")


def _probe_reference(name: str) -> ProbeResult:
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
    return _load(_BACKENDS[name])()


def _load(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def training_backend(name: str) -> TrainingBackend:
    """The backend of this name, which must be able to train.

    Raises:
        BackendUnavailable: it does not work here, or renders only.
        OptionError: there is no backend of this name.
    """
    backend = get_backend(name)
    if not hasattr(backend, "engine"):
        raise BackendUnavailable(
            f"backend {name} cannot train splats: it only renders",
            remedy="use --device cpu",
        )
    return cast("TrainingBackend", backend)


def field_engine(name: str, shape: FieldShape) -> NativeFieldEngine:
    """An engine of a backend for hash-grid fields of a shape.

    Raises:
        BackendUnavailable: it does not work here, or has no such fields.
        OptionError: there is no backend of this name.
    """
    result = probe(name)
    if not result.ok:
        raise BackendUnavailable(f"{name}: {result.detail}", remedy=result.remedy)
    if name not in _FIELDS:
        raise BackendUnavailable(f"backend {name} cannot train a NeRF", remedy="use --device cpu")
    return _load(_FIELDS[name])(shape)
