"""Surfaces that a field is told of before its first step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ball_scene import ball_scene, mean_psnr, small_field_options, true_cloud

from recon.geometry import Camera
from recon.kernels.field_ops import FieldShape
from recon.model import FinishedEvent, NoticeEvent, RenderOptions, RenderOutput
from recon.scene import PosedScene

pytest.importorskip("recon.kernels.native_field", reason="native kernels not built")
from recon.fit.guide import splat_guide
from recon.nerf import NerfOptions, NerfTrainer
from recon.nerf.surfaces import surface_cells
from recon.scene import SparsePoints
from recon.splat import SplatModel


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> PosedScene:
    return ball_scene(tmp_path_factory.mktemp("ball"))


def options(**changes: object) -> NerfOptions:
    return small_field_options(**{"steps": 60, "open_grid": 64, **changes})


class Floor:
    """The half plane z = height, x > edge."""

    method, size = "floor", 1

    def __init__(self, height: float, edge: float) -> None:
        self.height, self.edge = height, edge

    def render(self, camera: Camera, options: RenderOptions | None = None) -> RenderOutput:
        assert options is not None
        assert options.depth
        shape = (camera.height, camera.width)
        x, y = np.meshgrid(*(np.arange(n) + 0.5 for n in (camera.width, camera.height)))
        rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, x * 0 + 1], 2)
        along_x, _, up = np.moveaxis(rays @ camera.cam_from_world[:3, :3], 2, 0)
        depth = (self.height - camera.centre[2]) / up
        shown = (depth > 0) & (camera.centre[0] + depth * along_x > self.edge)
        alpha = np.where(shown, 1.0, 0.0)
        return RenderOutput(
            np.zeros((*shape, 3), np.float32), alpha.astype(np.float32), depth.astype(np.float32)
        )

    def save(self, path: Path) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("contracted", [False, True])
def test_cells_lie_on_what_the_cameras_are_shown(scene: PosedScene, contracted: bool) -> None:
    shape = FieldShape(grid=32, contracted=contracted, half=1.0)
    cells = surface_cells(Floor(0.1, 0.3), scene, shape).view(32, 32, 32)
    across = 4.0 if contracted else 2.0  # of the grid, near the middle
    row, column = (int((at / across + 0.5) * 32) for at in (0.1, 0.3))
    if contracted:  # space outside of the box is squeezed, and the plane with it
        cells[:, :, 24:] = cells[:, :8] = cells[:, 24:] = False
    rows = torch.nonzero(cells.any(2).any(1))[:, 0]
    assert (rows.min(), rows.max()) == (row - 2, row + 2)
    columns = torch.nonzero(cells.any(0).any(0))[:, 0]
    assert (columns.min(), columns.max()) == (column - 2, 23 if contracted else 31)


def test_a_field_keeps_to_the_surfaces_that_it_was_shown(scene: PosedScene) -> None:
    truth = SplatModel.from_cloud(true_cloud())
    trainer = NerfTrainer(scene, options(steps=250), guide=lambda stopped: truth)
    seen = trainer._state.density >= 0
    events = list(trainer.run())
    assert any(isinstance(e, NoticeEvent) and "surfaces" in e.text for e in events)
    cells = surface_cells(truth, scene, trainer._shape)
    assert torch.equal(trainer._state.density >= 0, seen & cells)
    assert 0 < int((seen & cells).sum()) < 0.3 * int(seen.sum())
    occupied = np.unpackbits(trainer._state.weights.occupied.numpy(), bitorder="little")
    assert not occupied[~cells.numpy()].any()
    alone = NerfTrainer(scene, options(steps=250))
    list(alone.run())
    assert mean_psnr(trainer.snapshot(), scene) > mean_psnr(alone.snapshot(), scene) + 0.5


def test_only_the_first_part_of_a_training_asks(scene: PosedScene, tmp_path: Path) -> None:
    truth = SplatModel.from_cloud(true_cloud())
    first = NerfTrainer(scene, options(steps=20), tmp_path, guide=lambda stopped: truth)
    list(first.run())
    on = NerfTrainer(scene, options(steps=30), tmp_path, guide=lambda stopped: pytest.fail("asked"))
    assert torch.equal(on._state.density >= 0, first._state.density >= 0)
    list(on.run())


def test_objects_have_their_hull_and_do_not_ask(tmp_path: Path) -> None:
    scene = ball_scene(tmp_path / "object", transparent=True)
    trainer = NerfTrainer(scene, options(steps=2), guide=lambda stopped: pytest.fail("asked"))
    list(trainer.run())


def test_stopping_is_heard_while_surfaces_are_looked_for(scene: PosedScene, tmp_path: Path) -> None:
    heard: list[bool] = []

    def guide(stopped: Callable[[], bool]) -> None:
        trainer.stop()
        heard.append(stopped())

    trainer = NerfTrainer(scene, options(), tmp_path, guide=guide)
    end = list(trainer.run())[-1]
    assert heard == [True]
    assert isinstance(end, FinishedEvent)
    assert (end.step, end.reason) == (0, "stopped")
    # What was not found yet is looked for again.
    again = NerfTrainer(scene, options(steps=1), tmp_path, guide=lambda stopped: heard.append(True))
    list(again.run())
    assert heard == [True, True]


def test_splats_find_the_surfaces_of_a_scene(scene: PosedScene) -> None:
    guide = splat_guide(scene, options(guide_steps=200))
    assert guide is not None
    model = guide(lambda: False)
    assert model is not None
    shape = FieldShape(grid=32, contracted=False, half=1.0)
    found = surface_cells(model, scene, shape)
    true = surface_cells(SplatModel.from_cloud(true_cloud()), scene, shape)
    assert (found & true).sum() > 0.9 * true.sum()
    assert guide(lambda: True) is None


def test_no_splats_without_points_or_when_not_wanted(scene: PosedScene) -> None:
    assert splat_guide(scene, options(guide_steps=0)) is None
    empty = SparsePoints(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    assert splat_guide(dataclasses.replace(scene, points=empty), options()) is None
