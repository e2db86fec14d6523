"""Set up everything from a fresh clone, then run `recon` or the tests. Standard library only.

    python3 -m recon.bootstrap fit scenes/studio     # sets up, then runs `recon fit ...`
    python3 -m recon.bootstrap test                  # sets up, then lint, types and tests

A virtual environment is made in `.venv` beside this package (or where RECON_VENV says). Running
it again installs only when pyproject.toml or the native sources have changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MIN_PYTHON = (3, 11)
# On Linux PyPI's torch brings several GB of CUDA with it; this index has the CPU build (200 MB).
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
TORCH = "torch==2.13.0"
STAMP = "recon-setup.json"
TEST_EXTRAS = frozenset({"test", "dev"})
NATIVE_SUFFIXES = {".h", ".hpp", ".inl", ".cpp", ".cc", ".cu", ".cuh", ".cmake", ".txt"}
USAGE = """usage: python3 -m recon.bootstrap COMMAND [ARGS...]

  setup            make .venv and install recon with its native kernels
  test [ARGS...]   set up, then run lint, format, types and pytest (ARGS go to pytest)
  fit|view|eval|render|doctor [ARGS...]
                   set up, then run `recon COMMAND ARGS...`
"""


class SetupError(Exception):
    """A step failed; the text says which and what to do."""


def say(text: str) -> None:
    print(f"[setup] {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Environment:
    """The virtual environment that everything is installed into."""

    path: Path

    @property
    def bin(self) -> Path:
        return self.path / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> Path:
        return self.bin / ("python.exe" if os.name == "nt" else "python")

    @property
    def stamp(self) -> Path:
        return self.path / STAMP

    def installed_extras(self, key: str) -> frozenset[str] | None:
        """Extras installed for the sources with this key, or None when the set-up is stale."""
        try:
            stamp = json.loads(self.stamp.read_text())
            extras = frozenset(stamp["extras"]) if stamp["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return extras if self.python.exists() else None


def sources_key(root: Path = ROOT) -> str:
    """Hash of all that an installation depends on: pyproject.toml, native code, the interpreter.

    Python sources are left out, since the editable installation reads them in place.
    """
    digest = hashlib.sha256()
    digest.update(f"{sys.version_info[:3]} {platform.machine()} {root} {TORCH}".encode())
    native = root / "cuda_ext"
    files = [root / "pyproject.toml"]
    files += sorted(p for p in native.rglob("*") if p.suffix in NATIVE_SUFFIXES and p.is_file())
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _run(command: Sequence[str | Path], what: str, remedy: str = "") -> None:
    """Run a step of the set-up; its output is shown only when it fails."""
    start = time.monotonic()
    say(f"{what} ...")
    result = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-40:])
        hint = f"\n  What to do: {remedy}" if remedy else ""
        raise SetupError(f"{tail}\n\n{what} failed (exit code {result.returncode}){hint}")
    say(f"{what}: done in {time.monotonic() - start:.0f} s")


def find_compiler() -> str | None:
    """The C++ compiler that CMake will find, or None. Windows: left to CMake, which asks MSVC."""
    if os.name == "nt":
        return "MSVC"
    named = os.environ.get("CXX")
    candidates = [named] if named else ["c++", "g++", "clang++"]
    return next((found for name in candidates if (found := shutil.which(name))), None)


def compiler_remedy() -> str:
    if sys.platform == "darwin":
        return "install Apple's command line tools: xcode-select --install"
    if os.name == "nt":
        return "install the 'Desktop development with C++' workload of Visual Studio Build Tools"
    return "install a C++20 compiler, on Debian or Ubuntu: sudo apt-get install g++"


def check_machine() -> None:
    """Everything that can be known to fail later fails here, with the remedy."""
    if sys.version_info < MIN_PYTHON:
        wanted = ".".join(map(str, MIN_PYTHON))
        raise SetupError(
            f"this is Python {platform.python_version()}, recon needs {wanted} or newer\n"
            f"  What to do: run the command with a newer one, such as python3.12 -m recon.bootstrap"
        )
    if sys.maxsize < 2**32:
        raise SetupError("this Python is a 32-bit build; recon needs a 64-bit one")
    if find_compiler() is None:
        raise SetupError(
            f"no C++ compiler was found; recon's kernels are built on this machine\n"
            f"  What to do: {compiler_remedy()}"
        )


def make_venv(env: Environment) -> None:
    if env.python.exists():
        return
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    _run(
        [sys.executable, "-m", "venv", "--clear", env.path],
        f"making a virtual environment in {env.path}",
        "install Python's venv module, on Debian or Ubuntu: "
        f"sudo apt-get install python3-venv (or python{version}-venv)",
    )


def has_nvidia_gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def reachable(url: str, timeout: float = 4.0) -> bool:
    """Whether an index answers at all: pip itself would go on trying for minutes."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status < 400
    except (OSError, ValueError):  # URLError and time-outs are OSErrors
        return False


