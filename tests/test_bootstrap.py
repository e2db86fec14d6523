"""The set-up script: what it decides, with nothing installed for real."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recon import bootstrap
from recon.bootstrap import Environment, SetupError


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree that looks like the repository."""
    (tmp_path / "cuda_ext" / "cpu").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "cuda_ext" / "CMakeLists.txt").write_text("project(x)\n")
    (tmp_path / "cuda_ext" / "cpu" / "a.cpp").write_text("int a;\n")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    return tmp_path


def test_the_key_follows_what_an_installation_depends_on(clone: Path) -> None:
    first = bootstrap.sources_key(clone)
    assert first == bootstrap.sources_key(clone)
    (clone / "recon.py").write_text("x = 1\n")
    (clone / "cuda_ext" / "notes.md").write_text("no source\n")
    assert first == bootstrap.sources_key(clone)
    (clone / "cuda_ext" / "cpu" / "a.cpp").write_text("int b;\n")
    second = bootstrap.sources_key(clone)
    (clone / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert len({first, second, bootstrap.sources_key(clone)}) == 3


class Recorder:
    """Stands in for subprocess.run; makes the interpreter when a venv is asked for."""

    def __init__(self, environment: Environment, fails: Callable[[list[str]], bool]) -> None:
        self.commands: list[list[str]] = []
        self._environment = environment
        self._fails = fails

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append([str(part) for part in command])
        if "venv" in command:
            self._environment.bin.mkdir(parents=True)
            self._environment.python.write_text("")
        code = 1 if self._fails(self.commands[-1]) else 0
        return subprocess.CompletedProcess(command, code, stdout="the tool's own words")


def torch_is_missing(command: list[str]) -> bool:
    return command[1:3] == ["-c", "import torch"]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "torch_arguments", lambda: ["torch==0"])
    monkeypatch.setattr(bootstrap, "find_compiler", lambda: "/usr/bin/c++")


@pytest.mark.usefixtures("quiet")
def test_a_second_run_installs_nothing_and_a_change_does(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment(clone / ".venv")
    recorder = Recorder(environment, torch_is_missing)
    monkeypatch.setattr(subprocess, "run", recorder)
    bootstrap.install(environment, frozenset(), "key")
    assert [c[1:3] for c in recorder.commands] == [
        ["-m", "venv"],
        ["-c", "import torch"],
        ["-m", "pip"],
        ["-m", "pip"],
    ]
    assert recorder.commands[2][-1] == "torch==0"
    assert recorder.commands[3][-2:] == ["-e", str(clone)]
    recorder.commands.clear()
    bootstrap.install(environment, frozenset(), "key")
    assert recorder.commands == []
    bootstrap.install(environment, frozenset({"test", "dev"}), "key")
    assert recorder.commands[-1][-1] == f"{clone}[dev,test]"
    recorder.commands.clear()
    bootstrap.install(environment, frozenset(), "key")
    assert recorder.commands == []
    bootstrap.install(environment, frozenset(), "another key")
    assert recorder.commands
    assert json.loads(environment.stamp.read_text())["key"] == "another key"


@pytest.mark.usefixtures("quiet")
def test_a_failed_step_shows_its_words_and_leaves_no_stamp(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment(clone / ".venv")
    recorder = Recorder(environment, lambda command: "pip" in command)
    monkeypatch.setattr(subprocess, "run", recorder)
    with pytest.raises(SetupError, match="the tool's own words") as caught:
        bootstrap.install(environment, frozenset(), "key")
    assert "What to do" in str(caught.value)
    assert environment.installed_extras("key") is None


def test_no_compiler_and_no_venv_module_are_named(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "find_compiler", lambda: None)
    with pytest.raises(SetupError, match=r"no C\+\+ compiler"):
        bootstrap.install(Environment(clone / ".venv"), frozenset(), "key")
    monkeypatch.setattr(bootstrap, "find_compiler", lambda: "/usr/bin/c++")
    recorder = Recorder(Environment(clone / "x"), lambda command: "venv" in command)
    monkeypatch.setattr(subprocess, "run", recorder)
    with pytest.raises(SetupError, match="python3-venv"):
        bootstrap.install(Environment(clone / ".venv"), frozenset(), "key")


@pytest.mark.parametrize(
    ("system", "gpu", "reachable", "expected"),
    [
        ("linux", False, True, [bootstrap.TORCH, "--index-url", bootstrap.TORCH_CPU_INDEX]),
        ("linux", False, False, [bootstrap.TORCH]),
        ("linux", True, True, [bootstrap.TORCH]),
        ("darwin", False, True, [bootstrap.TORCH]),
    ],
)
def test_torch_comes_without_cuda_where_nothing_could_use_it(
    monkeypatch: pytest.MonkeyPatch, system: str, gpu: bool, reachable: bool, expected: list[str]
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(bootstrap, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(bootstrap, "reachable", lambda url: reachable)
    assert bootstrap.torch_arguments() == expected


def test_an_address_that_nobody_answers_is_not_reachable() -> None:
    assert not bootstrap.reachable("http://127.0.0.1:9/", timeout=1.0)
    assert not bootstrap.reachable("no address at all")


@pytest.mark.parametrize(("check", "tests", "code"), [(0, 0, 0), (1, 0, 1), (0, 3, 3), (1, 3, 3)])
def test_failed_checks_fail_the_whole_but_pytest_speaks_last(
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    check: int,
    tests: int,
    code: int,
) -> None:
    def play(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "pytest" in command:
            print("5 passed in 1.00s")
            return subprocess.CompletedProcess(command, tests)
        return subprocess.CompletedProcess(command, check)

    monkeypatch.setattr(subprocess, "run", play)
    assert bootstrap.run_tests(Environment(clone / ".venv"), []) == code
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == "5 passed in 1.00s"
    assert any("FAILED" in line for line in lines) == bool(check)


def test_words_that_are_no_command_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main([]) == 2
    assert bootstrap.main(["dance"]) == 2
    assert bootstrap.main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert "usage" in out
    assert "dance" in err
