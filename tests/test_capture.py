"""Finding, checking and splitting photos."""

from __future__ import annotations

import os

import pytest
from PIL import Image

from recon.capture import load_capture, scan
from recon.capture.split import every_eighth
from recon.errors import CaptureError
from recon.sfm.photos import open_upright


@pytest.fixture
def scene(tmp_path, write_photo):
    """A folder with `images/00.jpg` ... `images/09.jpg`."""
    for index in range(10):
        write_photo(tmp_path / "images" / f"{index:02d}.jpg", index)
    return tmp_path


def names(capture) -> list[str]:
    return [photo.name for photo in capture.photos]


def test_photos_are_sorted_and_every_eighth_is_held_out(scene):
    capture = load_capture(scene)
    assert names(capture) == [f"{index:02d}.jpg" for index in range(10)]
    assert [n for n, side in capture.split.items() if side == "test"] == ["00.jpg", "08.jpg"]
    assert (capture.photos[0].width, capture.photos[0].height) == (64, 48)
    assert capture.given is None
    assert capture.background is None
    assert not capture.skipped


def test_photos_may_lie_directly_in_the_folder(tmp_path, write_photo):
    for index, ending in enumerate(("jpg", "JPEG", "png", "webp", "tif")):
        write_photo(tmp_path / f"{index}.{ending}", index)
    (tmp_path / "notes.txt").write_text("not a photo")
    assert len(load_capture(tmp_path).photos) == 5


def test_heic_photos_are_read(tmp_path, write_photo):
    heif = pytest.importorskip("pillow_heif", reason="pip install 'recon-3d[heic]'")
    heif.register_heif_opener()
    for index in range(3):
        write_photo(tmp_path / f"{index}.heic", index)
    capture = load_capture(tmp_path)
    assert [photo.name for photo in capture.photos] == ["0.heic", "1.heic", "2.heic"]
    assert open_upright(capture.photos[1], at_least=(8, 8)).size == (64, 48)


def test_nested_folders_keep_their_path_in_the_name(scene, write_photo):
    write_photo(scene / "images" / "left" / "a.jpg", 50)
    write_photo(scene / "images" / "right" / "a.jpg", 51)
    assert {"left/a.jpg", "right/a.jpg"} <= set(names(load_capture(scene)))


def test_output_hidden_files_and_what_lies_outside_are_ignored(tmp_path, write_photo):
    scene = tmp_path / "scene"
    for index in range(4):
        write_photo(scene / f"{index}.jpg", index)
    write_photo(scene / "recon" / "render.png", 10)
    write_photo(scene / ".hidden.jpg", 11)
    write_photo(scene / ".thumbnails" / "t.jpg", 12)
    write_photo(tmp_path / "outside" / "o.jpg", 13)
    (scene / "link.jpg").symlink_to(tmp_path / "outside" / "o.jpg")
    (scene / "linked").symlink_to(tmp_path / "outside")
    (scene / "cycle").symlink_to(scene)
    (scene / "dangling.jpg").symlink_to(scene / "nothing.jpg")
    assert names(load_capture(scene)) == [f"{index}.jpg" for index in range(4)]


