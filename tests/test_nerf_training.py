"""NeRF training on a small analytic scene: learning, determinism, resuming, saving, stopping."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ball_scene import ball_scene, mean_psnr
from ball_scene import small_field_options as small_options
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from recon.errors import BackendUnavailable, FormatError, OptionError, TrainingError
from recon.model import (
    CheckpointEvent,
    EvalEvent,
    FinishedEvent,
    NoticeEvent,
    RadianceModel,
    RenderOptions,
    StepEvent,
    Trainer,
)
from recon.scene import PosedScene, SparsePoints

pytest.importorskip("recon.kernels.native_field", reason="native kernels not built")
from recon.nerf import NerfModel, NerfOptions, NerfTrainer, nerf_preset, schedule
from recon.nerf.images import load_training_images
from recon.nerf.region import scene_region
from recon.training.checkpoint import list_checkpoints


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> PosedScene:
    return ball_scene(tmp_path_factory.mktemp("ball"), transparent=True)


def weights_of(model: NerfModel, folder: Path) -> list[bytes]:
    """The exact content of a model."""
    path = folder / "weights.safetensors"
    model.save(path)
    return [tensor.numpy().tobytes() for _, tensor in sorted(load_file(path).items())]


def test_training_learns_held_out_views(scene: PosedScene) -> None:
    trainer = NerfTrainer(scene, small_options(steps=300, eval_every=1.0))
    assert isinstance(trainer, Trainer)
    before = mean_psnr(trainer.snapshot(), scene)
    events = list(trainer.run())
    model = trainer.snapshot()
    assert isinstance(model, RadianceModel)
    after = mean_psnr(model, scene)
    assert after > 20.0
    assert after > before + 6.0
    end = events[-1]
    assert isinstance(end, FinishedEvent)
    assert (end.step, end.reason) == (300, "done")
    assert any(isinstance(e, StepEvent) and e.size == model.size for e in events)
    assert all(e.views == 3 for e in events if isinstance(e, EvalEvent))


def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads(
    scene: PosedScene, tmp_path: Path
) -> None:
    outcomes = []
    for seed, threads in ((0, 2), (0, 1), (0, 3), (1, 2)):
        trainer = NerfTrainer(scene, small_options(seed=seed, threads=threads))
        list(trainer.run())
        outcomes.append(weights_of(trainer.snapshot(), tmp_path))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0] != outcomes[3]


def test_resuming_is_as_if_never_interrupted(scene: PosedScene, tmp_path: Path) -> None:
    options = small_options(exposure=True)
    whole = NerfTrainer(scene, options)
    list(whole.run())
    first = NerfTrainer(scene, dataclasses.replace(options, checkpoint_every=0.0), tmp_path)
    for event in first.run():
        if isinstance(event, CheckpointEvent) and event.step >= 17:
            break  # as if killed
    second = NerfTrainer(scene, options, tmp_path)
    events = list(second.run())
    assert isinstance(events[0], NoticeEvent)
    assert "resumed at step" in events[0].text
    assert weights_of(second.snapshot(), tmp_path) == weights_of(whole.snapshot(), tmp_path)
    assert len(list_checkpoints(tmp_path, "nerf")) == 2


def test_an_unreadable_checkpoint_is_skipped(scene: PosedScene, tmp_path: Path) -> None:
    options = small_options(steps=6, checkpoint_every=0.0)
    list(NerfTrainer(scene, options, tmp_path).run())
    old, new = list_checkpoints(tmp_path, "nerf")
    new.write_bytes(new.read_bytes()[:1000])
    trainer = NerfTrainer(scene, dataclasses.replace(options, checkpoint_every=1e9), tmp_path)
    notices = [e.text for e in trainer.run() if isinstance(e, NoticeEvent)]
    assert any("skipped a checkpoint" in text for text in notices)
    assert any(f"resumed at step {int(old.stem.split('-')[1])}" in text for text in notices)


def test_a_checkpoint_from_before_results_came_late_is_read(
    scene: PosedScene, tmp_path: Path
) -> None:
    options = small_options(steps=6)
    list(NerfTrainer(scene, options, tmp_path).run())
    (path,) = list_checkpoints(tmp_path, "nerf")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    position = json.loads(metadata["position"])
    assert position.pop("under_way") == []
    assert position.pop("room") is None
    save_file(load_file(path), path, metadata=metadata | {"position": json.dumps(position)})
    trainer = NerfTrainer(scene, options, tmp_path)
    assert [e.text for e in trainer.run() if isinstance(e, NoticeEvent)] == ["resumed at step 6"]


def test_a_stopped_training_can_go_on(scene: PosedScene, tmp_path: Path) -> None:
    trainer = NerfTrainer(scene, small_options(steps=10_000), tmp_path)
    events = []
    for event in trainer.run():
        events.append(event)
        trainer.stop()
    assert isinstance(events[-1], FinishedEvent)
    assert events[-1].reason == "stopped"
    newest = list_checkpoints(tmp_path, "nerf")[-1]
    assert newest.name == f"nerf-{events[-1].step:07d}.safetensors"


def test_saved_models_render_the_same(scene: PosedScene, tmp_path: Path) -> None:
    trainer = NerfTrainer(scene, small_options())
    list(trainer.run())
    model, path = trainer.snapshot(), tmp_path / "model.safetensors"
    model.save(path)
    loaded = NerfModel.load(path)
    options = RenderOptions(background=(0.2, 0.4, 0.6), depth=True)
    a = model.render(scene.views[0].camera, options)
    b = loaded.render(scene.views[0].camera, options)
    assert np.array_equal(a.color, b.color)
    assert np.array_equal(a.alpha, b.alpha)
    assert a.depth is not None
    assert b.depth is not None
    assert np.array_equal(a.depth, b.depth)
    assert loaded.size == model.size


def test_stills_show_areas_of_pixels(scene: PosedScene) -> None:
    """They come closer to the mean of many rays a pixel, at many places of marching steps."""
    trainer = NerfTrainer(scene, small_options(steps=150))
    list(trainer.run())
    model = trainer.snapshot()
    camera = scene.views[0].camera
    many = RenderOptions(depth=True)
    fine = camera.resized(5 * camera.width, 5 * camera.height)
    rays, march = [], model.march
    for phase in (0.1, 0.3, 0.5, 0.7, 0.9):
        model.march = dataclasses.replace(march, phase=phase)
        rays.append(model.render(fine, many))
    model.march = march

    def pooled(pictures: list[np.ndarray]) -> np.ndarray:
        blocks = np.mean(pictures, 0).reshape(camera.height, 5, camera.width, 5, -1)
        return blocks.mean((1, 3))

    plain = model.render(camera, many)
    still = model.render(camera, dataclasses.replace(many, still=True))
    assert still.depth is not None
    assert plain.depth is not None
    color, alpha = pooled([out.color for out in rays]), pooled([out.alpha for out in rays])
    assert np.abs(still.color - color).mean() < 0.7 * np.abs(plain.color - color).mean()
    assert np.abs(still.alpha - alpha[..., 0]).mean() < 0.01
    solid = (still.alpha > 0.95) & (plain.alpha > 0.95)
    assert np.median(np.abs(still.depth - plain.depth)[solid] / plain.depth[solid]) < 0.01
    assert (still.depth[still.alpha == 0] == 0).all()


@pytest.mark.parametrize("damage", ["truncated", "other", "not finite", "size"])
def test_damaged_models_are_refused(scene: PosedScene, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model.safetensors"
    NerfTrainer(scene, small_options()).snapshot().save(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "other":
        save_file(tensors, path, metadata=metadata | {"format": "another"})
    elif damage == "not finite":
        tensors["mlp"][3] = torch.nan
        save_file(tensors, path, metadata=metadata)
    else:
        tensors["table"] = tensors["table"][1:].clone()
        save_file(tensors, path, metadata=metadata)
    with pytest.raises(FormatError):
        NerfModel.load(path)


def test_nothing_is_where_photos_are_transparent(scene: PosedScene) -> None:
    assert scene_region(scene).bounded
    trainer = NerfTrainer(scene, small_options(steps=150))
    list(trainer.run())
    view = scene.test_views[1]
    out = trainer.snapshot().render(view.camera, RenderOptions(background=(0.0, 1.0, 0.0)))
    clear = np.asarray(Image.open(view.image_path))[..., 3] == 0
    assert out.alpha[clear].mean() < 0.1
    assert out.alpha[~clear].mean() > 0.6


def test_masked_pixels_have_no_weight(
    scene: PosedScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a fast machine three steps end before the first event is due.
    monkeypatch.setattr("recon.training.loop._EVENT_EVERY", 0.0)
    mask = tmp_path / "mask.png"
    Image.new("L", (64, 64), 0).save(mask)
    views = tuple(dataclasses.replace(v, mask_path=mask) for v in scene.views)
    trainer = NerfTrainer(dataclasses.replace(scene, views=views), small_options(steps=3))
    before = weights_of(trainer.snapshot(), tmp_path)
    list(trainer.run())
    # mlp, occupied, table: only the decay of the networks moves anything.
    assert weights_of(trainer.snapshot(), tmp_path)[2] == before[2]


def test_photos_are_premultiplied(scene: PosedScene, tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    Image.new("RGBA", (64, 64), (200, 100, 0, 128)).save(path)
    views = (dataclasses.replace(scene.train_views[0], image_path=path),)
    (image,) = load_training_images(dataclasses.replace(scene, views=views), None, 1)
    assert abs(image.rgba[0, 0].to(torch.int32) - torch.tensor([100, 50, 0, 128])).max() <= 1


def test_a_scene_without_points_has_a_region(scene: PosedScene) -> None:
    empty = SparsePoints(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    region = scene_region(dataclasses.replace(scene, points=empty))
    assert region.half > 0
    assert region.near >= 0
    assert not region.bounded


def test_schedules() -> None:
    options = NerfOptions()
    factors = [schedule.learning_rate_factor(options, p / 10) for p in range(11)]
    assert factors[0] == 1.0
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(options.rate_final)
    assert schedule.batch(options, 0.0) == options.first_batch
    assert schedule.batch(options, 1.0) == pytest.approx(options.batch)
    assert schedule.next_rays(1000.0, 100, 500) > 100
    assert schedule.next_rays(1000.0, 1000, 2000) < 1000
    assert schedule.next_coarseness(options, 4.0, 10.0 * options.ray_samples, 0.0) > 4.0
    assert schedule.next_coarseness(options, 4.0, 1e4, options.fine_from) == 1.0
    assert schedule.next_coarseness(options, 4.0, 0.1 * options.ray_samples, 0.0) < 4.0
    assert schedule.next_coarseness(options, 1.0, 0.0, 0.0) == 1.0
    assert schedule.next_coarseness(options, 1.0, 0.0, options.finest_from - 1e-3) == 1.0
    assert schedule.next_coarseness(options, 1.0, 0.0, options.finest_from) == options.fine_factor
    in_the_open = options.for_photos(alpha=False)
    assert schedule.next_coarseness(in_the_open, 1.0, 0.0, options.finest_from) == 1.0
    assert schedule.next_coarseness(in_the_open, 1.0, 0.0, options.open_from) == options.open_factor
    assert options.for_photos(alpha=True) == options


def test_what_cannot_be(scene: PosedScene) -> None:
    with pytest.raises(OptionError):
        nerf_preset("best")
    with pytest.raises(OptionError):
        NerfOptions(steps=0)
    with pytest.raises(OptionError):
        NerfOptions(batch=1)
    with pytest.raises(OptionError, match="distortion"):
        NerfOptions(distortion=float("nan"))
    with pytest.raises(OptionError, match="pixel"):
        NerfOptions(spread=1.5)
    with pytest.raises(BackendUnavailable):
        NerfTrainer(scene, small_options(backend="reference"))
    with pytest.raises(TrainingError):
        NerfTrainer(dataclasses.replace(scene, views=scene.test_views), small_options())
