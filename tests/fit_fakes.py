"""Stand-ins for everything below the wiring: small, instant, and able to fail on request.

Run as a script it is `recon` with these parts: `python fit_fakes.py fit SCENE ...`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from recon.capture import Capture, load_capture
from recon.errors import ReconError
from recon.fit.estimate import Cost, Workload
from recon.fit.options import FitOptions, MethodName
from recon.fit.parts import FitParts
from recon.fit.quality import size_unit
from recon.fit.storage import write_atomic
from recon.geometry import Camera, Sim3, look_at
from recon.model import (
    CheckpointEvent,
    EvalEvent,
    FinishedEvent,
    RenderOptions,
    RenderOutput,
    StepEvent,
    TrainEvent,
)
from recon.scene import PosedScene, SparsePoints, View
from recon.sfm import SfmOptions, SfmProgress, load_scene, save_scene

PRESET_STEPS = {"draft": 20, "standard": 40, "high": 80}
SIZE = 48


def make_photos(folder: Path, count: int = 9) -> Path:
    """A scene folder with noise for photos."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        pixels = rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index:03d}.jpg")
    return folder


@dataclass(frozen=True)
class FakePlan:
    """Options of the fake method."""

    steps: int
    max_splats: int
    seed: int
    backend: str


@dataclass(frozen=True)
class FakeModel:
    """A model that is one number: the steps it was trained for."""

    steps: int
    method: MethodName = "splat"

    @property
    def size(self) -> int:
        return 100 + self.steps

    def render(self, camera: Camera, options: RenderOptions | None = None) -> RenderOutput:
        del options
        shape = (camera.height, camera.width)
        color = np.full((*shape, 3), 0.5, np.float32)
        return RenderOutput(color, np.ones(shape, np.float32), None)

    def save(self, path: Path) -> None:
        write_atomic(path, json.dumps({"steps": self.steps}))


@dataclass
class FakeTrainer:
    """Counts. Writes a checkpoint every five steps and goes on from the newest."""

    plan: FakePlan
    checkpoints: Path
    delay: float
    fail_at: int | None
    method: MethodName = "splat"
    done: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> Iterator[TrainEvent]:
        start = time.monotonic()
        file = self.checkpoints / "latest.json"
        if file.exists():
            self.done = json.loads(file.read_text())["steps"]
        while self.done < self.plan.steps and not self.stopped.is_set():
            time.sleep(self.delay)
            self.done += 1
            now = time.monotonic() - start
            if self.fail_at == self.done:
                raise OSError(28, "No space left on device")
            yield StepEvent(
                self.done, self.plan.steps, now, 1 / max(self.delay, 1e-3), 0.1, 100, 48, 48, 1.0
            )
            if self.done % 5 == 0:
                write_atomic(file, json.dumps({"steps": self.done}))
                yield CheckpointEvent(self.done, now, file)
                yield EvalEvent(self.done, now, 20.0 + self.done / 10, 2)
        write_atomic(file, json.dumps({"steps": self.done}))
        reason = "done" if self.done >= self.plan.steps else "stopped"
        yield FinishedEvent(self.done, time.monotonic() - start, reason)

    def stop(self) -> None:
        self.stopped.set()

    def snapshot(self) -> FakeModel:
        return FakeModel(self.done, self.method)


@dataclass
class FakeMethod:
    """`TrainableMethod` over the above; `trainers` remembers each that was made."""

    delay: float = 0.0
    fail_at: int | None = None
    name: MethodName = "splat"
    trainers: list[FakeTrainer] = field(default_factory=list)

    def plan(self, options: FitOptions, backend: str) -> FakePlan:
        steps = options.steps or PRESET_STEPS[options.preset]
        return FakePlan(steps, options.max_splats or 1000, options.seed, backend)

    def identity(self, plan: FakePlan) -> dict[str, Any]:
        return {"steps": plan.steps, "max_splats": plan.max_splats, "seed": plan.seed}

    def cost(self, plan: FakePlan, work: Workload) -> Cost:
        return Cost(plan.steps * work.megapixels, 1_000_000, 1_000_000)

    def trainer(self, scene: PosedScene, plan: FakePlan, checkpoints: Path) -> FakeTrainer:
        assert scene.train_views
        self.trainers.append(FakeTrainer(plan, checkpoints, self.delay, self.fail_at, self.name))
        return self.trainers[-1]

    def load(self, path: Path, backend: str) -> FakeModel:
        assert backend == "fake"
        return FakeModel(json.loads(path.read_text())["steps"], self.name)

    def export(self, model: Any, path: Path) -> None:
        if self.name == "splat":
            write_atomic(path, f"ply {model.size}\n")


