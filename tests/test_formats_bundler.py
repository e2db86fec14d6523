"""Bundler's files: its own projection written out, ties to photos, and hostile files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.capture import load_capture
from recon.errors import FormatError
from recon.formats.bundler import read_bundler
from recon.geometry import look_at

# Numbers are checked before they are reckoned with: numpy has nothing to warn of.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

FLIP = np.diag([1.0, -1.0, -1.0])
FOCAL, K1, K2 = 60.0, -0.08, 0.01
WIDTH, HEIGHT = 64, 48
POINTS = np.random.default_rng(0).uniform(-1, 1, (6, 3))


def pose(index: int) -> np.ndarray:
    return look_at(np.array([3.0, index - 2.0, 1.0]), (0, 0, 0), (0, 0, 1))


def rows(matrix: np.ndarray) -> str:
    return "\n".join(" ".join(map(repr, row)) for row in np.atleast_2d(matrix).tolist())


def bundle(focal: float = FOCAL, more: str = "", cameras: int = 5) -> str:
    """A camera for each photo and one that was not placed."""
    text = f"# Bundle file v0.3\n{cameras + 1} {len(POINTS)}\n"
    for index in range(cameras):
        turn, shift = FLIP @ pose(index)[:3, :3], FLIP @ pose(index)[:3, 3]
        text += f"{focal!r} {K1} {K2}\n{rows(turn)}\n{rows(shift)}\n"
    text += "0 0 0\n" + "0 0 0\n" * 4 + more
    for index, point in enumerate(POINTS):
        text += f"{rows(point)}\n{index} 20 255\n2 0 7 1.5 -2.5 1 8 0.5 3.25\n"
    return text


def names(cameras: int = 5) -> str:
    return "".join(f"./{index}.jpg 0 1234.5\n" for index in range(cameras)) + "lost.jpg\n"


TURN, SHIFT = rows(FLIP @ pose(0)[:3, :3]), rows(FLIP @ pose(0)[:3, 3])


@pytest.fixture
def scene(tmp_path, write_photo) -> Path:
    for index in range(5):
        write_photo(tmp_path / f"{index}.jpg", index)
    (tmp_path / "bundle.out").write_text(bundle())
    (tmp_path / "list.txt").write_text(names())
    return tmp_path


def test_cameras_and_points_are_tied_to_photos(scene):
    poses = load_capture(scene).given
    assert poses is not None
    assert poses.kind == "bundler"
    assert set(poses.cameras) == {f"{index}.jpg" for index in range(5)}
    for index in range(5):
        np.testing.assert_allclose(
            poses.cameras[f"{index}.jpg"].cam_from_world, pose(index), atol=1e-9
        )
    assert poses.points is not None
    np.testing.assert_allclose(poses.points.xyz, POINTS)
    assert poses.points.rgb[3].tolist() == [3, 20, 255]
    assert poses.points.track.tolist() == [2] * len(POINTS)


def test_projection_is_that_of_the_manual(scene):
    cameras, _ = read_bundler(scene / "bundle.out", scene / "list.txt")
    turn, shift = FLIP @ pose(2)[:3, :3], FLIP @ pose(2)[:3, 3]
    seen = POINTS @ turn.T + shift
    p = -seen[:, :2] / seen[:, 2:]
    r2 = np.sum(p * p, axis=1, keepdims=True)
    image = FOCAL * (1 + K1 * r2 + K2 * r2 * r2) * p
    # The manual's pixels are counted from the middle, upwards.
    pixels = np.array([WIDTH / 2, HEIGHT / 2]) + image * [1, -1]
    camera = cameras["./2.jpg"]
    local = POINTS @ camera.cam_from_world[:3, :3].T + camera.cam_from_world[:3, 3]
    rays = local[:, :2] / local[:, 2:]
    np.testing.assert_allclose(camera.lens(WIDTH, HEIGHT).pixels_from_rays(rays), pixels, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "listing", "words"),
    [
        (bundle(), names(4), "lists 6 cameras, but list.txt names 5 photos"),
        (bundle(), "a.jpg\n" * 6, "twice"),
        (bundle(float("nan")), names(), "lens of './0.jpg'"),
        (bundle()[:900], names(), "where 3 are expected"),
        (bundle()[: bundle().index("\n3 20")], names(), "not a whole bundle file"),
        (bundle().replace(" 6\n", " 999999999\n", 1), names(), "999999999 points"),
        (bundle().replace(" 6\n", " 7\n", 1), names(), "not a whole bundle file"),
        (bundle(more="1 2\n"), names(), "numbers where 3"),
        (bundle().replace(rows(POINTS[0]), "nan 0 0"), names(), "not finite"),
        (bundle().replace(rows(POINTS[0]), "1e300 0 0"), names(), "farther away"),
        (bundle().replace(SHIFT, "1e300 -1e300 inf"), names(), "'./0.jpg' is not a rotation"),
        (bundle().replace(SHIFT, "1e13 0 0"), names(), "'./0.jpg' is not a rotation"),
        (bundle().replace(TURN, "inf nan 1e300\n" * 2 + "1 1 1"), names(), "not a rotation"),
        (bundle().replace(TURN, "1e200 0 0\n" * 2 + "1 1 1"), names(), "not a rotation"),
        (bundle().replace(TURN, "1 0 0\n0 1 0\n0 0 -1"), names(), "'./0.jpg' mirrors"),
        ("", names(), "not a whole bundle file"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_the_reason(scene, text, listing, words):
    (scene / "bundle.out").write_text(text)
    (scene / "list.txt").write_text(listing)
    with pytest.raises(FormatError, match=words) as caught:
        load_capture(scene)
    assert caught.value.remedy


def test_a_bundle_without_its_list_says_what_is_missing(scene):
    (scene / "list.txt").unlink()
    with pytest.raises(FormatError, match="no list of its photos"):
        load_capture(scene)
    (scene / "any name.lst").write_text(names())
    assert load_capture(scene).given is not None


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_mutated_files_give_format_errors_only(data):
    content = [bytearray(bundle().encode()), bytearray(names().encode())]
    for _ in range(data.draw(st.integers(1, 10))):
        text = data.draw(st.sampled_from(content))
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path, listing = Path(folder) / "bundle.out", Path(folder) / "list.txt"
        path.write_bytes(bytes(content[0]))
        listing.write_bytes(bytes(content[1]))
        try:
            cameras, points = read_bundler(path, listing)
        except FormatError:
            return
        assert all(np.isfinite(camera.cam_from_world).all() for camera in cameras.values())
        assert np.isfinite(points.xyz).all()
