"""RealityCapture's CSV: angles against another reading of them, ties to photos, hostile files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from recon.capture import load_capture
from recon.errors import FormatError
from recon.formats.realitycapture import read_realitycapture

# Numbers are checked before they are reckoned with: numpy has nothing to warn of.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

HEAD = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"


def row(name: str, place=(1.0, 2.0, 3.0), angles=(30.0, 80.0, 5.0), rest: str = "0,0,0,0,0,0"):
    numbers = ",".join(map(repr, [*place, *angles, 24.0, 0.01, -0.02]))
    return f"{name},{numbers},{rest}"


def table(*rows: str, before: str = "") -> str:
    usual = [row(f"{index}.jpg", (index, 0.0, 2.0)) for index in range(5)]
    return before + "\r\n".join([HEAD, *(rows or usual)]) + "\r\n"


@pytest.fixture
def scene(tmp_path, write_photo) -> Path:
    for index in range(5):
        write_photo(tmp_path / f"{index}.jpg", index)
    return tmp_path


def read(folder: Path, text: str):
    path = folder / "cameras.csv"
    path.write_text(text, encoding="utf-8")
    return read_realitycapture(path)


@pytest.mark.parametrize("before", ["", "\ufeff", "#cameras 5\r\n"])
def test_cameras_are_tied_to_photos_by_their_names(scene, before):
    (scene / "some export.csv").write_text(table(before=before), encoding="utf-8")
    (scene / "a shopping list.csv").write_text("name,price\nbread,3\n")
    poses = load_capture(scene).given
    assert poses is not None
    assert poses.kind == "realitycapture"
    assert poses.world_up == (0.0, 0.0, 1.0)
    assert set(poses.cameras) == {f"{index}.jpg" for index in range(5)}
    np.testing.assert_allclose(poses.cameras["3.jpg"].centre, [3, 0, 2], atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(*[st.floats(-180, 180)] * 3)
def test_angles_turn_the_camera_as_flown(heading, pitch, roll):
    with tempfile.TemporaryDirectory() as folder:
        camera = read(Path(folder), table(row("a.jpg", angles=(heading, pitch, roll))))["a.jpg"]
    # Intrinsic rotations z, x, y of a camera that looks along -z with y up.
    turn = Rotation.from_euler("ZXY", [-heading, pitch, roll], degrees=True).as_matrix()
    world_from_cam = camera.cam_from_world[:3, :3].T
    np.testing.assert_allclose(world_from_cam, turn * [1, -1, -1], atol=1e-9)


@pytest.mark.parametrize(
    ("angles", "ahead"),
    [((0, 0, 0), (0, 0, -1)), ((0, 90, 0), (0, 1, 0)), ((90, 90, 0), (1, 0, 0))],
)
def test_heading_and_pitch_point_where_a_pilot_expects(tmp_path, angles, ahead):
    """Down at no pitch; level at 90 degrees, then north, and east by a heading of 90."""
    pose = read(tmp_path, table(row("a.jpg", angles=angles)))["a.jpg"].cam_from_world
    np.testing.assert_allclose(pose[2, :3], ahead, atol=1e-12)


def test_lengths_are_shares_of_the_longer_side(tmp_path):
    camera = read(tmp_path, table(row("a.jpg", rest="-0.1,0.02,0.003,0,0,0")))["a.jpg"]
    for size in ((600, 400), (400, 600)):
        lens = camera.lens(*size)
        assert lens.fx == lens.fy == pytest.approx(600 * 24 / 36)
        assert (lens.cx, lens.cy) == pytest.approx((size[0] / 2 + 6, size[1] / 2 - 12))
        assert lens.k == (-0.1, 0.02, 0.003, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (table(row("a.jpg", rest="0,0,0,0.1,0,0")), "k4"),
        (table(row("a.jpg", rest="0,0,0,0,0.1,0.1")), "t1, t2"),
        (table(row("a.jpg", (float("inf"), 0, 0))), "not finite"),
        (table(row("a.jpg", (1e300, 0, 0))), "pose of 'a.jpg'"),
        (table(row("a.jpg"), row("a.jpg")), "twice"),
        (table(row("")), "empty"),
        (table("a.jpg,1,2"), "3 columns"),
        (table(row("a.jpg", rest="x,0,0,0,0,0")), "not readable"),
        ("#name,x,y\na.jpg,1,2\n", "columns"),
        ("", "columns"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_the_reason(tmp_path, text, words):
    with pytest.raises(FormatError, match=words) as caught:
        read(tmp_path, text)
    assert caught.value.remedy


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_mutated_files_give_format_errors_only(data):
    content = bytearray(table().encode())
    for _ in range(data.draw(st.integers(1, 10))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.csv"
        path.write_bytes(bytes(content))
        try:
            cameras = read_realitycapture(path)
        except FormatError:
            return
        for camera in cameras.values():
            assert np.isfinite(camera.cam_from_world).all()
