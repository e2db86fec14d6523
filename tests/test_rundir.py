"""The run directory: manifest, lock, atomic writes, and disks that refuse."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recon.errors import RunDirError, SfmError
from recon.fit.eventlog import EventLog, read_events
from recon.fit.manifest import InputFile, Manifest, StageRecord, parse_manifest
from recon.fit.rundir import RunDir
from recon.fit.storage import (
    clear_disk_errors,
    make_writable_folder,
    require_writable,
    write_atomic,
)
from recon.model import EvalEvent, StepEvent, TrainEvent

FULL = Manifest(
    state="done",
    created="2026-01-01T00:00:00+00:00",
    updated="2026-01-01T00:00:00+00:00",
    scene="/photos",
    method="splat",
    images=3,
    registered=2,
    failed={"a.jpg": "no overlap"},
    skipped={"b.jpg": "cannot be decoded"},
    inputs={"a.jpg": InputFile(10, 20, "00")},
    split={"train": ["a.jpg"], "test": [], "source": "every 8th photo by name"},
    poses="sfm",
    settings={"preset": "draft"},
    backend="native_cpu",
    versions={"recon": "0.1.0"},
    norm_from_world={"scale": 1.0},
    training={"splat": {"steps": 3}},
    stages={"sfm": StageRecord("done", 1.5, "ff")},
)


def test_a_manifest_survives_the_round_trip() -> None:
    assert parse_manifest(json.dumps(FULL.to_json()), Path("m")) == FULL


@pytest.mark.parametrize("cut", [0, 1, 50, 400])
def test_a_truncated_manifest_is_an_error_with_a_remedy(cut: int) -> None:
    with pytest.raises(RunDirError) as caught:
        parse_manifest(json.dumps(FULL.to_json())[:cut], Path("m"))
    assert caught.value.remedy


@pytest.mark.parametrize("key", sorted(set(FULL.to_json())))
def test_a_manifest_with_a_wrong_or_missing_field_is_an_error(key: str) -> None:
    whole = FULL.to_json()
    missing = {k: v for k, v in whole.items() if k != key}
    with pytest.raises(RunDirError):
        parse_manifest(json.dumps(missing), Path("m"))
    if not isinstance(whole[key], str) and whole[key] is not None:
        with pytest.raises(RunDirError):
            parse_manifest(json.dumps({**whole, key: "wrong"}), Path("m"))
    with pytest.raises(RunDirError, match="OverflowError"):
        parse_manifest(json.dumps({**whole, "images": float("inf")}), Path("m"))


def test_a_newer_manifest_is_not_guessed_at() -> None:
    newer = {**FULL.to_json(), "version": 2}
    with pytest.raises(RunDirError, match="newer recon"):
        parse_manifest(json.dumps(newer), Path("m"))


def test_a_run_is_found_from_the_scene_and_from_itself(tmp_path: Path) -> None:
    (tmp_path / "recon").mkdir()
    run = RunDir(tmp_path / "recon", FULL)
    run.update()
    assert RunDir.find(tmp_path).path == RunDir.find(tmp_path / "recon").path == run.path
    with pytest.raises(RunDirError, match="no recon run"):
        RunDir.find(tmp_path / "recon" / "..").find(tmp_path.parent)
    with pytest.raises(RunDirError, match="no such folder"):
        RunDir.find(tmp_path / "nowhere")


def test_eval_keeps_the_entries_of_other_methods(tmp_path: Path) -> None:
    run = RunDir(tmp_path, FULL)
    run.write_eval("nerf", {"psnr": 1.0})
    run.write_eval("splat", {"psnr": 2.0})
    run.discard_training(["splat"])
    assert run.read_eval() == {"nerf": {"psnr": 1.0}}


def test_the_lock_keeps_a_second_process_out_and_dies_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from recon.fit.rundir import RunDir\n"
        "with RunDir.locked(Path(sys.argv[1])):\n    print('locked', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(RunDirError, match=f"process {holder.pid}"), RunDir.locked(tmp_path):
            pass
    finally:
        holder.kill()  # as kill -9: no chance to clean up
        holder.wait()
    with RunDir.locked(tmp_path):
        pass


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunDirError, match="disk is full"), clear_disk_errors(path):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_disk_errors_in_words_are_recognised() -> None:
    with pytest.raises(RunDirError, match="disk is full"), clear_disk_errors(Path("x")):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    with pytest.raises(RunDirError, match="disk is full"), clear_disk_errors(Path("x")):
        raise SfmError("failed (OSError: [Errno 28] No space left on device)")
    with pytest.raises(SfmError), clear_disk_errors(Path("x")):
        raise SfmError("photos do not overlap")
    with pytest.raises(RunDirError, match="cannot write"), clear_disk_errors(Path("x")):
        raise OSError(errno.EROFS, "Read-only file system")
    with pytest.raises(ValueError, match="other"), clear_disk_errors(Path("x")):
        raise ValueError("other")


def test_a_read_only_folder_is_refused_up_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere, so the answer of the system is played.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunDirError, match="read-only") as caught:
        require_writable(tmp_path / "scene" / "recon")
    assert "--out" in caught.value.remedy


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "recon").write_text("a file")
    for check in (require_writable, make_writable_folder):
        with pytest.raises(RunDirError, match="there is a file"):
            check(tmp_path / "recon")


def step(number: int) -> TrainEvent:
    return StepEvent(number, 10, 1.0, 1.0, 0.1, 5, 4, 4, 1.0)


def test_the_log_drops_what_a_resumed_training_repeats(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path, "splat")
    for event in (step(1), step(2), EvalEvent(2, 1.0, 20.0, 2), step(3), step(4)):
        log.append(event)
    with path.open("a") as file:
        file.write('{"type": "step", "st')  # killed half-way through a line
    log = EventLog(path, "splat")
    log.append(step(3))
    log.append(step(4))
    kinds = [(e["type"], e["step"]) for e in read_events(path)]
    assert kinds == [("step", 1), ("step", 2), ("eval", 2), ("step", 3), ("step", 4)]
