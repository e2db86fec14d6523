"""No splat stays in front of a lens, or where no camera looks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from ball_scene import ball_scene, small_options

from recon.scene import PosedScene, SparsePoints
from recon.splat import SplatTrainer, schedule
from recon.splat.lenses import Lenses
from recon.splat.options import SplatOptions

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> PosedScene:
    return ball_scene(tmp_path_factory.mktemp("ball"))


def _before_lens(scene: PosedScene, share: float) -> np.ndarray:
    """The point at a share of the way from the first training camera to what it looks at."""
    camera = scene.train_views[0].camera
    ahead = camera.cam_from_world[2, :3]
    depth = float(np.quantile((scene.points.xyz - camera.centre) @ ahead, 0.01))
    return camera.centre + share * depth * ahead


def _misplaced(lenses: Lenses, point: np.ndarray, size: float = 1e-3) -> bool:
    means = torch.from_numpy(np.asarray(point, np.float32))[None]
    return bool(lenses.misplaced(means, torch.full((1, 3), float(np.log(size))))[0])


def test_nothing_hides_in_front_of_a_lens(scene: PosedScene) -> None:
    lenses = Lenses.of(scene, CPU)
    assert _misplaced(lenses, _before_lens(scene, 0.3))
    assert not _misplaced(lenses, _before_lens(scene, 1.0))
    cloud = torch.from_numpy(scene.points.xyz)
    assert not lenses.misplaced(cloud, torch.full((len(cloud), 3), -6.0)).any()


def test_what_no_camera_sees_is_misplaced_unless_it_reaches_in(scene: PosedScene) -> None:
    lenses = Lenses.of(scene, CPU)
    above = np.array([0.0, 0.0, 3.0])  # in front of all cameras, and over their pictures
    assert _misplaced(lenses, above)
    assert not _misplaced(lenses, above, size=3.0)


def test_misplaced_agrees_with_one_camera_and_splat_at_a_time(scene: PosedScene) -> None:
    rng = np.random.default_rng(1)
    means = rng.uniform(-3, 3, (5000, 3))
    sizes = np.exp(rng.uniform(-6, 0, (5000, 3)))
    lenses = Lenses.of(scene, CPU)
    got = lenses.misplaced(
        torch.from_numpy(means.astype(np.float32)),
        torch.from_numpy(np.log(sizes).astype(np.float32)),
    ).numpy()
    wanted = []
    for mean, size in zip(means, sizes, strict=True):
        seen = before = False
        for view, near in zip(scene.train_views, lenses.near.tolist(), strict=True):
            c = view.camera
            x, y, z = c.cam_from_world[:3, :3] @ mean + c.cam_from_world[:3, 3]
            if z <= 0:
                continue
            px, py = c.fx * x / z + c.cx, c.fy * y / z + c.cy
            rx, ry = 3 * size.max() * c.fx / z, 3 * size.max() * c.fy / z
            mx, my = 0.15 * c.width, 0.15 * c.height
            inside = -mx < px < c.width + mx and -my < py < c.height + my
            seen |= -mx - rx < px < c.width + mx + rx and -my - ry < py < c.height + my + ry
            before |= inside and z < near
        wanted.append(before or not seen)
    assert 0.1 < np.mean(wanted) < 0.9
    assert np.mean(got == np.array(wanted)) > 0.999  # float32 at the borders


def test_cameras_with_few_points_have_no_limit(scene: PosedScene) -> None:
    few = SparsePoints(scene.points.xyz[:5], scene.points.rgb[:5])
    assert (Lenses.of(dataclasses.replace(scene, points=few), CPU).near == 0).all()


def test_training_removes_what_stands_before_a_lens(scene: PosedScene) -> None:
    planted = _before_lens(scene, 0.3)
    points = SparsePoints(
        np.concatenate([scene.points.xyz, planted[None].astype(np.float32)]),
        np.concatenate([scene.points.rgb, np.full((1, 3), 255, np.uint8)]),
    )
    options = small_options(steps=60, grow_every=20)
    trainer = SplatTrainer(dataclasses.replace(scene, points=points), options)
    list(trainer.run())
    means = trainer.snapshot().to_cloud().means
    assert np.linalg.norm(means - planted, axis=1).min() > 0.05


def test_splats_are_pruned_after_growth_too() -> None:
    options = SplatOptions(grow_from=0.1, grow_until=0.5, grow_every=10, max_splats=100)
    changes = {
        step: schedule.change_of_set(options, step, 20, step / 1000) for step in range(1, 1001)
    }
    due = {step: target for step, target in changes.items() if target is not None}
    assert min(due) == 100
    assert [step for step in due if step <= 500] == list(range(100, 501, 10))
    assert due[500] == 100
    assert [(s, t) for s, t in due.items() if s > 500] == [(s, 0) for s in range(550, 1001, 50)]