def torch_arguments() -> list[str]:
    """pip's arguments for a torch without CUDA where there is no NVIDIA GPU to use it."""
    light = sys.platform.startswith("linux") and not has_nvidia_gpu()
    if light and reachable(f"{TORCH_CPU_INDEX}/torch/"):
        return [TORCH, "--index-url", TORCH_CPU_INDEX]
    if light:
        say("the index of CPU builds of torch cannot be reached; taking torch as pip finds it")
    return [TORCH]


def install(env: Environment, extras: frozenset[str], key: str) -> None:
    """Install torch and recon into `env`, unless the stamp says that this was done."""
    have = env.installed_extras(key)
    if have is not None and extras <= have:
        return
    check_machine()
    make_venv(env)
    env.stamp.unlink(missing_ok=True)
    pip = [env.python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = "look at the lines above; is the package index reachable from this machine?"
    present = subprocess.run(
        [str(env.python), "-c", "import torch"], capture_output=True, check=False
    )
    if present.returncode != 0:
        _run([*pip, *torch_arguments()], "installing torch (takes minutes)", offline)
    wanted = frozenset(extras | (have or frozenset()))
    target = str(ROOT) + (f"[{','.join(sorted(wanted))}]" if wanted else "")
    # The tests run the CUDA kernels on the CPU; nobody else needs that build of them.
    defines = ["RECON_HOST_EXEC"] if wanted >= TEST_EXTRAS else []
    defines += ["RECON_WERROR"] if os.environ.get("RECON_WERROR") else []
    settings = [f"--config-settings=cmake.define.{name}=ON" for name in defines]
    command = [*pip, *settings, "-e", target]
    _run(command, "building kernels, installing recon (takes minutes)", offline)
    env.stamp.write_text(json.dumps({"key": key, "extras": sorted(wanted)}))


def _native_sources() -> list[Path]:
    suffixes = NATIVE_SUFFIXES - {".cmake", ".txt"}
    return sorted(p for p in (ROOT / "cuda_ext").rglob("*") if p.suffix in suffixes)


def run_checks(env: Environment) -> list[str]:
    """Lint, format and types; returns the names of those that failed."""
    checks: list[tuple[str, list[str | Path]]] = [
        ("ruff format", [env.bin / "ruff", "format", "--check", "."]),
        ("ruff check", [env.bin / "ruff", "check", "."]),
        ("pyright", [env.bin / "pyright", "--pythonpath", env.python]),
    ]
    native = _native_sources()
    if native:
        command = [env.bin / "clang-format", "--dry-run", "--Werror", *native]
        checks.append(("clang-format", list(command)))
    failed = []
    for name, command in checks:
        print(f"== {name}", flush=True)
        if subprocess.run([str(p) for p in command], cwd=ROOT, check=False).returncode != 0:
            failed.append(name)
    return failed


def run_tests(env: Environment, arguments: Sequence[str]) -> int:
    """Checks, then pytest; pytest's closing line is the last one printed."""
    failed = run_checks(env)
    for name in failed:
        print(f"== {name} FAILED (see above)", flush=True)
    if not failed:
        print("== lint, format and types are clean", flush=True)
    print("== pytest", flush=True)
    command = [str(env.python), "-m", "pytest", *arguments]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return code or (1 if failed else 0)


def main(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    command, rest = arguments[0], list(arguments[1:])
    if command not in ("setup", "test", "fit", "view", "eval", "render", "doctor"):
        print(f"unknown command {command!r}\n\n{USAGE}", file=sys.stderr)
        return 2
    env = Environment(Path(os.environ.get("RECON_VENV") or ROOT / ".venv").absolute())
    try:
        install(env, TEST_EXTRAS if command == "test" else frozenset(), sources_key())
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if command == "setup":
        say(f"ready: {env.bin / 'recon'} --help")
        return 0
    if command == "test":
        return run_tests(env, rest)
    return subprocess.run([str(env.bin / "recon"), command, *rest], check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
