"""From the device that was asked for to a backend that works here."""

from __future__ import annotations

from recon.errors import BackendUnavailable
from recon.fit.options import Device, MethodName
from recon.kernels.registry import list_backends, probe

# Best first. The reference is left out: it is an oracle for tests, far too slow to train with.
_TRAINING: dict[MethodName, dict[str, tuple[str, ...]]] = {
    "splat": {"cpu": ("native_cpu",), "cuda": ("native_cuda", "gsplat")},
    "nerf": {"cpu": ("native_cpu",), "cuda": ("native_cuda",)},
}


def on_gpu(backend: str) -> bool:
    """Whether a backend trains on a GPU."""
    return any(backend in by_device["cuda"] for by_device in _TRAINING.values())


def choose_backend(device: Device, method: MethodName = "splat") -> str:
    """The backend that trains a method; "auto" takes the GPU where one works, else the CPU.

    Raises:
        BackendUnavailable: none works; the message says why for each.
    """
    known = list_backends()
    by_device = _TRAINING[method]
    wanted = by_device["cuda"] + by_device["cpu"] if device == "auto" else by_device[device]
    names = [name for name in wanted if name in known]
    reasons, remedy = [], ""
    for name in names:
        result = probe(name)
        if result.ok:
            return name
        reasons.append(f"{name}: {result.detail}")
        remedy = result.remedy or remedy
    if not names:
        raise BackendUnavailable(
            f"this version of recon cannot train {method} on --device {device}",
            remedy="leave --device away: it trains on the CPU",
        )
    raise BackendUnavailable(
        f"no backend works for --device {device}\n    " + "\n    ".join(reasons),
        remedy=remedy or "see: recon doctor",
    )