def fake_poses(
    capture: Capture, folder: Path, options: SfmOptions, progress: Any, cancelled: Any
) -> PosedScene:
    """Cameras on a circle around the origin."""
    del options
    assert not cancelled()
    time.sleep(float(os.environ.get("FAKE_POSE_SECONDS", "0")))
    views = []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for index, photo in enumerate(capture.photos):
        progress(SfmProgress("mapping", index, len(capture.photos), photo.name))
        angle = 2 * np.pi * index / len(capture.photos)
        pose = look_at([np.cos(angle), np.sin(angle), 0.3], [0, 0, 0], [0, 0, 1])
        path = folder / "images" / f"{Path(photo.name).stem}.png"
        with Image.open(photo.path) as image:
            image.save(path)
        camera = Camera(SIZE, SIZE, 50.0, 50.0, SIZE / 2, SIZE / 2, pose)
        views.append(View(photo.name, path, camera, capture.split[photo.name]))
    points = SparsePoints(np.zeros((10, 3), np.float32), np.zeros((10, 3), np.uint8))
    scene = PosedScene(tuple(views), points, Sim3(2.0))
    save_scene(scene, folder)
    return scene


@dataclass(frozen=True)
class FakeEvaluation:
    """Quality that follows from the steps."""

    entry: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.entry


def fake_evaluate(
    model: Any, scene: PosedScene, long_side: int, renders: Path, progress: Any
) -> FakeEvaluation:
    del long_side
    views = {}
    for index, view in enumerate(scene.test_views):
        progress(index, len(scene.test_views))
        for kind in ("truth", model.method):
            path = renders / kind / f"{view.name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (SIZE, SIZE)).save(path)
        views[view.name] = {"psnr": 20.0 + model.steps / 10, "ssim": 0.8}
    psnr = 20.0 + model.steps / 10
    return FakeEvaluation(
        {
            "psnr": psnr,
            "ssim": 0.8,
            size_unit(model.method): model.size,
            "width": SIZE,
            "height": SIZE,
            "views": views,
        }
    )


def fake_report(folder: Path) -> Path:
    assert (folder / "eval.json").exists()
    time.sleep(float(os.environ.get("FAKE_REPORT_SECONDS", "0")))
    write_atomic(folder / "report.html", "<html></html>")
    return folder / "report.html"


@dataclass
class Calls:
    """Which parts were called how often."""

    counts: dict[str, int] = field(default_factory=dict)

    def counted(self, name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            self.counts[name] = self.counts.get(name, 0) + 1
            return function(*arguments)

        return call

    def take(self) -> dict[str, int]:
        counts, self.counts = self.counts, {}
        return counts


def fake_parts(*methods: FakeMethod, calls: Calls | None = None) -> FitParts:
    """Parts with these methods; by default with splats alone."""
    calls = calls or Calls()
    return FitParts(
        load_capture=lambda folder, progress, ignore: load_capture(
            folder, progress, ignore_poses=ignore
        ),
        pose_capture=calls.counted("pose", fake_poses),
        load_scene=calls.counted("load_scene", load_scene),
        pose_notices=lambda folder: (),
        evaluate=calls.counted("evaluate", fake_evaluate),
        write_report=calls.counted("report", fake_report),
        choose_backend=lambda device, method: "fake",
        methods={method.name: method for method in methods or (FakeMethod(),)},
    )


def main(words: list[str]) -> int:
    """`recon fit` with fakes of both methods, 20 ms a step; they fail at step FAKE_FAIL_AT."""
    import tyro

    from recon.cli.commands import Fit
    from recon.cli.run_fit import run

    try:
        at = int(os.environ["FAKE_FAIL_AT"]) if "FAKE_FAIL_AT" in os.environ else None
        methods = (FakeMethod(0.02, at), FakeMethod(0.02, at, name="nerf"))
        return run(tyro.cli(Fit, args=words), fake_parts(*methods))
    except ReconError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
