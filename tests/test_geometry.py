"""Group axioms of transforms, and cameras on other grids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.errors import OptionError
from recon.geometry import Camera, Sim3, look_at, quat_from_rotation, rotation_from_quat

AXIOM = 1e-7

numbers = st.floats(-10.0, 10.0, allow_nan=False)
vectors = st.tuples(numbers, numbers, numbers).map(np.array)
quats = st.tuples(numbers, numbers, numbers, numbers).map(np.array).filter(lambda q: q @ q > 1e-3)
sims = st.builds(
    Sim3,
    scale=st.floats(0.05, 20.0),
    rotation=quats.map(rotation_from_quat),
    translation=vectors,
)


@given(quats)
def test_a_quaternion_gives_a_rotation_and_comes_back(quat):
    rotation = rotation_from_quat(quat)
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=AXIOM)
    assert np.isclose(np.linalg.det(rotation), 1.0, atol=AXIOM)
    back = quat_from_rotation(rotation)
    unit = quat / np.linalg.norm(quat)
    assert min(np.abs(back - unit).max(), np.abs(back + unit).max()) < AXIOM
    assert back[0] >= 0


@given(quats, vectors)
def test_a_rotation_turns_as_its_quaternion_does(quat, vector):
    w, axis = quat[0], quat[1:]
    norm = quat @ quat
    turned = (
        (w * w - axis @ axis) * vector + 2 * (axis @ vector) * axis + 2 * w * np.cross(axis, vector)
    ) / norm
    assert np.allclose(rotation_from_quat(quat) @ vector, turned, atol=1e-6)


@pytest.mark.parametrize("quat", [(0, 0, 0, 0), (np.nan, 0, 0, 1), (1, 0, 0)])
def test_unusable_quaternions_are_refused(quat):
    with pytest.raises(OptionError):
        rotation_from_quat(quat)


@given(sims, sims, sims, vectors)
def test_similarities_form_a_group(a, b, c, point):
    scale = a.scale * b.scale * c.scale * 100 + 100
    left = a.compose(b).compose(c).apply(point)
    right = a.compose(b.compose(c)).apply(point)
    assert np.allclose(left, right, atol=AXIOM * scale)
    assert np.allclose(a.compose(b).apply(point), a.apply(b.apply(point)), atol=AXIOM * scale)
    assert np.allclose(Sim3().compose(a).apply(point), a.apply(point))
    assert np.allclose(a.inverse().apply(a.apply(point)), point, atol=1e-6)
    assert np.allclose(a.compose(a.inverse()).matrix(), np.eye(4), atol=1e-6)


@given(sims, vectors)
def test_the_matrix_of_a_similarity_does_the_same(sim, point):
    assert np.allclose((sim.matrix() @ [*point, 1.0])[:3], sim.apply(point))


@given(sims, quats, vectors, vectors)
def test_a_moved_camera_sees_moved_points_at_the_same_pixel(sim, quat, shift, point):
    cam_from_source = np.eye(4)
    cam_from_source[:3, :3], cam_from_source[:3, 3] = rotation_from_quat(quat), shift
    cam_from_target = sim.move_camera(cam_from_source)
    before = (cam_from_source @ [*point, 1.0])[:3]
    after = (cam_from_target @ [*sim.apply(point), 1.0])[:3]
    assert np.allclose(after, sim.scale * before, atol=1e-6 * (1 + sim.scale * 100))
    rotation = cam_from_target[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=AXIOM)


@given(vectors, vectors, vectors)
def test_look_at_puts_the_target_straight_ahead(eye, target, up):
    distance = float(np.linalg.norm(target - eye))
    if distance < 1e-2 or np.linalg.norm(up) < 1e-2:
        return
    pose = look_at(eye, target, up)
    assert np.allclose((pose @ [*target, 1.0])[:3], (0, 0, distance), atol=1e-6)
    assert np.isclose(np.linalg.det(pose[:3, :3]), 1.0)


def test_look_at_keeps_up_up():
    pose = look_at((0, -5, 1), (0, 0, 0), (0, 0, 1))
    # Image y points down, so what is higher has the smaller y.
    assert (pose @ [0, 0, 1, 1])[1] < (pose @ [0, 0, 0, 1])[1]


def camera(width=640, height=480) -> Camera:
    return Camera(
        width, height, 500.0, 510.0, 321.0, 239.0, look_at((1, 2, 3), (0, 0, 0), (0, 0, 1))
    )


def project(view: Camera, point: np.ndarray) -> np.ndarray:
    x, y, z = (view.cam_from_world @ [*point, 1.0])[:3]
    return np.array([view.fx * x / z + view.cx, view.fy * y / z + view.cy])


def test_a_resized_camera_sees_the_same_view():
    full, small = camera(), camera().resized(160, 240)
    point = np.array([0.2, -0.1, 0.3])
    assert np.allclose(project(small, point) / (160, 240), project(full, point) / (640, 480))


def test_points_are_projected_and_brought_back():
    view, rng = camera(), np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (50, 3))
    seen = view.project(points)
    assert np.allclose(seen.uv, [project(view, point) for point in points])
    assert seen.inside.all()
    assert np.allclose(view.unproject(seen.uv, seen.depth), points)


def test_points_behind_a_camera_or_beside_its_picture_are_not_inside():
    view = camera()
    ahead = view.world_from_cam[:3, 2]
    beside = view.unproject(np.array([[-0.5, 5.0], [0.5, 5.0]]), np.array([2.0, 2.0]))
    points = np.stack([view.centre + ahead, view.centre - ahead, *beside])
    assert view.project(points).inside.tolist() == [True, False, False, True]


def test_fit_long_side_shrinks_and_never_enlarges():
    tall = Camera(1080, 1920, 1375.0, 1375.0, 540.0, 960.0, np.eye(4)).fit_long_side(960)
    assert (tall.width, tall.height) == (540, 960)
    for limit in (4000, 640, None):
        assert camera().fit_long_side(limit).width == 640


def test_the_inverse_pose_and_the_centre_agree():
    view = camera()
    assert np.allclose(view.world_from_cam @ view.cam_from_world, np.eye(4))
    assert np.allclose(view.centre, (1, 2, 3))


@pytest.mark.parametrize(
    "change",
    [
        {"fx": 0.0},
        {"fy": np.nan},
        {"cx": np.inf},
        {"width": 0},
        {"cam_from_world": np.full((4, 4), np.nan)},
        {"cam_from_world": np.eye(3)},
    ],
)
def test_unusable_cameras_are_refused(change):
    good = {"width": 4, "height": 4, "fx": 2.0, "fy": 2.0, "cx": 2.0, "cy": 2.0}
    with pytest.raises(OptionError):
        Camera(**{**good, "cam_from_world": np.eye(4), **change})
