"""Metres and north from GPS and from known distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recon.capture.exif import read_exif
from recon.errors import OptionError
from recon.fit.options import parse_scale
from recon.formats.lens import Lens, PosedLens
from recon.geometry import Sim3, look_at, rotation_from_quat
from recon.sfm.locate import KnownDistance, east_north_up, locate

LENS = Lens(640, 480, 500, 500, 320, 240)
METRES_A_DEGREE = 111_320.0


def walk(count: int = 12, radius: float = 20.0) -> dict[str, np.ndarray]:
    """Cameras on a circle, in metres east, north and up, looking inwards."""
    out = {}
    for index in range(count):
        angle = 2 * np.pi * index / count
        eye = np.array([radius * np.cos(angle), radius * np.sin(angle), 1.5 + 0.3 * (index % 2)])
        out[f"{index:02d}.jpg"] = look_at(eye, (0, 0, 1.5), (0, 0, 1))
    return out


def gps_of(poses: dict[str, np.ndarray], noise: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    out = {}
    for name, pose in poses.items():
        east, north, up = -pose[:3, :3].T @ pose[:3, 3] + rng.normal(0, noise, 3)
        latitude = 48.0 + north / METRES_A_DEGREE
        longitude = 11.0 + east / (METRES_A_DEGREE * np.cos(np.radians(48.0)))
        out[name] = (latitude, longitude, 500.0 + up)
    return out


def as_model(poses: dict[str, np.ndarray], seed: int = 1) -> dict[str, PosedLens]:
    """The same cameras in the arbitrary world that SfM would find them in."""
    rng = np.random.default_rng(seed)
    quat = rng.normal(size=4)
    move = Sim3(0.07, rotation_from_quat(quat / np.linalg.norm(quat)), rng.normal(size=3))
    return {name: PosedLens(LENS, move.move_camera(pose)) for name, pose in poses.items()}


def test_gps_gives_scale_and_north_within_its_noise():
    poses = walk()
    gps = gps_of(poses, noise=1.0)
    name = "03.jpg"
    gps[name] = (gps[name][0] + 0.01, gps[name][1], gps[name][2])  # a kilometre off
    location = locate(as_model(poses), gps, None)
    assert (location.unit, location.north) == ("metres", True)
    move = location.world_from_model
    found = np.stack([move.apply(posed.centre) for posed in as_model(poses).values()])
    true = np.stack([-p[:3, :3].T @ p[:3, 3] for p in poses.values()])
    middle = found.mean(axis=0) - true.mean(axis=0)
    assert np.abs(found - true - middle)[:, :2].max() < 1.5
    heading = np.degrees(np.arctan2(*(found[0] - found[6])[[1, 0]]))
    assert abs(heading) < 4
    assert np.linalg.norm(found[0] - found[6]) == pytest.approx(40.0, rel=0.04)


def test_gps_that_is_too_coarse_is_not_used_and_told():
    poses = walk(radius=1.0)
    location = locate(as_model(poses), gps_of(poses, noise=4.0), None)
    assert (location.unit, location.north) == ("arbitrary", False)
    assert "too coarse" in location.notices[0]
    assert locate(as_model(poses), {}, None).notices == ()


def test_a_known_distance_sets_the_scale_with_and_without_gps():
    poses = walk()
    cameras = as_model(poses)
    known = KnownDistance("00.jpg", "06.jpg", 10.0)
    for gps in ({}, gps_of(poses, noise=0.5)):
        location = locate(cameras, gps, known)
        move = location.world_from_model
        apart = move.apply(cameras["00.jpg"].centre) - move.apply(cameras["06.jpg"].centre)
        assert np.linalg.norm(apart) == pytest.approx(10.0)
        assert (location.unit, location.north) == ("metres", bool(gps))


def test_distances_that_cannot_be_used_are_refused():
    cameras = as_model(walk())
    with pytest.raises(OptionError, match=r"nowhere.jpg, which has no camera"):
        locate(cameras, {}, KnownDistance("00.jpg", "nowhere.jpg", 1.0))
    with pytest.raises(OptionError, match="same place"):
        locate(cameras, {}, KnownDistance("00.jpg", "00.jpg", 1.0))
    assert parse_scale("a b.jpg, c=d.jpg = 2.5m") == ("a b.jpg", "c=d.jpg", 2.5)
    for text in ("", "a,b", "a=2", "a,b=-1", "a,b=nan", "a,b=1e9", "=,=1"):
        with pytest.raises(OptionError, match="known distance"):
            parse_scale(text)


def test_positions_on_the_ellipsoid():
    # A degree of latitude at 45 degrees north has 111,131.8 m, one of longitude 78,847 m.
    there = east_north_up(np.array([[44.5, 7.0, 0.0], [45.5, 7.0, 0.0]]))
    assert np.linalg.norm(there[1] - there[0]) == pytest.approx(111_131.8, rel=1e-4)
    assert there[1, 1] > there[0, 1]
    there = east_north_up(np.array([[45.0, 6.5, 100.0], [45.0, 7.5, 100.0]]))
    assert there[1, 0] - there[0, 0] == pytest.approx(78_847, rel=1e-3)


def exif_of(place: dict) -> object:
    image = Image.new("RGB", (64, 48))
    image.getexif().get_ifd(0x8825).update(place)
    return read_exif(image)


def test_gps_is_read_from_exif():
    place = {1: "S", 2: (33.0, 30.0, 36.0), 3: "E", 4: (151.0, 0.0, 0.0), 5: b"\x00", 6: 25.5}
    assert exif_of(place).gps == pytest.approx((-33.51, 151.0, 25.5))
    assert exif_of({**place, 5: b"\x01"}).gps[2] == -25.5
    for broken in ({}, {**place, 2: (1.0,)}, {**place, 2: "north"}, {**place, 4: (900.0, 0, 0)}):
        assert exif_of(broken).gps is None


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 10),
        st.one_of(
            st.text(max_size=3),
            st.binary(max_size=3),
            st.floats(allow_nan=True),
            st.lists(st.floats(allow_nan=True), max_size=4).map(tuple),
        ),
    )
)
def test_any_gps_tags_give_a_place_on_earth_or_none(tags):
    facts = exif_of(tags)
    assert facts.gps is None or (abs(facts.gps[0]) <= 90 and abs(facts.gps[1]) <= 180)
