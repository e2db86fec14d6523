"""Meshes: of a model whose surface is known, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from recon.errors import BackendUnavailable, OptionError, TrainingError
from recon.export.mesh import MeshOptions, write_mesh
from recon.geometry import Camera, Sim3, look_at
from recon.model import RenderOptions, RenderOutput
from recon.scene import PosedScene, SparsePoints, View

RADIUS = 0.5
WORLD_FROM_NORM = Sim3(2.0, np.diag([1.0, -1.0, -1.0]), np.array([10.0, 0.0, 0.0]))


class Ball:
    """A ball at the origin, its colour the position; a speck floats beside it."""

    method = "splat"
    size = 1

    def __init__(self, *, empty: bool = False) -> None:
        self._empty = empty

    def render(self, camera: Camera, options: RenderOptions | None = None) -> RenderOutput:
        assert options is not None
        assert options.depth
        y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
        rays = np.stack(
            [(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1
        )
        depth = np.full(x.shape, np.inf)
        color = np.zeros((*x.shape, 3))
        for centre, radius in (((0, 0, 0), RADIUS), ((0, 0, 0.9), 0.04)):
            c = camera.cam_from_world[:3, :3] @ np.array(centre) + camera.cam_from_world[:3, 3]
            a, b = (rays**2).sum(-1), rays @ c
            inside = b**2 - a * (c @ c - radius**2)
            near = (b - np.sqrt(np.maximum(inside, 0))) / a
            hit = (inside > 0) & (near < depth)
            depth = np.where(hit, near, depth)
            at = (rays * near[..., None] - camera.cam_from_world[:3, 3]) @ camera.cam_from_world[
                :3, :3
            ]
            color = np.where(hit[..., None], 0.5 + at / 2, color)
        hit = np.isfinite(depth) & (not self._empty)
        return RenderOutput(
            color.astype(np.float32),
            hit.astype(np.float32),
            np.where(hit, depth, 0).astype(np.float32),
        )

    def save(self, path: Path) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def scene() -> PosedScene:
    rng = np.random.default_rng(0)
    views = []
    for i in range(24):
        eye = rng.normal(size=3)
        eye *= 2 / np.linalg.norm(eye)
        camera = Camera(96, 80, 120.0, 120.0, 48.0, 40.0, look_at(eye, [0, 0, 0], [0, 0, 1]))
        views.append(View(f"{i}.jpg", Path("none"), camera, "train"))
    points = SparsePoints(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    return PosedScene(tuple(views), points, Sim3())


def test_a_ball_becomes_a_ball_of_the_right_size_in_the_world(
    scene: PosedScene, tmp_path: Path
) -> None:
    o3d = pytest.importorskip("open3d", reason="the extra `mesh` is not installed")
    seen: list[tuple[int, int]] = []
    path = tmp_path / "ball.ply"
    options = MeshOptions(voxel=0.04)
    said = write_mesh(
        path, Ball(), scene, WORLD_FROM_NORM, options, lambda done, of: seen.append((done, of))
    )
    assert "triangles" in said
    assert seen[-1] == (23, 24)
    mesh = o3d.io.read_triangle_mesh(str(path))
    vertices = WORLD_FROM_NORM.inverse().apply(np.asarray(mesh.vertices))
    # Half a cell, which is 0.02 in normalised units; the speck is gone.
    error = np.abs(np.linalg.norm(vertices, axis=1) - RADIUS)
    assert error.max() < 0.01
    assert error.mean() < 0.002
    assert len(vertices) > 2000
    # Half a pixel off would be 0.003.
    off = np.asarray(mesh.vertex_colors) - (0.5 + vertices / 2)
    assert np.abs(off).mean() < 0.002
    assert [p.name for p in tmp_path.iterdir()] == ["ball.ply"]


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_other_programs_read_the_other_formats(
    scene: PosedScene, tmp_path: Path, suffix: str
) -> None:
    pytest.importorskip("open3d", reason="the extra `mesh` is not installed")
    trimesh = pytest.importorskip("trimesh")
    path = tmp_path / f"ball{suffix}"
    options = MeshOptions(voxel=0.1)
    write_mesh(path, Ball(), scene, WORLD_FROM_NORM, options, lambda done, of: None)
    mesh = trimesh.load(path, force="mesh")
    np.testing.assert_allclose(mesh.extents, 4 * RADIUS, rtol=0.1)
    assert mesh.visual.kind == "vertex"


def test_what_cannot_be_meshed_is_refused(scene: PosedScene, tmp_path: Path) -> None:
    pytest.importorskip("open3d", reason="the extra `mesh` is not installed")

    def write(name: str, model: Ball, voxel: float | None = None) -> None:
        options = MeshOptions(voxel=voxel)
        write_mesh(tmp_path / name, model, scene, Sim3(), options, lambda done, of: None)

    with pytest.raises(TrainingError, match="no surface"):
        write("x.ply", Ball(empty=True))
    with pytest.raises(OptionError, match="too small"):
        write("x.ply", Ball(), 1e-6)
    with pytest.raises(OptionError, match=r"\.glb"):
        write("x.stl", Ball())
    assert list(tmp_path.iterdir()) == []


def test_without_open3d_it_says_what_to_install(
    scene: PosedScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(BackendUnavailable, match="Open3D") as caught:
        write_mesh(tmp_path / "x.ply", Ball(), scene, Sim3(), MeshOptions(), lambda done, of: None)
    assert "[mesh]" in caught.value.remedy
