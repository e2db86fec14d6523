"""Registers, shared memory and spills of every CUDA kernel, as ptxas reports them. Needs only nvcc.

    python benchmarks/cuda_resources.py [--arch sm_90]

Ends with 1 when a kernel spills registers.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

NATIVE = Path(__file__).resolve().parents[1] / "cuda_ext"


@dataclass(frozen=True)
class Kernel:
    """What one kernel takes: registers a thread, bytes of shared memory a block, bytes spilled."""

    source: str
    name: str
    registers: int
    shared: int
    spilled: int


def parse(source: str, report: str) -> list[Kernel]:
    """Kernels in ptxas's verbose report of one source."""
    found = []
    for part in report.split("Compiling entry function '")[1:]:
        mangled = part.split("'", 1)[0]
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", part)
        registers = re.search(r"Used (\d+) registers", part)
        shared = re.search(r"(\d+) bytes smem", part)
        if spills is None or registers is None:
            raise SystemExit(f"ptxas's report of {source} is not understood")
        found.append(
            Kernel(
                source,
                demangle(mangled),
                int(registers[1]),
                int(shared[1]) if shared else 0,
                int(spills[1]) + int(spills[2]),
            )
        )
    return found


def demangle(name: str) -> str:
    """A kernel's own name, with its template arguments where it has any."""
    base = re.search(r"\d+([a-z_]+_kernel)", name)
    if base is None:
        return name
    arguments = name[base.end() :]
    marks = re.match(r"I((?:Lb[01]E|j|5uint2|Li\d+E)+)E", arguments)
    if marks is None:
        return base[1]
    words = re.findall(r"Lb[01]E|5uint2|Li\d+E|j", marks[1])
    plain = {"Lb0E": "false", "Lb1E": "true", "j": "uint32", "5uint2": "uint2"}
    return f"{base[1]}<{', '.join(plain.get(w, w[2:-1]) for w in words)}>"


def compile_and_report(source: Path, arch: str, folder: Path) -> list[Kernel]:
    command = ["nvcc", "-std=c++20", "-O3", f"-arch={arch}", "-cubin", "-Xptxas=-v"]
    command += [f"-I{NATIVE}", f"-I{NATIVE / 'include'}", str(source)]
    command += ["-o", str(folder / f"{source.stem}.cubin")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(run.stderr)
    return parse(str(source.relative_to(NATIVE / "cuda")), run.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description="Registers and spills of the CUDA kernels.")
    parser.add_argument("--arch", default="sm_90")
    args = parser.parse_args()
    if shutil.which("nvcc") is None:
        raise SystemExit("nvcc was not found")
    kernels = []
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted((NATIVE / "cuda").rglob("*.cu")):
            kernels += compile_and_report(source, args.arch, Path(folder))
    print(f"{'kernel':40s} {'source':20s} registers  shared  spilled   ({args.arch})")
    for k in kernels:
        print(f"{k.name:40s} {k.source:20s} {k.registers:9d} {k.shared:7d} {k.spilled:8d}")
    sys.exit(any(k.spilled for k in kernels))


if __name__ == "__main__":
    main()
