"""Training steps of the CUDA engine on the CPU under AddressSanitizer and UBSan."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[1] / "cuda_ext"


@pytest.mark.thorough
def test_steps_touch_no_memory_but_their_own(tmp_path: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no g++ or clang++ to build with AddressSanitizer")
    sources = sorted(p for p in (NATIVE / "cuda").rglob("*.cu") if p.name != "device.cu")
    own = ("check.cpp", "check_field.cpp", "device.cpp", "executor.cpp", "fibre.cpp")
    sources += [NATIVE / "host_exec" / name for name in own]
    program = tmp_path / "check"
    flags = ["-std=gnu++20", "-O1", "-g", "-ffp-contract=off", "-fno-sanitize-recover=all"]
    flags += ["-fsanitize=address,undefined", "-DRECON_HOST_EXEC", "-Wno-unknown-pragmas"]
    build = subprocess.run(
        [compiler, *flags, f"-I{NATIVE}", f"-I{NATIVE / 'include'}", "-x", "c++"]
        + [str(source) for source in sources]
        + ["-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "asan" in build.stderr and "cannot find" in build.stderr:
        pytest.skip(f"{compiler} has no AddressSanitizer library here")
    assert build.returncode == 0, build.stderr
    run = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "all steps are finite\n"
