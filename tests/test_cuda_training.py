"""The trainer on the CUDA backend, whose kernels run on the CPU here."""

from __future__ import annotations

import pytest
import torch
from ball_scene import ball_scene, mean_psnr, small_options
from host_exec import HostExecBackend

from recon.errors import TrainingError
from recon.kernels.gsplat_backend import GsplatBackend
from recon.model import NoticeEvent, StepEvent
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
