"""The trainer on the CUDA backend, whose kernels run on the CPU here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ball_scene import ball_scene, mean_psnr, small_options
from host_exec import CPU, HostExecBackend, host_cuda
from safetensors.torch import load_file

from recon.errors import TrainingError
from recon.kernels import native_cuda_field, native_field
from recon.kernels.field_engine import NativeFieldEngine
from recon.kernels.field_ops import FieldShape, March, StepResult, StepSettings
from recon.kernels.field_tensors import FieldState
from recon.kernels.gsplat_backend import GsplatBackend
from recon.model import CheckpointEvent, NoticeEvent, StepEvent
from recon.nerf import NerfModel, NerfOptions, NerfTrainer
from recon.scene import PosedScene
from recon.splat import SplatModel, SplatTrainer


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> PosedScene:
    return ball_scene(tmp_path_factory.mktemp("ball"))


def use_host_exec(monkeypatch: pytest.MonkeyPatch, pairs: int) -> None:
    for module in ("train", "model"):
        monkeypatch.setattr(
            f"recon.splat.{module}.training_backend", lambda name: HostExecBackend(pairs)
        )


def test_training_ends_where_the_cpu_kernels_end(
    scene: PosedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward, loss, backward, Adam, growth, statistics, rendering: the same trainer and seed."""
    options = small_options(steps=60, max_splats=200)
    cpu = SplatTrainer(scene, options)
    before = mean_psnr(cpu.snapshot(), scene)
    list(cpu.run())
    expected = mean_psnr(cpu.snapshot(), scene)
    use_host_exec(monkeypatch, 1 << 14)
    trainer = SplatTrainer(scene, options)
    events = list(trainer.run())
    model = trainer.snapshot()
    got = mean_psnr(model, scene)
    assert expected > before + 0.5
    assert got == pytest.approx(expected, abs=0.1)
    assert model.size == cpu.snapshot().size > 100
    assert all(event.loss > 0 for event in events if isinstance(event, StepEvent))
    assert not any(isinstance(event, NoticeEvent) for event in events)

    saved = scene.test_views[0].image_path.parent / "model.safetensors"
    model.save(saved)
    again = SplatModel.load(saved, "native_cuda")
    camera = scene.test_views[0].camera
    assert (again.render(camera).color == model.render(camera).color).all()


def test_steps_that_found_no_room_are_told_of(
    scene: PosedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_host_exec(monkeypatch, 16)
    trainer = SplatTrainer(scene, small_options(steps=6, start_factor=4.0))
    notices = [e.text for e in trainer.run() if isinstance(e, NoticeEvent)]
    assert any("changed nothing" in text for text in notices)


def test_a_training_that_will_not_fit_is_refused_before_it_begins(
    scene: PosedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_host_exec(monkeypatch, 1 << 14)
    trainer = SplatTrainer(scene, small_options(max_splats=50_000_000))
    with pytest.raises(TrainingError, match=r"50,000,000 splats at 64x64 takes about .* GB") as e:
        next(iter(trainer.run()))
    assert "--max-splats" in e.value.remedy


def test_running_out_of_memory_in_torch_is_a_typed_error(
    scene: PosedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_host_exec(monkeypatch, 1 << 14)

    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0")

    trainer = SplatTrainer(scene, small_options(steps=6))
    model = trainer.snapshot()
    monkeypatch.setattr("recon.kernels.native_cuda.Engine.backward", full)
    with pytest.raises(TrainingError, match=r"too little memory: torch asked for 2\.50 GiB") as e:
        list(trainer.run())
    assert "--resolution" in e.value.remedy
    monkeypatch.setattr("recon.kernels.native_cuda.Engine.output", full)
    with pytest.raises(TrainingError, match="too little memory"):
        model.render(scene.test_views[0].camera)


def test_gsplat_refuses_what_cannot_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8_000_000_000, 8_000_000_000))
    backend = GsplatBackend(lambda **_: None, torch.device("cuda"))  # type: ignore[arg-type]
    backend.require_memory(1_000_000, 1920, 1080, 10**9)
    with pytest.raises(TrainingError, match=r"at least 9\.3 GB .* 8\.0 GB"):
        backend.require_memory(5_000_000, 1920, 1080, 10**9)


# Held-out PSNR of a field may differ by so much: rounding alone made 0.04, see docs/cuda.md.
TOLERANCE_DB = 0.1


def small_nerf(**changes: object) -> NerfOptions:
    base = NerfOptions(
        steps=50,
        log2_table=12,
        finest=64,
        grid=32,
        first_batch=768,
        batch=768,
        step_length=0.2,
        coarse_factor=1.0,
        density_bias=2.0,
        rate=0.04,
        eval_every=None,
        checkpoint_every=1e9,
        threads=1,
    )
    return dataclasses.replace(base, **changes)


class LateEngine(native_field.FieldEngine):
    """The CPU's engine, with results that come as late as those of a GPU: the trainer then takes
    the same steps on both, but for rounding."""

    lag = host_cuda.STEPS_AHEAD

    def __init__(self, shape: FieldShape) -> None:
        super().__init__(shape)
        self._late: list[StepResult] = []

    def train_step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, state: FieldState, march: March, settings: StepSettings
    ) -> StepResult | None:
        self._late.append(super().train_step(state, march, settings))
        return self._late.pop(0) if len(self._late) > self.lag else None

    def finish_steps(self) -> list[StepResult]:
        late, self._late = self._late, []
        return late


