"""kill -9 and Ctrl-C in a process of its own: what is left is whole, and goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from fit_fakes import make_photos
from viewer_pages import hears, open_page

from recon.fit.eventlog import read_events

FAKES = Path(__file__).with_name("fit_fakes.py")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@pytest.fixture(autouse=True, scope="module")
def _hear_ctrl_c() -> Iterator[None]:
    """A job in the background of a script inherits a SIGINT that is ignored, and hands that on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(scene: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(FAKES), str(scene), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
    )


def wait_for_step(
    scene: Path, step: int, process: subprocess.Popen[str], method: str = "splat"
) -> None:
    """Until the event log has reached a step of a method."""
    log = scene / "recon" / "events.jsonl"
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        words = f'"method": "{method}", "step": {step},'
        if log.exists() and words in log.read_text():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached")


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_kill_9_then_the_same_command_resumes_from_the_last_checkpoint(tmp_path: Path) -> None:
    scene = make_photos(tmp_path / "scene")
    process = start(scene, "--steps", "200")
    wait_for_step(scene, 13, process)
    process.kill()
    finish(process)
    manifest = json.loads((scene / "recon" / "manifest.json").read_text())
    assert manifest["state"] == "running"
    assert manifest["stages"]["train_splat"]["status"] == "running"
    assert manifest["stages"]["train_splat"]["seconds"] > 0
    checkpoint = json.loads((scene / "recon" / "checkpoints" / "splat" / "latest.json").read_text())

    code, out, err = finish(start(scene, "--steps", "200", "--json"))
    assert code == 0, err
    assert json.loads(out)["steps"] == 200
    assert "cameras: 9 photos have cameras already" in err
    steps = [
        e["step"]
        for e in map(json.loads, (scene / "recon" / "events.jsonl").read_text().splitlines())
        if e["type"] == "step"
    ]
    assert steps == list(range(1, 201))
    assert checkpoint["steps"] % 5 == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_usable_model(tmp_path: Path, number: int, code: int) -> None:
    scene = make_photos(tmp_path / "scene")
    process = start(scene, "--steps", "5000", "--json")
    wait_for_step(scene, 7, process)
    process.send_signal(number)
    found, out, err = finish(process)
    assert found == code, err
    assert "stopping" in err
    summary = json.loads(out)
    assert summary["state"] == "stopped"
    assert 7 <= summary["steps"] < 5000
    assert summary["psnr"] is not None
    run = scene / "recon"
    for name in ("splat.ply", "splat.safetensors", "eval.json", "report.html"):
        assert (run / name).is_file()
    assert "Traceback" not in err


def test_kill_9_in_the_second_method_costs_neither(tmp_path: Path) -> None:
    scene = make_photos(tmp_path / "scene")
    process = start(scene, "--method", "both")
    wait_for_step(scene, 12, process, "nerf")
    process.kill()
    process.wait()
    code, out, err = finish(start(scene, "--method", "both", "--json"))
    assert code == 0, err
    assert "splats: trained already" in err
    assert {m: r["steps"] for m, r in json.loads(out)["methods"].items()} == {
        "splat": 40,
        "nerf": 40,
    }
    for method in ("splat", "nerf"):
        events = read_events(scene / "recon" / "events.jsonl", method)
        assert [e["step"] for e in events if e["type"] == "step"] == list(range(1, 41))


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    scene = make_photos(tmp_path / "scene")
    process = start(scene, "--steps", "5000")
    wait_for_step(scene, 3, process)
    os.kill(process.pid, signal.SIGSTOP)  # so that both signals wait for it
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    os.kill(process.pid, signal.SIGCONT)
    code, _, err = finish(process)
    assert code in (130, 143)
    assert "Traceback" not in err


def test_two_runs_do_not_share_a_directory(tmp_path: Path) -> None:
    scene = make_photos(tmp_path / "scene")
    first = start(scene, "--steps", "5000")
    wait_for_step(scene, 3, first)
    code, _, err = finish(start(scene, "--steps", "5000"))
    assert code == 7
    assert f"process {first.pid}" in err
    first.kill()
    finish(first)


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Lines of standard error up to one that holds the words."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"{words!r} was not said: {lines}")


def test_the_viewer_is_there_while_training_and_stays_until_ctrl_c(tmp_path: Path) -> None:
    scene = make_photos(tmp_path / "scene")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(scene, "--steps", "150", "--view", "--port", str(port))
    wait_for_step(scene, 3, process)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
        assert page.status == 200
    read_until(process, "stays open")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
        assert page.status == 200
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 0, err
    assert "held out" in out


def test_a_fit_that_fails_says_so_on_the_page_until_ctrl_c(tmp_path: Path) -> None:
    scene = make_photos(tmp_path / "scene")
    words = ("--steps", "5000", "--view", "--port", "8920")
    process = start(scene, *words, FAKE_POSE_SECONDS="3", FAKE_FAIL_AT="20")
    try:
        assert process.stderr is not None
        address = next(line for line in process.stderr if "Viewer: http" in line)
        port = int(address.split()[1].rpartition(":")[2])

        async def visit() -> None:
            async with open_page(port) as page:
                assert await hears(page, b"the disk is full", b"What to do: free some space")
                assert process.poll() is None
            read_until(process, "Ctrl-C ends it")
            async with open_page(port) as page:  # who comes back later is told as well
                assert await hears(page, b"the disk is full", b"What to do: free some space")

        asyncio.run(visit())
        process.send_signal(signal.SIGINT)
        code, _, err = finish(process)
        assert code == 7, err
        assert "Traceback" not in err
    finally:
        process.kill()


def test_ctrl_c_in_the_report_step_ends_the_viewer_too(tmp_path: Path) -> None:
    """Training is over, so nothing is stopped: the report is written, and the command ends as one
    that has made everything. It does not wait for a second Ctrl-C."""
    scene = make_photos(tmp_path / "scene")
    process = start(scene, "--steps", "20", "--view", "--json", FAKE_REPORT_SECONDS="2")
    read_until(process, "report ...")
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 0, err
    assert "as soon as the report is written" in err
    assert "stays open" not in err
    assert "Traceback" not in err
    assert json.loads(out)["state"] == "done"
    assert (scene / "recon" / "report.html").is_file()


def test_ctrl_c_before_there_is_a_model_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    scene = make_photos(tmp_path / "scene")
    process = start(scene, "--view", FAKE_POSE_SECONDS="2")
    read_until(process, "cameras ...")
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130, err
    assert "the same command goes on" in err
    assert "Traceback" not in err
