"""Where the middle is, what is up, how large a unit; and which points stay."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.formats.lens import WorldPoints
from recon.geometry import Sim3, look_at, rotation_from_quat
from recon.sfm import normalise
from recon.sfm.normalise import filter_points


def ring(count=24, radius=3.0, height=1.0, target=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Poses (N, 4, 4) around a target, level, +Z up."""
    angles = 2 * np.pi * np.arange(count) / count
    eyes = [(radius * math.cos(a), radius * math.sin(a), height) for a in angles]
    return np.stack([look_at(np.add(eye, target), target, (0, 0, 1)) for eye in eyes])


def moved(poses: np.ndarray, sim: Sim3) -> np.ndarray:
    return np.stack([sim.move_camera(pose) for pose in poses])


worlds = st.builds(
    Sim3,
    scale=st.floats(0.1, 10.0),
    rotation=st.tuples(*[st.floats(-1, 1)] * 4)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(rotation_from_quat),
    translation=st.tuples(*[st.floats(-5, 5)] * 3).map(np.array),
)


@settings(max_examples=60, deadline=None)
@given(worlds, st.floats(0.0, 6.0))
def test_inward_captures_are_centred_upright_and_of_unit_size(world, height):
    poses = moved(ring(height=height), world)
    norm = normalise(poses)
    # What they look at is the origin, up is +Z, and the cameras are one unit away.
    assert np.allclose(norm.apply(world.apply((0, 0, 0))), 0, atol=1e-6)
    up = norm.apply(world.apply((0, 0, 1))) - norm.apply(world.apply((0, 0, 0)))
    assert np.allclose(up / np.linalg.norm(up), (0, 0, 1), atol=1e-6)
    centres = [-p[:3, :3].T @ p[:3, 3] for p in moved(poses, norm)]
    assert np.allclose(np.linalg.norm(centres, axis=1), 1.0, atol=1e-6)


def test_forward_captures_are_centred_on_the_cameras():
    eyes = [(0.3 * x, 0.0, 0.3 * z) for x in range(4) for z in range(3)]
    poses = np.stack([look_at(eye, np.add(eye, (0, 5, 0)), (0, 0, 1)) for eye in eyes])
    norm = normalise(poses)
    assert np.allclose(norm.apply(np.mean(eyes, axis=0)), 0, atol=1e-9)
    assert np.allclose(norm.rotation, np.eye(3), atol=1e-6)
    distance = np.linalg.norm(norm.apply(eyes), axis=1)
    assert np.percentile(distance, 95) == pytest.approx(1.0)


def test_outward_captures_are_centred_on_the_cameras():
    poses = ring(target=(0, 0, 0))
    outward = np.stack([np.diag([-1.0, 1, -1, 1]) @ pose for pose in poses])
    norm = normalise(outward)
    assert np.allclose(norm.apply((0, 0, 1.0)), 0, atol=1e-6)


def test_a_promised_up_is_kept_unless_the_cameras_contradict_it():
    tilted = (0.0, math.sin(0.3), math.cos(0.3))
    assert np.allclose(normalise(ring(), tilted).rotation @ tilted, (0, 0, 1), atol=1e-9)
    assert np.allclose(normalise(ring(), (0.0, 0.0, -1.0)).rotation, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("count", [1, 2])
def test_few_cameras_still_give_a_usable_transform(count):
    norm = normalise(ring(count=count))
    assert np.all(np.isfinite(norm.matrix()))
    assert norm.scale > 0
    assert np.linalg.det(norm.rotation) == pytest.approx(1.0)


def test_uncertain_and_distant_points_are_dropped_if_enough_are_left():
    xyz = np.random.default_rng(0).normal(size=(5000, 3))
    xyz[0] = 1e4
    track = np.full(5000, 5)
    track[1:500] = 2
    error = np.full(5000, 0.5)
    error[500:600] = 3.0
    error[600] = np.nan
    points = WorldPoints(xyz, np.zeros((5000, 3), np.uint8), error, track)
    kept = filter_points(points, Sim3())
    assert len(kept) == 5000 - 1 - 499 - 100
    assert len(filter_points(points.chosen(np.arange(5000) < 1000), Sim3())) == 999
