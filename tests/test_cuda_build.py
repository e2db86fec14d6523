"""What the build of the CUDA kernels leaves, on machines with and without nvcc or a GPU."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from recon.errors import BackendUnavailable
from recon.kernels import native_cuda, registry
from recon.kernels.registry import probe, training_backend

ROOT = Path(__file__).resolve().parents[1]
BUILT = importlib.util.find_spec("recon.kernels._native_cuda") is not None
# Beside what `_native_cuda` has.
FOR_TESTS = {"set_order", "run_planted", "waits"}


@pytest.mark.skipif(not BUILT, reason="the CUDA kernels are not built: nvcc was not found")
def test_the_module_imports_and_speaks_of_the_gpu_without_failing() -> None:
    native = importlib.import_module("recon.kernels._native_cuda")
    assert (native.device_count() > 0) == (native.device_problem() == "")
    assert native.engine_bytes(1000, 10_000, 64, 64, False, True) > 10_000 * 72


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc was not found")
def test_where_there_is_nvcc_the_kernels_are_built() -> None:
    assert BUILT, "nvcc is there, but the CUDA kernels were not built: run pip install again"


def public(owner: object) -> set[str]:
    return {name for name in vars(owner) if not name.startswith("_")}


def stubbed(body: list[ast.stmt]) -> set[str]:
    """Names that a stub defines."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize(
    ("built", "stub", "own"),
    [("_native", "_native", {"oracle"}), ("_host_cuda", "_native_cuda", FOR_TESTS)],
)
def test_stubs_have_the_names_of_the_modules(built: str, stub: str, own: set[str]) -> None:
    """What pyright checks calls against is what is compiled; `_host_cuda` is `_native_cuda` and
    what the tests need."""
    module = pytest.importorskip(f"recon.kernels.{built}", reason=f"{built} is not built")
    tree = ast.parse((ROOT / "recon" / "kernels" / f"{stub}.pyi").read_text())
    assert stubbed(tree.body) == public(module) - own
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in public(module):
            assert stubbed(node.body) == public(getattr(module, node.name)), node.name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc was not found")
def test_no_kernel_spills_registers() -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "cuda_resources.py"), "--arch", "sm_80"],
        capture_output=True,
        text=True,
        check=False,
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("_kernel") > 20


def fake_native(problem: str) -> ModuleType:
    module = ModuleType("recon.kernels._native_cuda")
    module.device_problem = lambda: problem  # type: ignore[attr-defined]
    module.device_name = lambda index: "Fake GPU"  # type: ignore[attr-defined]
    return module


def test_a_machine_without_nvcc_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(registry.shutil, "which", lambda name: None)
    found = probe("native_cuda")
    assert not found.ok
    assert "nvcc was not found" in found.detail
    assert "CUDA toolkit" in found.remedy
    monkeypatch.setattr(registry.shutil, "which", lambda name: "/usr/bin/nvcc")
    assert "nvcc is there now" in probe("native_cuda").detail


@pytest.mark.parametrize(
    ("problem", "torch_has_cuda", "told"),
    [("there is no NVIDIA driver", True, "no NVIDIA driver"), ("", False, "torch has no CUDA")],
)
def test_a_build_that_cannot_run_says_why(
    monkeypatch: pytest.MonkeyPatch, problem: str, torch_has_cuda: bool, told: str
) -> None:
    monkeypatch.setitem(sys.modules, "recon.kernels._native_cuda", fake_native(problem))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: torch_has_cuda)
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: object())
    found = probe("native_cuda")
    assert not found.ok
    assert told in found.detail
    assert found.remedy
    with pytest.raises(BackendUnavailable, match="What to do"):
        training_backend("native_cuda")


def test_a_gpu_that_works_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "recon.kernels._native_cuda", fake_native(""))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: object())
    assert probe("native_cuda") == registry.ProbeResult("native_cuda", True, "Fake GPU")
    assert isinstance(training_backend("native_cuda"), native_cuda.NativeCudaBackend)


def test_gsplat_without_cuda_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = probe("gsplat")
    assert not found.ok
    assert found.remedy


def test_a_backend_that_only_renders_does_not_train() -> None:
    with pytest.raises(BackendUnavailable, match="only renders"):
        training_backend("reference")
