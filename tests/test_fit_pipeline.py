"""The wiring of a fit: what is written, what is skipped, what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fit_fakes import Calls, FakeMethod, fake_parts, make_photos

from recon.errors import CaptureError, OptionError, RunDirError, SfmError
from recon.fit import FitOptions, StopRequest, run_fit
from recon.fit.eventlog import read_events
from recon.fit.events import FitEvent, Notice, StageFinished, Training
from recon.fit.parts import FitParts
from recon.fit.rundir import RunDir
from recon.model import StepEvent


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "scene")


def test_a_run_leaves_what_the_contract_promises(scene: Path) -> None:
    summary = run_fit(FitOptions(scene, preset="draft"), parts=fake_parts())
    run = scene / "recon"
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["version"] == 1
    assert manifest["state"] == "done"
    assert (manifest["images"], manifest["registered"], manifest["failed"]) == (9, 9, {})
    assert manifest["split"]["test"] == ["000.jpg", "008.jpg"]
    assert len(manifest["split"]["train"]) == 7
    assert set(manifest["stages"]) == {
        "capture",
        "sfm",
        "train_splat",
        "evaluate_splat",
        "report",
    }
    for record in manifest["stages"].values():
        assert record["status"] == "done"
        assert record["seconds"] >= 0
    assert manifest["settings"]["splat"]["steps"] == 20
    assert manifest["backend"] == "fake"
    assert manifest["versions"]["recon"]
    assert manifest["norm_from_world"]["scale"] == 2.0
    assert len(manifest["inputs"]["000.jpg"]["sha256"]) == 64
    assert manifest["training"]["splat"]["steps"] == 20

    entry = json.loads((run / "eval.json").read_text())["splat"]
    assert set(entry) >= {"psnr", "ssim", "train_seconds", "splats", "width", "height", "views"}
    assert set(entry["views"]) == {"000.jpg", "008.jpg"}
    for name in ("splat.ply", "splat.safetensors", "events.jsonl", "report.html", "scene.json"):
        assert (run / name).is_file(), name
    assert summary.best.psnr == entry["psnr"] == 22.0
    assert summary.view_command.startswith("recon view ")
    assert summary.to_json()["version"] == 1


def test_the_same_command_again_does_nothing_again(scene: Path) -> None:
    calls, events = Calls(), list[FitEvent]()
    first = run_fit(FitOptions(scene), parts=fake_parts(calls=calls))
    assert calls.take() == {"pose": 1, "evaluate": 1, "report": 1}
    second = run_fit(FitOptions(scene), events.append, parts=fake_parts(calls=calls))
    assert calls.take() == {"load_scene": 1}
    assert second == replace(first, seconds=second.seconds)
    skipped = [e.stage for e in events if isinstance(e, StageFinished) and e.skipped]
    assert skipped == ["sfm", "train_splat", "evaluate_splat", "report"]


def test_other_settings_are_refused_and_named(scene: Path) -> None:
    run_fit(FitOptions(scene), parts=fake_parts())
    with pytest.raises(RunDirError, match="steps: 40 -> 20") as caught:
        run_fit(FitOptions(scene, preset="draft"), parts=fake_parts())
    assert "--no-resume" in caught.value.remedy
    assert "--out" in caught.value.remedy
    assert RunDir.load(scene / "recon").manifest.state == "done"


def test_before_training_began_other_settings_and_photos_are_welcome(scene: Path) -> None:
    parts = fake_parts()

    def no_overlap(*arguments: object) -> object:
        raise SfmError("these photos do not overlap", remedy="take more")

    hopeless: FitParts = replace(parts, pose_capture=no_overlap)  # pyright: ignore[reportArgumentType]
    with pytest.raises(SfmError):
        run_fit(FitOptions(scene), parts=hopeless)
    assert RunDir.load(scene / "recon").manifest.stages["sfm"].status == "failed"
    (scene / "images" / "004.jpg").unlink()
    summary = run_fit(FitOptions(scene, preset="high", resolution=500), parts=parts)
    assert (summary.state, summary.images) == ("done", 8)


def test_no_resume_trains_anew_and_keeps_fitting_poses(scene: Path) -> None:
    calls = Calls()
    run_fit(FitOptions(scene), parts=fake_parts(calls=calls))
    calls.take()
    options = FitOptions(scene, steps=30, resume=False)
    summary = run_fit(options, parts=fake_parts(calls=calls))
    assert calls.take() == {"load_scene": 1, "evaluate": 1, "report": 1}
    assert summary.best.steps == 30
    steps = [e["step"] for e in read_events(scene / "recon" / "events.jsonl")]
    assert max(steps) == 30
    run_fit(FitOptions(scene, preset="draft", resume=False), parts=fake_parts(calls=calls))
    assert calls.take()["pose"] == 1


def test_changed_photos_are_refused_and_named(scene: Path) -> None:
    run_fit(FitOptions(scene), parts=fake_parts())
    (scene / "images" / "003.jpg").unlink()
    shutil.copy(scene / "images" / "005.jpg", scene / "images" / "004.jpg")
    with pytest.raises(RunDirError, match="removed") as caught:
        run_fit(FitOptions(scene), parts=fake_parts())
    assert "003.jpg" in str(caught.value)


def test_a_requested_stop_leaves_an_evaluated_model_and_goes_on_later(scene: Path) -> None:
    stop = StopRequest()

    def stop_at_seven(event: FitEvent) -> None:
        match event:
            case Training(StepEvent(step=7)):
                stop.request()
            case _:
                pass

    summary = run_fit(FitOptions(scene), stop_at_seven, stop, fake_parts())
    assert (summary.state, summary.best.steps, summary.best.psnr) == ("stopped", 7, 20.7)
    manifest = RunDir.load(scene / "recon").manifest
    assert manifest.state == "stopped"
    assert manifest.stages["train_splat"].status == "stopped"
    assert manifest.stages["evaluate_splat"].status == "done"
    method = FakeMethod()
    summary = run_fit(FitOptions(scene), parts=fake_parts(method))
    assert (summary.state, summary.best.steps, summary.best.psnr) == ("done", 40, 24.0)
    events = read_events(scene / "recon" / "events.jsonl")
    steps = [e["step"] for e in events if e["type"] == "step"]
    assert steps == list(range(1, 41))
    assert [e["type"] for e in events].count("finished") == 1


def test_a_full_disk_says_so_and_the_run_goes_on_afterwards(scene: Path) -> None:
    with pytest.raises(RunDirError, match="disk is full"):
        run_fit(FitOptions(scene), parts=fake_parts(FakeMethod(fail_at=12)))
    manifest = RunDir.load(scene / "recon").manifest
    assert manifest.state == "failed"
    assert manifest.error is not None
    assert "disk is full" in manifest.error["what"]
    summary = run_fit(FitOptions(scene), parts=fake_parts())
    assert summary.state == "done"
    assert RunDir.load(scene / "recon").manifest.error is None


def test_a_disk_too_small_is_refused_before_the_work(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(scene)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    calls = Calls()
    with pytest.raises(RunDirError, match="are free"):
        run_fit(FitOptions(scene), parts=fake_parts(calls=calls))
    assert calls.take() == {}


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_photos_leave_the_folder_as_it_was(tmp_path: Path, count: int) -> None:
    scene = make_photos(tmp_path / "scene", count)
    with pytest.raises(CaptureError):
        run_fit(FitOptions(scene), parts=fake_parts())
    assert not (scene / "recon").exists()


def test_a_corrupt_photo_is_skipped_and_named(scene: Path) -> None:
    (scene / "images" / "bad.jpg").write_bytes(b"\xff\xd8 this is no JPEG")
    events: list[FitEvent] = []
    run_fit(FitOptions(scene), events.append, parts=fake_parts())
    assert "bad.jpg" in RunDir.load(scene / "recon").manifest.skipped
    assert any(isinstance(e, Notice) and "bad.jpg" in e.text for e in events)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no such folder"):
        run_fit(FitOptions(tmp_path / "nothing"), parts=fake_parts())
    assert not (tmp_path / "nothing").exists()


def test_a_run_directory_among_the_photos_is_refused(scene: Path) -> None:
    with pytest.raises(OptionError, match="among the photos"):
        run_fit(FitOptions(scene, out=scene / "images" / "out"), parts=fake_parts())


def test_a_folder_of_other_things_is_not_written_to(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter.txt").write_text("dear")
    with pytest.raises(RunDirError, match=r"letter\.txt"):
        run_fit(FitOptions(scene, out=tmp_path / "documents"), parts=fake_parts())


def test_unregistered_photos_are_named(scene: Path) -> None:
    parts = fake_parts()

    def lose_one(*arguments: object) -> object:
        whole = parts.pose_capture(*arguments)  # pyright: ignore[reportArgumentType]
        return replace(whole, views=whole.views[:-1], failed=(("008.jpg", "no overlap"),))

    lossy: FitParts = replace(parts, pose_capture=lose_one)  # pyright: ignore[reportArgumentType]
    events: list[FitEvent] = []
    summary = run_fit(FitOptions(scene), events.append, parts=lossy)
    assert (summary.images, summary.registered) == (9, 8)
    assert RunDir.load(scene / "recon").manifest.failed == {"008.jpg": "no overlap"}
    assert any(isinstance(e, Notice) and "008.jpg" in e.text for e in events)
