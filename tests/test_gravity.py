"""What is up, from maker notes of phones to the world."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recon.capture import load_capture
from recon.capture.gravity import turned, up_of_apple
from recon.formats.lens import Lens, PosedLens
from recon.geometry import look_at, rotation_from_quat
from recon.sfm import normalise
from recon.sfm.gravity import up_from_gravity
from recon.sfm.photos import open_upright


def note(acceleration, *, order: str = ">", other: int = 2) -> bytes:
    """A maker note with some entries before the one that counts."""
    numbers = [part for value in acceleration for part in (round(value * 10_000), 10_000)]
    head = b"Apple iOS\0\0\1" + (b"MM" if order == ">" else b"II")
    entries = b"".join(struct.pack(f"{order}HHIi", i + 1, 9, 1, 7) for i in range(other))
    offset = len(head) + 2 + len(entries) + 12 + 4
    entries += struct.pack(f"{order}HHII", 8, 10, 3, offset)
    rest = struct.pack(f"{order}I6i", 0, *numbers)
    return head + struct.pack(f"{order}H", other + 1) + entries + rest


# What phones wrote: one upright, aimed a little down; one on its side, aimed at a table; one that
# looks straight ahead with its home button up, or down.
READINGS = [
    ((0.1814, -0.8818, -0.4301), 6, (-0.18, -0.88, -0.43)),
    ((-0.6483, 0.0023, -0.7501), 1, (0.0, -0.65, -0.75)),
    ((1.0, 0.0, 0.0), 3, (0.0, -1.0, 0.0)),
    ((0.0, 1.0, 0.0), 8, (0.0, -1.0, 0.0)),
]


@pytest.mark.parametrize(("reading", "orientation", "up"), READINGS)
@pytest.mark.parametrize("order", "<>")
def test_readings_become_directions_in_the_upright_photo(reading, orientation, up, order):
    found = up_of_apple(note(reading, order=order), "back camera")
    assert found is not None
    assert turned(found, orientation) == pytest.approx(up, abs=0.02)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_directions_turn_as_photos_do(tmp_path, write_photo, orientation):
    """A photo that brightens in a direction brightens in the turned direction once upright."""
    ramp = np.add.outer(3 * np.arange(40), np.arange(60)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ramp).save(tmp_path / "a.png", exif=exif)
    for seed in range(2):
        write_photo(tmp_path / f"{seed}.png", seed)
    photo = next(p for p in load_capture(tmp_path).photos if p.name == "a.png")
    seen = np.asarray(open_upright(photo), dtype=float)[..., 0]
    down, right = (np.mean(np.diff(seen, axis=axis)) for axis in (0, 1))
    assert turned((1.0, 3.0, 7.0), orientation) == pytest.approx((right, down, 7.0), abs=0.01)


def test_photos_carry_it(tmp_path, write_photo):
    for index in range(3):
        exif = Image.Exif()
        exif[0x0112] = 6
        exif.get_ifd(0x8769)[0x927C] = note(READINGS[0][0])
        exif.get_ifd(0x8769)[0xA434] = "front camera" if index == 2 else "back camera"
        write_photo(tmp_path / f"{index}.jpg", index, exif=exif)
    ups = [photo.up for photo in load_capture(tmp_path).photos]
    assert ups[0] == pytest.approx(READINGS[0][2], abs=0.02)
    assert ups[1] == ups[0]
    assert ups[2] is None


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "Apple iOS",
        b"Apple iOS\0",
        b"Nikon\0" + b"x" * 100,
        note((0.0, -1.0, 0.0))[:-1],
        note((0.0, 0.0, 0.0)),
        note((0.0, -1.5, 0.0)),  # was shaken
        note((0.0, -1.0, 0.0)).replace(struct.pack(">i", 10_000), struct.pack(">i", 0)),
        note((0.0, -1.0, 0.0)).replace(b"\0\x08\0\x0a", b"\0\x08\0\x05"),
        note((0.0, -1.0, 0.0)).replace(b"MM", b"XX"),
        note((0.0, -1.0, 0.0), other=300),
    ],
)
def test_what_is_no_such_note_tells_nothing(bad):
    assert up_of_apple(bad, "") is None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 79), st.integers(0, 255)), max_size=6),
    st.one_of(st.none(), st.integers(0, 80)),
)
def test_mangled_notes_give_a_direction_or_none(changes, cut):
    data = bytearray(note((0.0, -1.0, 0.0)))
    for at, value in changes:
        data[min(at, len(data) - 1)] = value
    found = up_of_apple(bytes(data[:cut]), "")
    assert found is None or np.linalg.norm(found) == pytest.approx(1.0)


def phones(count: int, roll: float = 0.0) -> tuple[dict[str, PosedLens], np.ndarray]:
    """Cameras in a tilted world that all look one way, rolled by an angle; and what is up there."""
    world = rotation_from_quat([0.9, 0.3, -0.2, 0.1])
    turn = np.eye(4)
    turn[:3, :3] = world.T
    lens = Lens(60, 40, 50.0, 50.0, 30.0, 20.0)
    cosine, sine = np.cos(roll), np.sin(roll)
    rolled = np.eye(4)
    rolled[:2, :2] = [[cosine, -sine], [sine, cosine]]
    poses = [look_at((0.3 * i, -4.0, 0.1 * i), (0.3 * i, 0, 0), (0, 0, 1)) for i in range(count)]
    cameras = {
        f"{i:02d}.jpg": PosedLens(lens, rolled @ pose @ turn) for i, pose in enumerate(poses)
    }
    return cameras, world[:, 2]


def readings(cameras: dict[str, PosedLens], up: np.ndarray, noise: float = 0.0):
    rng = np.random.default_rng(2)
    out = {}
    for name, posed in cameras.items():
        seen = posed.cam_from_world[:3, :3] @ up + rng.normal(0, noise, 3)
        out[name] = tuple((seen / np.linalg.norm(seen)).tolist())
    return out


def test_gravity_levels_a_model_that_rolled_cameras_would_tilt():
    cameras, up = phones(9, roll=0.5)
    poses = np.stack([posed.cam_from_world for posed in cameras.values()])
    found = up_from_gravity(cameras, readings(cameras, up, noise=0.02))
    assert found is not None
    assert np.degrees(np.arccos(np.dot(found, up))) < 1.5
    leaning = normalise(poses).rotation @ up
    level = normalise(poses, found).rotation @ up
    assert np.degrees(np.arccos(leaning[2])) > 20
    assert np.degrees(np.arccos(level[2])) < 1.5


def test_a_few_wrong_readings_do_not_matter_but_disagreement_does():
    cameras, up = phones(9)
    good = readings(cameras, up, noise=0.01)
    wrong = dict.fromkeys(list(good)[:2], (1.0, 0.0, 0.0))
    found = up_from_gravity(cameras, good | wrong)
    assert found is not None
    assert np.degrees(np.arccos(np.dot(found, up))) < 2
    assert up_from_gravity(cameras, readings(cameras, up, noise=0.5)) is None


def test_it_takes_half_of_the_photos_to_know():
    cameras, up = phones(9)
    good = readings(cameras, up)
    assert up_from_gravity(cameras, dict(list(good.items())[:4])) is None
    assert up_from_gravity(cameras, dict(list(good.items())[:5])) is not None
    few = dict(list(cameras.items())[:2])
    assert up_from_gravity(few, good) is None
