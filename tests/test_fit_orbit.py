"""The flight around a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.errors import OptionError
from recon.fit.orbit import focus_point, orbit_cameras
from recon.geometry import Camera, Sim3, look_at
from recon.scene import PosedScene, SparsePoints, View

TARGET = np.array([0.2, -0.1, 0.05])


def scene_of(eyes: np.ndarray, targets: np.ndarray | None = None) -> PosedScene:
    targets = np.broadcast_to(TARGET, eyes.shape) if targets is None else targets
    views = tuple(
        View(
            f"{i}.jpg",
            Path(f"{i}.png"),
            Camera(64, 48, 60.0, 60.0, 32.0, 24.0, look_at(eye, target, [0, 0, 1])),
            "train",
        )
        for i, (eye, target) in enumerate(zip(eyes, targets, strict=True))
    )
    points = np.tile(TARGET, (5, 1)).astype(np.float32)
    return PosedScene(views, SparsePoints(points, np.zeros((5, 3), np.uint8)), Sim3())


def ring(start: float, end: float, count: int, radius: float = 1.0) -> np.ndarray:
    angles = np.linspace(start, end, count)
    offsets = np.stack([np.cos(angles), np.sin(angles), np.full(count, 0.4)], axis=1)
    return TARGET + radius * offsets


def azimuths(cameras: tuple[Camera, ...]) -> np.ndarray:
    offsets = np.stack([camera.centre for camera in cameras]) - TARGET
    return np.unwrap(np.arctan2(offsets[:, 1], offsets[:, 0]))


def test_a_full_ring_is_flown_all_the_way_round_once() -> None:
    scene = scene_of(ring(0, 2 * np.pi * 23 / 24, 24))
    np.testing.assert_allclose(focus_point(scene), TARGET, atol=1e-9)
    cameras = orbit_cameras(scene, 60, 64, 48)
    turned = azimuths(cameras)
    assert turned[-1] - turned[0] == pytest.approx(2 * np.pi * 59 / 60)
    distances = [np.linalg.norm(c.centre - TARGET) for c in cameras]
    np.testing.assert_allclose(distances, np.hypot(1.0, 0.4), rtol=1e-6)
    for camera in cameras:
        x, y, z = camera.cam_from_world[:3, :3] @ TARGET + camera.cam_from_world[:3, 3]
        assert z > 0
        assert abs(x / z) < 1e-9
        assert abs(y / z) < 1e-9


@pytest.mark.parametrize("start", [0.3, 2.5, -1.0])
def test_an_arc_is_not_left(start: float) -> None:
    cameras = orbit_cameras(scene_of(ring(start, start + 1.2, 12)), 40, 64, 48)
    turned = azimuths(cameras)
    turned += 2 * np.pi * np.round((start - turned.mean()) / (2 * np.pi))
    assert turned.min() >= start - 1e-9
    assert turned.max() <= start + 1.2 + 1e-9
    assert np.ptp(turned) > 0.9
    steps = np.abs(np.diff(np.append(turned, turned[0])))
    assert steps.max() < 0.12  # closed, without a jump


def test_parallel_axes_find_a_focus_among_the_points() -> None:
    eyes = np.stack([np.linspace(-0.2, 0.2, 8), np.full(8, -2.0), np.zeros(8)], axis=1)
    scene = scene_of(eyes, eyes + np.array([0.0, 1.0, 0.0]))
    assert focus_point(scene)[1] == pytest.approx(TARGET[1], abs=1e-6)
    cameras = orbit_cameras(scene, 10, 64, 48)
    assert all(np.isfinite(camera.cam_from_world).all() for camera in cameras)


@pytest.mark.parametrize(("width", "height"), [(64, 48), (48, 64), (200, 50)])
def test_any_shape_shows_what_the_photos_show(width: int, height: int) -> None:
    camera = orbit_cameras(scene_of(ring(0, 6, 20)), 1, width, height)[0]
    assert (camera.width, camera.height) == (width, height)
    assert width / camera.fx >= 64 / 60 - 1e-9
    assert height / camera.fy >= 48 / 60 - 1e-9


def test_too_little_to_fly_around_is_refused() -> None:
    with pytest.raises(OptionError):
        orbit_cameras(scene_of(ring(0, 0, 1)), 10, 64, 48)
