"""The trainer on the CUDA backend, whose kernels run on the CPU here."""

from __future__ import annotations

import pytest
from ball_scene import ball_scene, mean_psnr, small_options
from host_exec import HostExecBackend

from recon.errors import TrainingError
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