def use_fields(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[FieldShape], NativeFieldEngine]
) -> None:
    for module in ("train", "model"):
        monkeypatch.setattr(f"recon.nerf.{module}.field_engine", lambda name, shape: make(shape))


def host_exec_field(shape: FieldShape, room: tuple[int, int] = (10240, 6144)) -> NativeFieldEngine:
    """Room for all that the trainings below want, unless less is asked for."""
    engine = native_cuda_field.FieldEngine(shape, host_cuda, CPU)
    engine.set_room(room)
    return engine


def weights_of(model: NerfModel, folder: Path) -> list[bytes]:
    """The exact content of a model."""
    path = folder / "weights.safetensors"
    model.save(path)
    return [tensor.numpy().tobytes() for _, tensor in sorted(load_file(path).items())]


def test_fields_train_as_with_the_cpu_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rays, marching, networks, Adam, the occupancy grid, checkpoints, rendering, saving: the same
    trainer and seed."""
    scene = ball_scene(tmp_path, transparent=True)
    use_fields(monkeypatch, LateEngine)
    cpu = NerfTrainer(scene, small_nerf())
    before = mean_psnr(cpu.snapshot(), scene)
    list(cpu.run())
    expected = mean_psnr(cpu.snapshot(), scene)
    assert expected > before + 3.0

    use_fields(monkeypatch, host_exec_field)
    trainer = NerfTrainer(scene, small_nerf(backend="native_cuda"), tmp_path)
    events = list(trainer.run())
    model = trainer.snapshot()
    assert mean_psnr(model, scene) == pytest.approx(expected, abs=TOLERANCE_DB)
    assert not any(isinstance(e, NoticeEvent) for e in events)
    assert all(e.loss > 0 for e in events if isinstance(e, StepEvent))

    saved = tmp_path / "model.safetensors"
    model.save(saved)
    again = NerfModel.load(saved, "native_cuda")
    camera = scene.test_views[0].camera
    assert (again.render(camera).color == model.render(camera).color).all()
    # Models and checkpoints are those of the CPU.
    monkeypatch.undo()
    shown = NerfModel.load(saved).render(camera).color
    assert abs(shown - model.render(camera).color).mean() < 1e-3
    resumed = NerfTrainer(scene, small_nerf(steps=52), tmp_path)
    assert (resumed.snapshot().render(camera).color == shown).all()
    list(resumed.run())  # with the results that were under way


def test_resuming_is_as_if_never_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With steps that find no room: they change nothing, are told of, and are the same again."""
    scene = ball_scene(tmp_path, transparent=True)
    use_fields(monkeypatch, lambda shape: host_exec_field(shape, (4096, 1024)))
    options = small_nerf(steps=24, backend="native_cuda")
    whole = NerfTrainer(scene, options)
    notices = [e.text for e in whole.run() if isinstance(e, NoticeEvent)]
    assert any("steps changed nothing" in text for text in notices)

    first = NerfTrainer(scene, dataclasses.replace(options, checkpoint_every=0.0), tmp_path)
    for event in first.run():
        if isinstance(event, CheckpointEvent) and event.step >= 9:
            break  # as if killed
    second = NerfTrainer(scene, options, tmp_path)
    notices = [e.text for e in second.run() if isinstance(e, NoticeEvent)]
    assert any("resumed at step" in text for text in notices)
    assert weights_of(second.snapshot(), tmp_path) == weights_of(whole.snapshot(), tmp_path)
