"""Plane sweeping against an independent reference, and dense clouds of a surface that is known."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from recon.dense import DenseOptions, DensePhoto, dense_points
from recon.dense.pairs import ranked_neighbours
from recon.dense.sweep import GreyView, Planes, plane_sweep, projection
from recon.errors import OptionError
from recon.geometry import Camera, Sim3, look_at
from recon.kernels import native_cpu
from recon.scene import PosedScene, SparsePoints, View
from recon.splat import SplatOptions
from recon.splat.init import start_points
from recon.splat.targets import TargetImages

F64 = NDArray[np.float64]
WIDTH, HEIGHT, FOCAL = 96, 64, 90.0


def camera(eye: tuple[float, float, float], width: int = WIDTH, height: int = HEIGHT) -> Camera:
    """A camera at `eye` that looks at the origin."""
    return Camera(
        width=width,
        height=height,
        fx=FOCAL,
        fy=FOCAL,
        cx=width / 2,
        cy=height / 2,
        cam_from_world=look_at(eye, [0, 0, 0], [0, 1, 0]),
    )


def wall_depth(cam: Camera, tilt: float = 0.3) -> F64:
    """Depth (H, W) of the wall z = tilt x."""
    return _wall(cam, tilt)[0]


def wall_rgb(cam: Camera, tilt: float = 0.3) -> NDArray[np.uint8]:
    """A picture of the wall z = tilt x, with a pattern of many frequencies, (H, W, 3)."""
    xyz = _wall(cam, tilt)[1]
    rng = np.random.default_rng(5)
    waves = rng.normal(size=(24, 2)) * rng.uniform(5, 25, (24, 1))
    phases = rng.uniform(0, 2 * math.pi, (24, 3))
    angle = np.einsum("hwi,ki->hwk", xyz[..., :2], waves)[..., None] + phases
    return np.clip(127 + 300 * np.sin(angle).mean(2), 0, 255).astype(np.uint8)


def _wall(cam: Camera, tilt: float) -> tuple[F64, F64]:
    y, x = np.mgrid[: cam.height, : cam.width] + 0.5
    rays = np.stack([(x - cam.cx) / cam.fx, (y - cam.cy) / cam.fy, np.ones_like(x)], -1)
    directions = rays @ cam.cam_from_world[:3, :3]
    normal = np.array([tilt, 0.0, -1.0])
    depth = -(cam.centre @ normal) / (directions @ normal)
    return depth, cam.centre + directions * depth[..., None]


def grey_view(cam: Camera) -> GreyView:
    return GreyView(cam, wall_rgb(cam).mean(2).astype(np.float32) / 255)


EYES = [(0.0, 0.0, -2.0), (0.25, 0.0, -2.0), (-0.2, 0.15, -2.1), (0.1, -0.3, -1.9)]


def scores_in_float64(reference: GreyView, others: list[GreyView], planes: Planes) -> F64:
    """Scores (planes, H, W) as `plane_sweep` states them, without any of its arithmetic."""

    def window_mean(image: F64) -> F64:
        padded = np.pad(image, 2, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
        return windows.mean((2, 3))

    a = reference.grey.astype(np.float64)
    height, width = a.shape
    y, x = np.mgrid[:height, :width] + 0.5
    mean_a = window_mean(a)
    spread_a = np.maximum(window_mean(a * a) - mean_a**2, 0) + 1e-4
    out = np.empty((planes.count, height, width))
    for k in range(planes.count):
        w = planes.first + k * planes.step
        scores = []
        for other in others:
            homography, epipole = projection(reference.camera, other.camera)
            p = np.stack([x, y, np.ones_like(x)], -1) @ homography.T + w * epipole
            u, v = p[..., 0] / p[..., 2] - 0.5, p[..., 1] / p[..., 2] - 0.5
            b = other.grey.astype(np.float64)
            shown = (p[..., 2] > 1e-6) & (u >= 0) & (v >= 0)
            shown &= (u <= b.shape[1] - 1) & (v <= b.shape[0] - 1)
            iu = np.clip(np.floor(u), 0, b.shape[1] - 2).astype(int)
            iv = np.clip(np.floor(v), 0, b.shape[0] - 2).astype(int)
            fu, fv = u - iu, v - iv
            top = b[iv, iu] * (1 - fu) + b[iv, iu + 1] * fu
            bottom = b[iv + 1, iu] * (1 - fu) + b[iv + 1, iu + 1] * fu
            warped = np.where(shown, top * (1 - fv) + bottom * fv, np.nan)
            mean_b = window_mean(warped)
            spread_b = np.maximum(window_mean(warped * warped) - mean_b**2, 0) + 1e-4
            value = (window_mean(a * warped) - mean_a * mean_b) / np.sqrt(spread_a * spread_b)
            scores.append(np.where(np.isnan(value), -1, value))
        best = np.sort(np.array(scores), 0)[::-1][:2]
        out[k] = best.mean(0)
    return out


@pytest.mark.parametrize("isa", native_cpu.instruction_sets())
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (37, 19), (8, 2)])
def test_sweep_agrees_with_float64(isa: str, count: int, size: tuple[int, int]) -> None:
    views = [grey_view(camera(eye, *size)) for eye in EYES[: count + 1]]
    planes = Planes(24, 0.3, 0.02)
    found = plane_sweep(views[0], views[1:], planes, isa)
    scores = scores_in_float64(views[0], views[1:], planes)
    assert np.abs(found.score - scores.max(0)).max() < 2e-3
    # Which plane is best is decided where the best one stands out.
    second = np.sort(scores, 0)[-2]
    clear = scores.max(0) > second + 5e-3
    best = planes.first + scores.argmax(0) * planes.step
    assert clear.mean() > 0.2
    assert np.abs(found.inverse_depth - best)[clear].max() <= 0.5 * planes.step + 1e-6


def test_sweep_finds_a_slanted_wall() -> None:
    views = [grey_view(camera(eye)) for eye in EYES]
    planes = Planes(48, 0.3, 0.01)
    found = plane_sweep(views[0], views[1:], planes)
    truth = 1 / wall_depth(views[0].camera)
    sure = found.score > 0.9
    assert sure.mean() > 0.7
    # Between the planes, which are 2 % of the depth apart.
    assert np.median(np.abs(found.inverse_depth - truth)[sure]) < 0.15 * planes.step


def test_sweep_of_a_flat_picture_and_of_one_that_nobody_shows_has_no_score() -> None:
    views = [grey_view(camera(eye)) for eye in EYES[:3]]
    flat = [GreyView(v.camera, np.full_like(v.grey, 0.5)) for v in views]
    assert plane_sweep(flat[0], flat[1:], Planes(8, 0.3, 0.05)).score.max() < 0.1
    away = Camera(
        **{**vars(views[1].camera), "cam_from_world": look_at([0, 0, -2], [0, 0, -9], [0, 1, 0])}
    )
    hidden = plane_sweep(views[0], [GreyView(away, views[1].grey)], Planes(8, 0.3, 0.05))
    assert (hidden.score == -1).all()


def test_sweep_takes_float32_images_of_one_size() -> None:
    view = grey_view(camera(EYES[0]))
    double = GreyView(view.camera, view.grey.astype(np.float64))  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError):
        plane_sweep(double, [view], Planes(4, 0.3, 0.1))
    with pytest.raises(OptionError):
        plane_sweep(view, [], Planes(4, 0.3, 0.1))


def test_neighbours_see_the_same_from_good_angles() -> None:
    def around(degrees: float) -> Camera:
        angle = math.radians(degrees)
        return camera((2 * math.sin(angle), 0.0, -2 * math.cos(angle)))

    cameras = [around(a) for a in (0, 1, 8, 25, 180)]
    cameras.append(camera((0, 0, -2)).at(look_at([0, 0, -2], [0, 0, -9], [0, 1, 0])))
    points = np.random.default_rng(0).normal(size=(400, 3)) * 0.3
    ranked = ranked_neighbours(cameras, points, 0)
    assert ranked[0] == 2
    assert 5 not in ranked  # looks away
    assert ranked.index(1) < len(ranked)
    assert cameras[0].project(points).inside.mean() > 0.9


@pytest.fixture(scope="module")
def wall() -> list[DensePhoto]:
    """Six photos of the wall."""
    places = [(float(x), 0.1 * (-1) ** i, -2.0) for i, x in enumerate(np.linspace(-0.5, 0.5, 6))]
    return [DensePhoto(cam, wall_rgb(cam)) for cam in map(camera, places)]


@pytest.fixture(scope="module")
def corners() -> NDArray[np.float32]:
    """Some points on the wall."""
    xy = np.random.default_rng(1).uniform(-0.7, 0.7, (200, 2))
    return np.column_stack([xy, 0.3 * xy[:, 0]]).astype(np.float32)


def test_dense_points_lie_on_the_wall_in_its_colours(
    wall: list[DensePhoto], corners: NDArray[np.float32]
) -> None:
    dense = dense_points(wall, corners, DenseOptions())
    assert len(dense) > 10_000
    off = np.abs(dense.xyz[:, 2] - 0.3 * dense.xyz[:, 0])
    assert np.median(off) < 0.01
    assert np.quantile(off, 0.95) < 0.05
    # Colours are those of any photo at the point's place.
    seen = wall[2].camera.project(dense.xyz.astype(np.float64))
    column, row = seen.uv[seen.inside].astype(int).T
    apart = np.abs(wall[2].rgb[row, column].astype(int) - dense.rgb[seen.inside]).mean(1)
    assert np.median(apart) < 10
    again = dense_points(wall, corners, DenseOptions())
    assert (again.xyz == dense.xyz).all()


def test_pixels_that_do_not_count_become_no_points(
    wall: list[DensePhoto], corners: NDArray[np.float32]
) -> None:
    right = np.zeros((HEIGHT, WIDTH), bool)
    right[:, WIDTH // 2 :] = True
    masked = [dataclasses.replace(photo, counts=right) for photo in wall]
    some = dense_points(masked, corners, DenseOptions())
    assert 0 < len(some) < 0.6 * len(dense_points(wall, corners, DenseOptions()))


def test_nothing_to_go_by_makes_no_points(
    wall: list[DensePhoto], corners: NDArray[np.float32]
) -> None:
    assert len(dense_points(wall, corners[:0], DenseOptions())) == 0
    assert len(dense_points(wall[:1], corners, DenseOptions())) == 0
    assert len(dense_points([], corners, DenseOptions())) == 0
    assert len(dense_points(wall, corners, DenseOptions(), stop=lambda: True)) == 0


def test_training_starts_from_its_share(corners: NDArray[np.float32]) -> None:
    def points(xyz: NDArray[np.float32]) -> SparsePoints:
        return SparsePoints(xyz, np.zeros((len(xyz), 3), np.uint8))

    rng = np.random.default_rng(0)
    dense = points(rng.normal(size=(5000, 3)).astype(np.float32))
    scene = PosedScene((), points(corners), Sim3(1.0, np.eye(3), np.zeros(3)))
    options = SplatOptions(max_splats=1000, dense_share=0.5)
    start = start_points(scene, dense, options, rng)
    assert len(start) == 500
    assert (start.xyz[:200] == corners).all()
    none = dataclasses.replace(options, dense_share=0.0)
    assert len(start_points(scene, dense, none, rng)) == 200
    # A hull only fills up what the dense cloud leaves open.
    hull = dataclasses.replace(scene, background=(1.0, 1.0, 1.0))
    assert not np.isin(start_points(hull, dense, options, rng).xyz, corners).all(1).any()
    assert len(start_points(hull, points(dense.xyz[:400]), options, rng)) == 500


def test_photos_to_look_in_leave_out_masks_and_background(tmp_path: Path) -> None:
    rgba = np.full((40, 60, 4), 255, np.uint8)
    rgba[:, :20, :3] = 90
    rgba[:, 40:, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    mask = np.full((40, 60), 255, np.uint8)
    mask[:10] = 0
    Image.fromarray(mask).save(tmp_path / "m.png")
    view = View(
        "a.png", tmp_path / "a.png", camera((0, 0, -2), 60, 40), "train", tmp_path / "m.png"
    )
    no_points = SparsePoints(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    scene = PosedScene((view,), no_points, Sim3(1.0, np.eye(3), np.zeros(3)), (1.0, 1.0, 1.0))
    (photo,) = TargetImages(scene, None, 1).small(5, 30)
    assert photo.rgb.shape == (20, 30, 3)
    assert photo.camera.width == 30
    assert photo.counts is not None
    assert photo.counts[5:, :20].all()  # what is white and opaque is no background
    assert not photo.counts[:5].any()
    assert not photo.counts[:, 20:].any()
