"""Raw files of cameras."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_files import write_dng

from recon.capture import load_capture, raw, scan
from recon.errors import CaptureError
from recon.sfm.photos import open_upright

pytest.importorskip("rawpy", reason="pip install 'recon-3d[raw]'")

WIDTH, HEIGHT = 320, 240
SIDE = 40


def scenery(seed: int = 0) -> np.ndarray:
    """Linear (H, W, 3): red grows to the right, green downwards, blue is even with a blob."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    rng = np.random.default_rng(seed)
    spot = np.exp(-((x - rng.uniform(0, WIDTH)) ** 2 + (y - rng.uniform(0, HEIGHT)) ** 2) / 800)
    return np.stack([x / WIDTH, y / HEIGHT, 0.2 + 0.6 * spot], axis=-1)


@pytest.fixture
def scene(tmp_path):
    for index in range(4):
        write_dng(tmp_path / f"{index}.DNG", scenery(index), focal_35mm=36)
    return tmp_path


def expected(linear: np.ndarray) -> np.ndarray:
    """8-bit values by the curve of BT.709, which LibRaw applies."""
    bent = np.where(linear < 0.018, 4.5 * linear, 1.099 * linear**0.45 - 0.099)
    return 255.0 * bent


def test_raw_photos_are_developed_as_they_were_exposed(scene):
    capture = load_capture(scene)
    assert [photo.name for photo in capture.photos] == [f"{i}.DNG" for i in range(4)]
    assert not capture.skipped
    photo = capture.photos[2]
    assert (photo.width, photo.height, photo.orientation) == (WIDTH, HEIGHT, 1)
    assert photo.camera == "MAKER Model R"
    # 36 mm of the diagonal of a 36 x 24 mm frame.
    assert photo.focal == pytest.approx(36 / np.hypot(36, 24) * np.hypot(WIDTH, HEIGHT))
    full = np.asarray(open_upright(photo), dtype=float)
    assert full.shape == (HEIGHT, WIDTH, 3)
    error = np.abs(full - expected(scenery(2)))[8:-8, 8:-8]
    assert np.median(error) < 2
    assert error.mean() < 4
    half = open_upright(photo, at_least=(WIDTH // 2, HEIGHT // 2))
    assert half.size == (WIDTH // 2, HEIGHT // 2)
    assert open_upright(photo, at_least=(WIDTH // 2 + 1, 10)).size == (WIDTH, HEIGHT)
    small = np.asarray(half, dtype=float)
    assert np.abs(small - full.reshape(120, 2, 160, 2, 3).mean(axis=(1, 3))).mean() < 6


@pytest.mark.parametrize(
    ("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))]
)
def test_raw_photos_are_turned_upright_once(scene, orientation, corner):
    """The corner without red and green comes to lie where EXIF wants it."""
    write_dng(scene / "2.DNG", scenery(2), orientation=orientation)
    photo = next(p for p in load_capture(scene).photos if p.name == "2.DNG")
    sides = (WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, WIDTH)
    assert (photo.width, photo.height, photo.orientation) == (*sides, 1)
    for pixels in (open_upright(photo), open_upright(photo, at_least=(50, 50))):
        dim = np.asarray(pixels, dtype=float)[..., :2].sum(axis=-1)
        assert dim[corner] < dim.max() / 4
        assert dim[-1 - corner[0], -1 - corner[1]] > 0.9 * dim.max()


def test_a_raw_file_beside_its_developed_photo_is_left_out(scene, write_photo):
    write_photo(scene / "2.jpg", 2)
    capture = load_capture(scene)
    assert [photo.name for photo in capture.photos] == ["0.DNG", "1.DNG", "2.jpg", "3.DNG"]
    (skipped,) = capture.skipped
    assert (skipped.name, skipped.copy) == ("2.DNG", True)
    assert "2.jpg" in skipped.reason


def test_without_the_extra_its_name_is_told(scene, monkeypatch, write_photo):
    monkeypatch.setattr(scan, "can_read_raw", lambda: False)
    with pytest.raises(CaptureError, match=r"4 of the 4 photos .*0\.DNG") as caught:
        load_capture(scene)
    assert "recon-3d[raw]" in caught.value.remedy
    for seed in range(3):
        write_photo(scene / f"{seed}.jpg", seed)
    capture = load_capture(scene)
    assert len(capture.photos) == 3
    assert {s.name: s.reason for s in capture.skipped if not s.copy} == {"3.DNG": raw.GET_RAW}


def test_oversized_raw_files_are_refused_before_they_are_decoded(scene, monkeypatch):
    monkeypatch.setattr(raw, "MAX_RAW_PIXELS", 60_000)
    monkeypatch.setattr(raw, "_developed", None)
    with pytest.raises(CaptureError, match="megapixels"):
        load_capture(scene)


def test_a_header_that_claims_too_much_is_refused(scene):
    data = bytearray((scene / "0.DNG").read_bytes())
    for old, new in ((WIDTH, 60_000), (HEIGHT, 60_000)):
        at = data.rindex(old.to_bytes(4, "little"))
        data[at : at + 4] = new.to_bytes(4, "little")
    (scene / "0.DNG").write_bytes(data)
    capture = load_capture(scene)
    assert [item.name for item in capture.skipped] == ["0.DNG"]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_mangled_raw_files_are_skipped_with_words(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("mangled")
    for index in range(4):
        noise = np.random.default_rng(index).random((SIDE, SIDE, 3))
        write_dng(folder / f"{index}.DNG", noise, focal_35mm=36)
    path = folder / "0.DNG"
    content = bytearray(path.read_bytes())
    # The directories lie behind the pixels.
    head = [*range(8), *range(8 + 2 * SIDE * SIDE, len(content))]
    for at, value in data.draw(
        st.lists(st.tuples(st.sampled_from(head), st.integers(0, 255)), min_size=1, max_size=6)
    ):
        content[at] = value
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    path.write_bytes(content[:cut])
    capture = load_capture(folder)
    assert {"1.DNG", "2.DNG", "3.DNG"} <= {photo.name for photo in capture.photos}
    for item in capture.skipped:
        assert item.reason
        assert os.linesep not in item.reason
