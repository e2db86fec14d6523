"""`recon doctor`: every fault has a remedy; the exit code tells whether splats can be trained."""

from __future__ import annotations

import json

import pytest

from recon.cli import checkup, run_doctor
from recon.cli.checkup import Package, examine
from recon.cli.commands import Doctor
from recon.errors import BackendUnavailable
from recon.kernels.registry import ProbeResult


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examination without the seconds that imports take."""
    monkeypatch.setattr(checkup, "PACKAGES", ())


@pytest.mark.usefixtures("no_packages")
def test_a_machine_without_a_backend_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(device: str, method: str) -> str:
        raise BackendUnavailable("no backend works", remedy="install a compiler")

    monkeypatch.setattr(checkup, "choose_backend", none)
    monkeypatch.setattr(checkup, "probe", lambda name: ProbeResult(name, False, "not built", "do"))
    assert run_doctor.run(Doctor(json=True)) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["able"] is False
    faults = [f for f in data["findings"] if f["status"] == "fault"]
    assert [(f["what"], f["remedy"]) for f in faults] == [("training", "install a compiler")]
    assert run_doctor.run(Doctor()) == 1
    assert "cannot be trained" in capsys.readouterr().out


def test_missing_and_broken_packages_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    packages = (
        Package("no-such-distribution", "nothing", "tests"),
        Package("numpy", "no_such_module", "tests"),
        Package("rich", "no_such_module", "tests", needed=False),
    )
    monkeypatch.setattr(checkup, "PACKAGES", packages)
    found = {f.what: f for f in examine()}
    assert "not installed" in found["no-such-distribution"].detail
    assert "does not import" in found["numpy"].detail
    assert (found["numpy"].status, found["rich"].status) == ("fault", "warning")
    for name in ("no-such-distribution", "numpy", "rich"):
        assert found[name].remedy


@pytest.mark.usefixtures("no_packages")
def test_little_memory_and_disk_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "free_memory", lambda: 10_000_000)
    monkeypatch.setattr(checkup, "_LITTLE_DISK", 10**18)
    found = {f.what: f for f in examine()}
    assert found["memory"].status == found["disk"].status == "warning"
    assert "--resolution" in found["memory"].remedy
