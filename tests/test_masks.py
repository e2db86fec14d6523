"""Masks: found, checked, and kept out of matching, training and measuring."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sfm_room import WIDTH, make_room

from recon.capture import load_capture
from recon.evaluate import evaluate
from recon.formats.lens import Lens
from recon.model import RenderOptions, RenderOutput
from recon.sfm import SfmOptions, pose_capture
from recon.sfm.photos import open_mask
from recon.sfm.undistort import plan, undistort


@pytest.fixture
def scene(tmp_path, write_photo) -> Path:
    for index in range(5):
        write_photo(tmp_path / "images" / "left" / f"{index}.jpg", index)
    return tmp_path


def half(path: Path, size=(64, 48)) -> None:
    """Black on the left half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0]), 255, np.uint8)
    pixels[:, : size[0] // 2] = 0
    Image.fromarray(pixels).save(path)


def masked(scene: Path) -> dict[str, str]:
    found = {p.name: p.mask for p in load_capture(scene).photos}
    return {name: mask.path.name for name, mask in found.items() if mask is not None}


def test_masks_are_found_by_either_name_and_from_either_folder(scene):
    half(scene / "masks" / "left" / "0.png")
    half(scene / "masks" / "left" / "1.jpg.png")
    half(scene / "images" / "masks" / "left" / "2.png", size=(32, 24))
    assert masked(scene) == {
        "left/0.jpg": "0.png",
        "left/1.jpg": "1.jpg.png",
        "left/2.jpg": "2.png",
    }
    assert "3 of 5 photos have masks" in load_capture(scene).notices[0]


def test_masks_of_another_shape_or_outside_or_broken_are_told_and_not_used(scene, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "m.png"
    half(outside)
    half(scene / "masks" / "left" / "0.png", size=(64, 64))
    (scene / "masks" / "left" / "1.png").write_bytes(b"broken")
    (scene / "masks" / "left" / "2.png").symlink_to(outside)
    assert masked(scene) == {}
    notices = " ".join(load_capture(scene).notices)
    assert "left/0.jpg is not used: it is 64x64" in notices
    assert "left/1.jpg is not used: it cannot be decoded" in notices


def test_transforms_name_masks(scene):
    half(scene / "m" / "a.png")
    eye = np.eye(4).tolist()
    frames = [{"file_path": f"images/left/{i}.jpg", "transform_matrix": eye} for i in range(5)]
    frames[3]["mask_path"] = "m/a.png"
    frames[4]["mask_path"] = "m/absent.png"
    (scene / "transforms.json").write_text(json.dumps({"fl_x": 60, "frames": frames}))
    assert masked(scene) == {"left/3.jpg": "a.png"}
    frames[4]["mask_path"] = "../a.png"
    (scene / "transforms.json").write_text(json.dumps({"fl_x": 60, "frames": frames}))
    with pytest.raises(Exception, match="leads out"):
        load_capture(scene)


def test_a_mask_of_the_stored_pixels_is_turned_with_its_photo(tmp_path, write_photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    for index in range(3):
        write_photo(tmp_path / f"{index}.jpg", index, exif=exif)
    half(tmp_path / "masks" / "0.png")
    photo = load_capture(tmp_path).photos[0]
    assert (photo.width, photo.height) == (48, 64)
    mask = np.asarray(open_mask(photo))
    assert mask.shape == (64, 48)
    # Turned clockwise the left half is the upper one.
    assert (mask[:32] == 0).all()
    assert (mask[32:] == 255).all()


@pytest.mark.parametrize("k1", [0.0, -0.2])
def test_masks_are_undistorted_like_their_photos(tmp_path, k1):
    pixels = np.zeros((480, 640, 3), np.uint8)
    pixels[100:300, 200:500] = 255
    for index in range(3):
        noisy = pixels.copy()
        noisy[400:, 200 * index : 200 * index + 200] = 90
        Image.fromarray(noisy).save(tmp_path / f"{index}.png")
        Image.fromarray(pixels[..., 0]).resize((320, 240)).save(
            _made(tmp_path / "masks" / f"{index}.png")
        )
    photo = load_capture(tmp_path).photos[0]
    lens = Lens(640, 480, 500, 500, 320, 240, k=(k1, 0, 0, 0, 0, 0))
    job = plan(photo, lens, np.eye(4), 320, tmp_path / "out" / "images", tmp_path / "out" / "masks")
    undistort(job)
    image = np.asarray(Image.open(job.path))[..., 0]
    mask = np.asarray(Image.open(job.mask_path))
    assert set(np.unique(mask)) == {0, 255}
    # Inside but for its border: where the mask says that pixels count, the photo is white.
    assert image[mask == 255].mean() > 253
    assert 0.93 < (mask == 255).sum() / (image > 128).sum() <= 1.0


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


class Grey:
    """A model that renders grey, and whatever it is told over a part of the picture."""

    method, size = "splat", 1

    def __init__(self, truth: np.ndarray, wrong: slice) -> None:
        self.color = truth.astype(np.float32) / 255
        self.color[:, wrong] = 0.5

    def render(self, camera, options: RenderOptions) -> RenderOutput:
        return RenderOutput(self.color, np.ones(self.color.shape[:2], np.float32))


def test_masked_things_are_neither_matched_nor_measured(tmp_path):
    room = make_room(tmp_path / "scene", count=6)
    for path in sorted((room.folder / "images").iterdir()):
        mask = Image.new("L", Image.open(path).size, 255)
        mask.paste(0, (0, 0, mask.width // 4, mask.height))
        mask.save(_made(room.folder / "masks" / path.name))
    capture = load_capture(room.folder)
    scene = pose_capture(
        capture, tmp_path / "work", SfmOptions(quality="draft", long_side=200, threads=1)
    )
    assert len(scene.views) == 6
    # The database holds keypoints as rows of float32, x first.
    tables = []
    for database in (tmp_path / "work" / "features").glob("features-*.db"):
        with contextlib.closing(sqlite3.connect(database)) as connection:
            tables += connection.execute("SELECT rows, cols, data FROM keypoints").fetchall()
    assert len(tables) >= 6
    for rows, columns, data in tables:
        x = np.frombuffer(data, np.float32).reshape(rows, columns)[:, 0]
        assert rows > 50
        assert x.min() > WIDTH / 4 - 1
    (view,) = scene.test_views
    truth = np.asarray(Image.open(view.image_path))
    left, right = slice(0, 45), slice(55, 200)
    kind = evaluate(Grey(truth, left), scene, long_side=None).views[view.name]
    assert kind.masked
    assert kind.psnr > 50
    assert evaluate(Grey(truth, right), scene, long_side=None).psnr < 20