def test_broken_photos_are_skipped_by_name(scene):
    images = scene / "images"
    data = (images / "03.jpg").read_bytes()
    (images / "03.jpg").write_bytes(data[: len(data) // 2])
    (images / "04.jpg").write_bytes(b"")
    (images / "05.jpg").write_bytes(os.urandom(1000))
    (images / "06.png").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(100))
    capture = load_capture(scene)
    skipped = {item.name: item.reason for item in capture.skipped}
    assert set(skipped) == {"03.jpg", "04.jpg", "05.jpg", "06.png"}
    assert all("decoded" in reason for reason in skipped.values())
    assert any("03.jpg" in notice for notice in capture.notices)
    # The split is over the photos that are left.
    assert capture.split["00.jpg"] == "test"
    assert len(capture.split) == len(capture.photos) == 7


def test_exact_duplicates_are_skipped_and_say_of_what(scene):
    (scene / "images" / "99.jpg").write_bytes((scene / "images" / "02.jpg").read_bytes())
    (skipped,) = load_capture(scene).skipped
    assert skipped.name == "99.jpg"
    assert "02.jpg" in skipped.reason


def test_tiny_photos_are_skipped(scene, write_photo):
    write_photo(scene / "images" / "icon.png", 77, size=(16, 16))
    assert [item.name for item in load_capture(scene).skipped] == ["icon.png"]


def test_pixels_that_would_come_out_wrong_are_refused(scene):
    Image.new("F", (64, 48), 0.5).save(scene / "images" / "float.tif")
    Image.new("LAB", (64, 48)).save(scene / "images" / "lab.tif")
    why = {skip.name: skip.reason for skip in load_capture(scene).skipped}
    assert set(why) == {"float.tif", "lab.tif"}
    assert "8 or 16 bits" in why["float.tif"]
    assert "save it as RGB" in why["lab.tif"]


def test_a_photo_that_claims_to_be_enormous_is_skipped(scene):
    path = scene / "images" / "bomb.png"
    Image.new("L", (64, 64)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (200_000).to_bytes(4, "big") * 2
    path.write_bytes(bytes(data))
    assert [item.name for item in load_capture(scene).skipped] == ["bomb.png"]


@pytest.mark.parametrize(("orientation", "size"), [(1, (64, 48)), (3, (64, 48)), (6, (48, 64))])
def test_the_size_is_that_of_the_upright_photo(scene, write_photo, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    write_photo(scene / "images" / "turned.jpg", 42, exif=exif)
    photo = next(p for p in load_capture(scene).photos if p.name == "turned.jpg")
    assert (photo.width, photo.height) == size
    assert photo.orientation == orientation


def test_the_focal_length_comes_from_exif(scene, write_photo):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "MAKER", "Model X"
    ifd = exif.get_ifd(0x8769)
    ifd[0xA405] = 60
    write_photo(scene / "images" / "e.jpg", 42, size=(3000, 2000), exif=exif)
    photo = next(p for p in load_capture(scene).photos if p.name == "e.jpg")
    # 60 mm of a 36 mm wide frame, over 3000 pixels.
    assert photo.focal == pytest.approx(60 / 36 * 3000, rel=1e-6)
    assert photo.camera == "MAKER Model X"


@pytest.mark.parametrize("value", [0, 1, 60000])
def test_absurd_focal_lengths_are_not_believed(scene, write_photo, value):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = value
    write_photo(scene / "images" / "e.jpg", 42, exif=exif)
    photo = next(p for p in load_capture(scene).photos if p.name == "e.jpg")
    assert photo.focal is None


def test_alpha_is_composited_on_white(scene, write_photo):
    write_photo(scene / "images" / "a.png", 42, mode="RGBA")
    capture = load_capture(scene)
    assert capture.background == (1.0, 1.0, 1.0)
    assert [photo.name for photo in capture.photos if photo.has_alpha] == ["a.png"]


def test_progress_counts_every_photo(scene):
    seen: list[tuple[int, int]] = []
    load_capture(scene, lambda done, total: seen.append((done, total)))
    assert seen == [(index, 10) for index in range(1, 11)]


def test_there_must_be_such_a_folder_with_enough_photos(tmp_path, write_photo):
    with pytest.raises(CaptureError, match="no such folder"):
        load_capture(tmp_path / "nowhere")
    with pytest.raises(CaptureError, match="no photos"):
        load_capture(tmp_path)
    write_photo(tmp_path / "only.jpg", 1)
    with pytest.raises(CaptureError, match="only 1 photo") as caught:
        load_capture(tmp_path)
    assert caught.value.remedy
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(CaptureError, match=r"bad\.jpg"):
        load_capture(tmp_path)


@pytest.mark.parametrize("count", [1, 3, 8, 9, 17])
def test_at_least_one_photo_is_held_out(count):
    split = every_eighth([f"{index:03d}" for index in range(count)]).split
    assert sum(side == "test" for side in split.values()) == (count + 7) // 8


def test_a_folder_of_far_too_many_files_is_refused_soon(scene, monkeypatch):
    monkeypatch.setattr(scan, "MAX_FILES", 9)
    with pytest.raises(CaptureError, match="more than 9 photos"):
        load_capture(scene)
    monkeypatch.undo()
    for index in range(30):
        (scene / "images" / f"{index}.txt").write_text("x")
    monkeypatch.setattr(scan, "MAX_ENTRIES", 39)
    with pytest.raises(CaptureError, match="more than 39 files") as caught:
        load_capture(scene)
    assert "folder of their own" in caught.value.remedy.replace("\n", " ")
    monkeypatch.setattr(scan, "MAX_ENTRIES", 40)
    assert len(load_capture(scene).photos) == 10
