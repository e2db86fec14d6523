"""Several methods in one run: trained in turn from the same cameras, kept, resumed, discarded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from fit_fakes import Calls, FakeMethod, fake_parts, make_photos

from recon.cli.commands import Eval, Fit, Render
from recon.errors import BackendUnavailable, OptionError, RunDirError
from recon.fit import FitOptions, StopRequest, run_fit
from recon.fit.eventlog import read_events
from recon.fit.events import FitEvent, StageStarted, Training
from recon.fit.nerf_method import NerfMethod
from recon.fit.parts import FitParts, TrainableMethod
from recon.fit.rundir import RunDir
from recon.fit.splat_method import SplatMethod
from recon.model import StepEvent


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "scene")


def both(calls: Calls | None = None) -> FitParts:
    return fake_parts(FakeMethod(), FakeMethod(name="nerf"), calls=calls)


def eval_of(scene: Path) -> dict[str, dict[str, object]]:
    return json.loads((scene / "recon" / "eval.json").read_text())


def test_both_are_trained_from_the_same_cameras_and_measured(scene: Path) -> None:
    calls, events = Calls(), list[FitEvent]()
    summary = run_fit(FitOptions(scene, method="both"), events.append, parts=both(calls))
    assert calls.take() == {"pose": 1, "evaluate": 2, "report": 1}
    started = [(e.stage, e.index, e.of) for e in events if isinstance(e, StageStarted)]
    names = ["capture", "sfm", "train_splat", "evaluate_splat", "train_nerf", "evaluate_nerf"]
    assert started == [(n, i + 1, 7) for i, n in enumerate([*names, "report"])]
    assert [r.method for r in summary.results] == ["splat", "nerf"]
    run = RunDir.load(scene / "recon")
    assert set(run.manifest.training) == set(eval_of(scene)) == {"splat", "nerf"}
    assert run.trained_methods == ("splat", "nerf")
    for method in ("splat", "nerf"):
        assert run.manifest.settings["identity"][method]["steps"] == 40
        steps = [e["step"] for e in read_events(run.events, method) if e["type"] == "step"]
        assert steps == list(range(1, 41))
    data = summary.to_json()
    assert data["methods"]["nerf"]["parameters"] == data["methods"]["splat"]["splats"] == 140
    assert data["methods"]["nerf"]["model"].endswith("nerf.safetensors")  # no other file of it


def test_a_method_added_later_keeps_the_first(scene: Path) -> None:
    calls = Calls()
    run_fit(FitOptions(scene), parts=both(calls))
    splat = (scene / "recon" / "splat.safetensors").stat().st_mtime_ns
    calls.take()
    run_fit(FitOptions(scene, method="nerf", steps=30), parts=both(calls))
    assert calls.take() == {"load_scene": 1, "evaluate": 1, "report": 1}
    assert (scene / "recon" / "splat.safetensors").stat().st_mtime_ns == splat
    manifest = RunDir.load(scene / "recon").manifest
    assert manifest.settings["identity"]["splat"]["steps"] == 40
    assert manifest.settings["splat"]["steps"] == 40
    assert manifest.settings["identity"]["nerf"]["steps"] == 30
    # Going on with the first needs no word of the second.
    run_fit(FitOptions(scene), parts=both(calls))
    assert calls.take() == {"load_scene": 1}
    with pytest.raises(RunDirError, match=r"nerf\.steps: 30 -> 40"):
        run_fit(FitOptions(scene, method="both"), parts=both())


def test_what_all_methods_share_cannot_differ(scene: Path) -> None:
    run_fit(FitOptions(scene), parts=both())
    with pytest.raises(RunDirError, match="preset: standard -> draft"):
        run_fit(FitOptions(scene, method="nerf", preset="draft"), parts=both())


def test_no_resume_trains_only_what_was_asked_for_anew(scene: Path) -> None:
    calls = Calls()
    run_fit(FitOptions(scene, method="both"), parts=both(calls))
    calls.take()
    options = FitOptions(scene, method="nerf", steps=7, resume=False)
    summary = run_fit(options, parts=both(calls))
    assert calls.take() == {"load_scene": 1, "evaluate": 1, "report": 1}
    assert [(r.method, r.steps) for r in summary.results] == [("splat", 40), ("nerf", 7)]
    events = scene / "recon" / "events.jsonl"
    assert max(e["step"] for e in read_events(events, "splat")) == 40
    assert max(e["step"] for e in read_events(events, "nerf")) == 7


def test_no_resume_with_other_cameras_discards_what_they_make_untrue(scene: Path) -> None:
    run_fit(FitOptions(scene, method="both"), parts=both())
    options = FitOptions(scene, method="nerf", resolution=500, resume=False)
    summary = run_fit(options, parts=both())
    assert [r.method for r in summary.results] == ["nerf"]
    assert set(eval_of(scene)) == {"nerf"}
    assert not (scene / "recon" / "splat.ply").exists()


def test_a_stop_in_the_first_leaves_the_second_for_the_next_time(scene: Path) -> None:
    stop = StopRequest()

    def stop_at_seven(event: FitEvent) -> None:
        match event:
            case Training(StepEvent(step=7), "splat"):
                stop.request()
            case _:
                pass

    options = FitOptions(scene, method="both")
    summary = run_fit(options, stop_at_seven, stop, both())
    assert (summary.state, [(r.method, r.steps) for r in summary.results]) == (
        "stopped",
        [("splat", 7)],
    )
    summary = run_fit(options, parts=both())
    assert (summary.state, [r.steps for r in summary.results]) == ("done", [40, 40])


def test_a_stop_in_the_second_leaves_both_measured(scene: Path) -> None:
    stop = StopRequest()

    def stop_at_nine(event: FitEvent) -> None:
        match event:
            case Training(StepEvent(step=9), "nerf"):
                stop.request()
            case _:
                pass

    summary = run_fit(FitOptions(scene, method="both"), stop_at_nine, stop, both())
    assert (summary.state, [r.steps for r in summary.results]) == ("stopped", [40, 9])
    assert set(eval_of(scene)) == {"splat", "nerf"}
    assert summary.best.method == "splat"


def test_a_method_that_is_not_there_is_named_before_any_work(scene: Path) -> None:
    with pytest.raises(BackendUnavailable, match="nerf") as caught:
        run_fit(FitOptions(scene, method="both"), parts=fake_parts())
    assert "splat" in caught.value.remedy
    assert not (scene / "recon").exists()


def test_dials_that_fit_one_method_only_are_refused(scene: Path) -> None:
    with pytest.raises(OptionError, match="--steps") as caught:
        FitOptions(scene, method="both", steps=10)
    assert "--method splat" in caught.value.remedy
    with pytest.raises(OptionError, match="--max-splats"):
        FitOptions(scene, method="nerf", max_splats=1000)


def test_a_dry_run_tells_of_each(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from recon.cli import run_fit as command

    run_fit(FitOptions(scene), parts=both())
    assert command.run(Fit(scene, method="both", dry_run=True, json=True), both()) == 0
    forecast = json.loads(capsys.readouterr().out)
    left = [s["name"] for s in forecast["stages"] if not s["done"]]
    assert left == ["capture", "train_nerf", "evaluate_nerf", "report"]
    assert command.run(Fit(scene, method="both", dry_run=True), both()) == 0
    assert "NeRF" in capsys.readouterr().out


@pytest.mark.parametrize(
    "method", [SplatMethod(), NerfMethod()], ids=lambda method: str(method.name)
)
def test_a_dry_run_does_not_tell_a_gpu_the_times_of_the_cpu(
    scene: Path, capsys: pytest.CaptureFixture[str], method: TrainableMethod
) -> None:
    from recon.cli import run_fit as command

    def forecasts(backend: str) -> tuple[dict[str, float | None], str]:
        parts = dataclasses.replace(
            fake_parts(),
            methods={method.name: method},  # pyright: ignore[reportArgumentType]
            choose_backend=lambda device, name: backend,
        )
        wanted = Fit(scene, method=method.name, dry_run=True)  # pyright: ignore[reportArgumentType]
        assert command.run(dataclasses.replace(wanted, json=True), parts) == 0
        forecast = json.loads(capsys.readouterr().out)
        seconds = {stage["name"]: stage["seconds"] for stage in forecast["stages"]}
        assert command.run(wanted, parts) == 0
        return seconds | {"together": forecast["seconds"]}, capsys.readouterr().out

    train = f"train_{method.name}"
    seconds, text = forecasts("native_cpu")
    assert all(seconds.values())
    assert "not known" not in text
    assert "GPU" not in text
    seconds, text = forecasts("native_cuda")
    assert {name for name, value in seconds.items() if value is None} == {train, "together"}
    assert text.count("not known") == 2
    assert "on a GPU was never measured" in text


def test_eval_and_render_take_all_methods(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import av

    from recon.cli import run_eval, run_render

    run_fit(FitOptions(scene, method="both"), parts=both())
    assert run_eval.run(Eval(scene, json=True), both()) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"splat", "nerf"}
    assert run_eval.run(Eval(scene), both()) == 0
    assert capsys.readouterr().out.count("PSNR 24.00 dB") == 2

    out = tmp_path / "pictures"
    assert run_render.run(Render(scene, out, "test"), both()) == 0
    assert {p.name for p in (out / "splat").iterdir()} == {p.name for p in (out / "nerf").iterdir()}
    alone = tmp_path / "alone"
    assert run_render.run(Render(scene, alone, "test", method="nerf"), both()) == 0
    assert len(list(alone.glob("*.png"))) == 2
    film = tmp_path / "flight.mp4"
    assert run_render.run(Render(scene, film, size="64x48", frames=3), both()) == 0
    with av.open(str(film)) as video:
        assert (video.streams.video[0].width, video.streams.video[0].height) == (128, 48)
    (scene / "recon" / "nerf.safetensors").unlink()
    with pytest.raises(RunDirError, match="no trained nerf model"):
        run_render.run(Render(scene, alone, "test", method="nerf"), both())
