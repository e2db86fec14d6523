"""Splat training on a small analytic scene: schedules, growth, checkpoints, resuming, stopping."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from ball_scene import SIZE, ball_scene, mean_psnr, small_options, true_cloud

from recon.errors import BackendUnavailable, FormatError, OptionError, TrainingError
from recon.formats.images import load_rgb8
from recon.formats.splat_cloud import SplatCloud
from recon.geometry import Camera, look_at
from recon.kernels import layout, native_cpu
from recon.kernels.ops import SplatTensors
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

pytest.importorskip("recon.kernels.native_cpu", reason="native kernels not built")
from recon.splat import (
    SplatModel,
    SplatOptions,
    SplatTrainer,
    schedule,
    splat_preset,
)
from recon.splat.densify import ErrorSplitter, split
from recon.splat.state import Shapes, SplatState, morton_order
from recon.splat.targets import TargetImages
from recon.training.checkpoint import list_checkpoints


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> PosedScene:
    return ball_scene(tmp_path_factory.mktemp("ball"))


def test_training_learns_held_out_views(scene: PosedScene) -> None:
    trainer = SplatTrainer(scene, small_options(steps=600))
    assert isinstance(trainer, Trainer)
    before = mean_psnr(trainer.snapshot(), scene)
    events = list(trainer.run())
    model = trainer.snapshot()
    assert isinstance(model, RadianceModel)
    after = mean_psnr(model, scene)
    # 400 splats for a ball of 300 thin ones: sharp detail at the limit of 64 pixels.
    assert after > 23.0
    assert after > before + 6.0
    assert 300 < model.size <= 400
    end = events[-1]
    assert isinstance(end, FinishedEvent)
    assert (end.step, end.reason) == (600, "done")


def test_same_seed_same_model(scene: PosedScene) -> None:
    models = []
    for seed in (0, 0, 1):
        trainer = SplatTrainer(scene, small_options(seed=seed, steps=80))
        list(trainer.run())
        models.append(trainer.snapshot().to_cloud())
    assert np.array_equal(models[0].means, models[1].means)
    assert np.array_equal(models[0].sh, models[1].sh)
    assert not np.array_equal(models[0].means[:50], models[2].means[:50])


def test_resume_is_as_if_never_interrupted(scene: PosedScene, tmp_path: Path) -> None:
    options = small_options(steps=120)
    whole = SplatTrainer(scene, options)
    list(whole.run())

    first = SplatTrainer(scene, dataclasses.replace(options, checkpoint_every=0.0), tmp_path)
    for event in first.run():
        if isinstance(event, CheckpointEvent) and event.step >= 50:
            break  # as if killed
    second = SplatTrainer(scene, options, tmp_path)
    events = list(second.run())
    assert any(isinstance(e, NoticeEvent) and "resumed" in e.text for e in events)
    a, b = whole.snapshot().to_cloud(), second.snapshot().to_cloud()
    for field in ("means", "quats", "log_scales", "logit_opacities", "sh"):
        assert np.array_equal(getattr(a, field), getattr(b, field)), field


def test_a_broken_checkpoint_is_skipped_and_named(scene: PosedScene, tmp_path: Path) -> None:
    options = small_options(steps=40, checkpoint_every=0.0)
    list(SplatTrainer(scene, options, tmp_path).run())
    old, new = list_checkpoints(tmp_path, "splat")
    new.write_bytes(new.read_bytes()[:1000])
    trainer = SplatTrainer(scene, options, tmp_path)
    texts = [e.text for e in trainer.run() if isinstance(e, NoticeEvent)]
    assert any(new.name in text for text in texts)
    assert any("resumed" in text for text in texts)
    assert old.exists()


def test_stop_writes_a_checkpoint_and_ends(scene: PosedScene, tmp_path: Path) -> None:
    trainer = SplatTrainer(scene, small_options(steps=100_000, checkpoint_every=0.0), tmp_path)
    events = []
    for event in trainer.run():
        events.append(event)
        if isinstance(event, CheckpointEvent):
            trainer.stop()
    assert isinstance(events[-1], FinishedEvent)
    assert events[-1].reason == "stopped"
    assert (
        list_checkpoints(tmp_path, "splat")[-1].name == f"splat-{events[-1].step:07d}.safetensors"
    )


def test_time_budget_ends_with_schedules_complete(scene: PosedScene) -> None:
    trainer = SplatTrainer(scene, small_options(steps=1_000_000, time_budget=1.5))
    events = list(trainer.run())
    end = events[-1]
    assert isinstance(end, FinishedEvent)
    assert end.reason == "time"
    assert 1.4 < end.seconds < 4.0
    steps = [e for e in events if isinstance(e, StepEvent)]
    assert steps[-1].width == SIZE, "the full resolution must have been reached"
    assert all(e.eta_seconds <= 1.5 for e in steps)
    assert trainer.snapshot().sh_degree == 3


def test_evaluation_events(scene: PosedScene) -> None:
    trainer = SplatTrainer(scene, small_options(steps=200, eval_every=0.0))
    tests = [e for e in trainer.run() if isinstance(e, EvalEvent)]
    assert tests[0].views == len(scene.test_views)
    assert tests[-1].psnr > tests[0].psnr


def test_save_load_render_are_equal(scene: PosedScene, tmp_path: Path) -> None:
    trainer = SplatTrainer(scene, small_options(steps=50, antialias=True))
    list(trainer.run())
    model = trainer.snapshot()
    model.save(tmp_path / "splat.safetensors")
    loaded = SplatModel.load(tmp_path / "splat.safetensors")
    assert loaded.antialias
    options = RenderOptions(background=(0.1, 0.2, 0.3), depth=True)
    a = model.render(scene.views[0].camera, options)
    b = loaded.render(scene.views[0].camera, options)
    assert np.array_equal(a.color, b.color)
    assert np.array_equal(a.depth, b.depth)
    assert [p.name for p in tmp_path.iterdir()] == ["splat.safetensors"]


@pytest.mark.parametrize("keep", [0, 7, 100, 1000])
def test_truncated_model_is_refused(scene: PosedScene, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "splat.safetensors"
    SplatModel.from_cloud(true_cloud()).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FormatError, match=r"splat\.safetensors"):
        SplatModel.load(path)


def test_depth_is_where_the_surface_is() -> None:
    wall = SplatCloud(
        means=np.array([[0, 0, 0]], np.float32),
        quats=np.array([[1, 0, 0, 0]], np.float32),
        log_scales=np.full((1, 3), -1.0, np.float32),
        logit_opacities=np.array([9.0], np.float32),
        sh=np.zeros((1, 1, 3), np.float32),
    )
    camera = Camera(32, 32, 30.0, 30.0, 16.0, 16.0, look_at([0, -2, 0], [0, 0, 0], [0, 0, 1]))
    out = SplatModel.from_cloud(wall).render(camera, RenderOptions(depth=True))
    assert out.depth is not None
    assert out.depth[16, 16] == pytest.approx(2.0, abs=1e-4)
    assert out.depth[0, 0] == 0.0 or out.alpha[0, 0] > 0


def test_no_points_and_no_views_are_refused(scene: PosedScene) -> None:
    nothing = SparsePoints(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    with pytest.raises(TrainingError, match="points"):
        SplatTrainer(dataclasses.replace(scene, points=nothing), small_options())
    with pytest.raises(TrainingError, match="training views"):
        list(
            SplatTrainer(dataclasses.replace(scene, views=scene.test_views), small_options()).run()
        )
    with pytest.raises(BackendUnavailable):
        SplatTrainer(scene, small_options(backend="reference"))


@pytest.mark.parametrize("name", ["draft", "standard", "high"])
def test_schedules_are_monotonic(name: str) -> None:
    options = splat_preset(name)
    points = np.linspace(0, 1, 101)
    factors = [schedule.image_factor(options, p) for p in points]
    targets = [schedule.splat_target(options, 5000, p) for p in points]
    degrees = [schedule.sh_degree(options, p) for p in points]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == 1.0
    assert targets == sorted(targets)
    assert targets[0] == 5000
    assert targets[-1] == options.max_splats
    assert degrees == sorted(degrees)
    assert degrees[-1] == options.sh_degree
    rates = schedule.adam_settings(options, 1.0).rates
    assert rates[0] == pytest.approx(options.rates.means_final)


def test_unknown_preset_and_bad_options_are_refused() -> None:
    with pytest.raises(OptionError, match="draft"):
        splat_preset("fast")
    for bad in ({"steps": 0}, {"max_splats": 0}, {"time_budget": 0.0}, {"sh_degree": 4}):
        with pytest.raises(OptionError):
            SplatOptions(**bad)


def test_splitting_keeps_mass_centre_and_spread() -> None:
    rows = layout.pack(
        SplatTensors(
            *(
                torch.from_numpy(np.array(getattr(true_cloud(20), f)))
                for f in ("means", "quats", "log_scales", "logit_opacities", "sh")
            )
        )
    )
    whole = Shapes(rows[:, layout.ROW_MEAN], rows[:, layout.ROW_LOG_SCALE])
    lower, upper = split(whole, rows[:, layout.ROW_QUAT])
    torch.testing.assert_close((lower.means + upper.means) / 2, whole.means)
    distance = (upper.means - lower.means).norm(dim=1) / 2
    longest = whole.log_scales.max(1)
    sigma = longest.values.exp()
    child = lower.log_scales.gather(1, longest.indices[:, None])[:, 0].exp()
    torch.testing.assert_close(distance**2 + child**2, sigma**2, rtol=1e-3, atol=0)


def test_replacing_splats_copies_parents_and_their_moments() -> None:
    generator = torch.Generator().manual_seed(0)
    rows, first, second = (torch.randn(50, layout.ROWS, generator=generator) for _ in range(3))
    state = SplatState.from_rows(rows, first, second)
    keep, parents = torch.tensor([3, 40, 7, 22]), torch.tensor([40, 3])
    means = torch.rand(6, 3, generator=generator)
    scales = torch.rand(6, 3, generator=generator)
    state.replace(keep, parents, Shapes(means, scales))
    order = morton_order(means)
    expected = rows[torch.cat([keep, parents])]
    expected[:, layout.ROW_MEAN], expected[:, layout.ROW_LOG_SCALE] = means, scales
    assert state.n == 6
    assert torch.equal(state.rows(), expected[order])
    for moments, before in ((state.first, first), (state.second, second)):
        kept = torch.cat([before[keep], torch.zeros(2, layout.ROWS)])[order]
        assert torch.equal(layout.blocks_to_rows(moments, 6), kept)
    assert not state.blocks[-1, :, 6:].any()


def test_a_source_that_does_not_exist_is_refused() -> None:
    blocks = layout.rows_to_blocks(torch.zeros(5, layout.ROWS))
    with pytest.raises(OptionError, match="16"):
        native_cpu.gather_splats(blocks, torch.tensor([0, 16]))


def test_growth_stays_in_budget_and_prunes(scene: PosedScene) -> None:
    options = small_options(prune_opacity=0.05)
    rows = layout.pack(
        SplatTensors(
            *(
                torch.from_numpy(np.array(getattr(true_cloud(100), f)))
                for f in ("means", "quats", "log_scales", "logit_opacities", "sh")
            )
        )
    )
    rows[:10, layout.ROW_OPACITY] = -6.0
    rows[10, 0] = math.nan
    state = SplatState.from_rows(rows)
    state.stats.error += torch.rand(100)
    state.stats.visible += 3
    ErrorSplitter(options).update(state, 120, torch.Generator().manual_seed(0))
    assert state.n == 120
    assert torch.isfinite(state.rows()).all()
    assert (torch.sigmoid(state.rows()[:, layout.ROW_OPACITY]) > 0.05).all()
    assert not state.stats.error.any()
    # Without error nothing grows; above the target nothing but the faint ones goes.
    ErrorSplitter(options).update(state, 200, torch.Generator().manual_seed(0))
    assert state.n == 120


def test_morton_order_keeps_neighbours_together() -> None:
    points = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0))
    order = morton_order(points)
    assert torch.equal(order.sort().values, torch.arange(2000))
    sorted_points = points[order]
    near = (sorted_points[1:] - sorted_points[:-1]).norm(dim=1).mean()
    assert near < 0.25 * (points[1:] - points[:-1]).norm(dim=1).mean()


def test_more_photos_get_more_steps_where_a_preset_says_so(scene: PosedScene) -> None:
    high = splat_preset("high")
    assert high.for_photos(10, alpha=False).steps == high.steps
    assert high.for_photos(80, alpha=False).steps == 80 * high.steps_per_photo
    assert high.for_photos(80, alpha=True).steps == 80 * high.object_steps_per_photo
    assert high.for_photos(5000, alpha=False).steps == 30_000
    standard = splat_preset("standard")
    assert standard.for_photos(60, alpha=False).steps == 60 * standard.steps_per_photo
    assert standard.for_photos(900, alpha=False).steps == standard.most_steps
    assert SplatOptions(steps=9).for_photos(5000, alpha=True).steps == 9
    open_air, once = high.for_photos(80, alpha=False), high.for_photos(80, alpha=True)
    assert (open_air.opacity_reg, open_air.scale_reg) == (high.opacity_reg, high.scale_reg)
    assert once.opacity_reg < high.opacity_reg
    assert once.scale_reg < high.scale_reg
    assert once.for_photos(80, alpha=True) == once
    options = small_options(steps=10, steps_per_photo=3)
    events = list(SplatTrainer(scene, options).run())
    finished = events[-1]
    assert isinstance(finished, FinishedEvent)
    assert finished.step == 3 * len(scene.train_views)


def test_long_trainings_have_lower_rates() -> None:
    options = SplatOptions(steps=7000)
    assert options.for_length().rates == options.rates
    long = dataclasses.replace(options, steps=28_000).for_length()
    assert long.rates.means < 0.25 * options.rates.means
    assert long.rates.means_final / long.rates.means == pytest.approx(0.01)
    assert long.rates.sh0 == options.rates.sh0
    # A budget that ends after fewer steps has the rates of these.
    hasty = dataclasses.replace(long, rates=options.rates, time_budget=60.0)
    assert hasty.for_length().rates == options.rates
    # How many that are is known of a CPU alone.
    assert dataclasses.replace(hasty, backend="cuda").for_length().rates == long.rates


def test_objects_can_start_from_their_hull_alone(
    scene: PosedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def dense_points(*_: object, **__: object) -> SparsePoints:
        nonlocal asked
        asked += 1
        return SparsePoints(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))

    monkeypatch.setattr("recon.splat.train.dense_points", dense_points)
    thing = dataclasses.replace(scene, background=(0.0, 0.0, 0.0))
    place = dataclasses.replace(scene, background=None)
    for where, dense_objects, wanted in ((thing, False, 0), (thing, True, 1), (place, False, 1)):
        asked = 0
        options = small_options(steps=1, dense_share=0.25, dense_objects=dense_objects)
        list(SplatTrainer(where, options).run())
        assert asked == wanted


def test_a_few_seconds_go_into_steps_alone() -> None:
    draft = splat_preset("draft")
    hurried = dataclasses.replace(draft, time_budget=5.0).for_budget()
    assert hurried.dense_share == 0
    assert hurried.start_factor == 4
    assert draft.for_budget() == draft
    minute = dataclasses.replace(draft, time_budget=60.0)
    assert minute.for_budget() == minute


@pytest.fixture(scope="module")
def ball_in_nothing(tmp_path_factory: pytest.TempPathFactory) -> PosedScene:
    return ball_scene(tmp_path_factory.mktemp("nothing"), transparent=True)


@pytest.mark.parametrize("factor", [1, 2])
def test_a_photo_can_be_put_on_any_background(ball_in_nothing: PosedScene, factor: int) -> None:
    teal = (0.1, 0.5, 0.6)
    photos = TargetImages(ball_in_nothing, SIZE, 1)
    for index, view in enumerate(ball_in_nothing.train_views):
        shown = photos.get(index, factor).on(torch.tensor(teal))
        want = load_rgb8(view.image_path, SIZE // factor, SIZE // factor, teal)
        assert shown.shape == (3, SIZE // factor, SIZE // factor)
        # Photo and alpha were rounded to bytes on their own.
        assert np.abs(shown.permute(1, 2, 0).numpy().astype(int) - want).max() <= 2
        assert (shown.int() - photos.get(index, factor).image.int()).abs().max() > 50


def test_photos_without_alpha_have_no_other_background(scene: PosedScene) -> None:
    assert TargetImages(scene, SIZE, 1).get(0, 1.0).alpha is None


def test_nothing_takes_the_colour_of_the_background(ball_in_nothing: PosedScene) -> None:
    """On black, what was trained on white as well as what was trained on random colours."""

    def on_black(random_background: bool) -> float:
        options = small_options(steps=400, random_background=random_background)
        trainer = SplatTrainer(ball_in_nothing, options)
        for _ in trainer.run():
            pass
        black = dataclasses.replace(ball_in_nothing, background=(0.0, 0.0, 0.0))
        return mean_psnr(trainer.snapshot(), black)

    assert on_black(True) > on_black(False) + 2.0
