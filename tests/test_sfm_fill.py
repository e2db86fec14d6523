"""Points to start from where none were triangulated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sfm_photos import pixel_grid

from recon.formats.lens import Lens, PosedLens
from recon.geometry import look_at
from recon.sfm.fill import ray_points
from recon.sfm.hull import MaskedView, hull_points


def sphere_views(count=12, radius=1.0) -> list[MaskedView]:
    """A red ball with a green upper half at the origin, seen from all around."""
    views = []
    for index in range(count):
        angle, height = 2.4 * index, 3.0 * math.sin(1.3 * index)
        pose = look_at((4 * math.cos(angle), 4 * math.sin(angle), height), (0, 0, 0), (0, 0, 1))
        lens = Lens(120, 120, 130.0, 130.0, 60.0, 60.0)
        rays = (pixel_grid(120, 120) - 60.0) / 130.0
        direction = np.concatenate([rays, np.ones((120, 120, 1))], axis=-1)
        direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True) @ pose[:3, :3]
        eye = -pose[:3, :3].T @ pose[:3, 3]
        along = direction @ eye
        inside = along**2 - eye @ eye + radius**2
        depth = -along - np.sqrt(np.maximum(inside, 0))
        hit = eye + depth[..., None] * direction
        rgba = np.zeros((120, 120, 4), np.uint8)
        rgba[inside > 0] = (255, 0, 0, 255)
        rgba[(inside > 0) & (hit[..., 2] > 0)] = (0, 255, 0, 255)
        views.append(MaskedView(PosedLens(lens, pose), rgba))
    return views


def test_hull_points_lie_in_the_object_mostly_near_its_surface():
    points = hull_points(sphere_views(40), np.zeros(3), 1.4, 4000, seed=0)
    assert 3000 < len(points) <= 4000
    distance = np.linalg.norm(points.xyz, axis=1)
    # The hull is a little larger than the ball.
    assert distance.max() < 1.25
    assert np.mean(distance > 0.85) > 0.6
    assert np.mean(distance < 0.85) > 0.1
    upper = (points.xyz[:, 2] > 0.3) & (distance > 0.9)
    lower = (points.xyz[:, 2] < -0.3) & (distance > 0.9)
    assert points.rgb[upper].mean(axis=0)[1] > 220
    assert points.rgb[lower].mean(axis=0)[0] > 220


def test_hull_points_repeat_with_the_seed():
    first, second = (hull_points(sphere_views(), np.zeros(3), 1.4, 500, seed=3) for _ in range(2))
    assert np.array_equal(first.xyz, second.xyz)
    assert np.array_equal(first.rgb, second.rgb)


def test_masks_that_contradict_each_other_leave_no_hull():
    views = sphere_views()
    views[0].rgba[...] = 0
    assert len(hull_points(views, np.zeros(3), 1.4, 500, seed=0)) == 0


@pytest.mark.parametrize("centre", [np.zeros(3), None])
def test_ray_points_are_seen_by_several_views(centre):
    views = sphere_views()
    points = ray_points(views, centre, 1000, seed=0)
    assert 0 < len(points) <= 1000
    seen = sum(view.framed(view.project(points.xyz.T.copy())[0]).astype(int) for view in views)
    assert seen.min() >= 3
