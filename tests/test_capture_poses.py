"""Poses that come with photos: every format ends in the same cameras."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.capture import load_capture
from recon.errors import CaptureError, FormatError
from recon.formats.colmap import ColmapModel, write_model
from recon.formats.lens import Lens, PosedLens, WorldPoints
from recon.geometry import look_at

COUNT, WIDTH, HEIGHT, FOCAL = 9, 64, 48, 60.0
NAMES = [f"{index:02d}.jpg" for index in range(COUNT)]


def pose(index: int) -> np.ndarray:
    """`cam_from_world` on a ring, looking at the origin, +Z up."""
    angle = 2 * math.pi * index / COUNT
    return look_at((4 * math.cos(angle), 4 * math.sin(angle), 1.5), (0, 0, 0), (0, 0, 1))


def opengl(index: int) -> list[list[float]]:
    """The same as camera-to-world with OpenGL axes."""
    world_from_cam = np.linalg.inv(pose(index))
    world_from_cam[:, 1:3] *= -1
    return world_from_cam.tolist()


@pytest.fixture
def scene(tmp_path, write_photo) -> Path:
    for index, name in enumerate(NAMES):
        write_photo(tmp_path / "images" / name, index, size=(WIDTH, HEIGHT))
    return tmp_path


def check(capture, focal=FOCAL, names=NAMES) -> None:
    assert sorted(capture.given.cameras) == sorted(names)
    for name, posed in capture.given.cameras.items():
        index = int(name.split("/")[-1].split(".")[0])
        assert np.allclose(posed.cam_from_world, pose(index), atol=1e-6)
        assert (posed.lens.width, posed.lens.height) == (WIDTH, HEIGHT)
        assert posed.lens.fx == pytest.approx(focal, rel=1e-6)


def write_transforms(path: Path, *, names=NAMES, folder="images/", **more) -> None:
    frames = [
        {"file_path": f"{folder}{name}", "transform_matrix": opengl(index)}
        for index, name in enumerate(names)
    ]
    path.write_text(json.dumps({"frames": frames, **more}))


INTRINSICS = {"fl_x": FOCAL, "fl_y": FOCAL, "cx": 31.0, "cy": 25.0, "w": WIDTH, "h": HEIGHT}


def test_transforms_json(scene):
    write_transforms(scene / "transforms.json", **INTRINSICS, k1=0.1, k2=-0.02, p1=1e-3, p2=2e-3)
    capture = load_capture(scene)
    check(capture)
    lens = capture.given.cameras["00.jpg"].lens
    assert (lens.cx, lens.cy, lens.k[:2], lens.p) == (31.0, 25.0, (0.1, -0.02), (1e-3, 2e-3))
    assert capture.given.kind == "transforms"
    assert capture.given.world_up == (0.0, 0.0, 1.0)


def test_missing_frames_are_skipped_with_a_count(scene):
    (scene / "images" / "03.jpg").unlink()
    (scene / "images" / "04.jpg").unlink()
    write_transforms(scene / "transforms.json", **INTRINSICS)
    capture = load_capture(scene)
    assert len(capture.given.cameras) == COUNT - 2
    assert any("2 photos that are not there" in notice for notice in capture.notices)


def test_photos_without_a_pose_are_counted(scene, write_photo):
    write_photo(scene / "images" / "99.jpg", 99, size=(WIDTH, HEIGHT))
    write_transforms(scene / "transforms.json", **INTRINSICS)
    capture = load_capture(scene)
    check(capture)
    assert any("1 photos have no pose" in notice for notice in capture.notices)


def test_intrinsics_follow_the_photos_real_size(scene):
    doubled = {key: 2 * value for key, value in INTRINSICS.items()}
    write_transforms(scene / "transforms.json", **doubled)
    check(load_capture(scene))


def test_the_files_own_split_is_used(scene):
    held_out = [f"images/{NAMES[2]}", f"images/{NAMES[5]}"]
    write_transforms(scene / "transforms.json", **INTRINSICS, test_filenames=held_out)
    capture = load_capture(scene)
    assert {n for n, side in capture.split.items() if side == "test"} == {NAMES[2], NAMES[5]}
    assert "transforms.json" in capture.split_source


def test_a_split_that_leaves_nothing_to_train_on_is_not_used(scene):
    everything = [f"images/{name}" for name in NAMES]
    write_transforms(scene / "transforms.json", **INTRINSICS, test_filenames=everything)
    assert "every 8th" in load_capture(scene).split_source


def test_blender_scenes(tmp_path, write_photo):
    angle = 2 * math.atan(0.5 * WIDTH / FOCAL)
    for part, indices in (("train", range(6)), ("test", range(6, COUNT))):
        names = [f"{index:02d}" for index in indices]
        for index, name in zip(indices, names, strict=True):
            write_photo(tmp_path / part / f"{name}.png", index, (WIDTH, HEIGHT), "RGBA")
        frames = [
            {"file_path": f"./{part}/{name}", "transform_matrix": opengl(int(name))}
            for name in names
        ]
        data = {"camera_angle_x": angle, "frames": frames}
        (tmp_path / f"transforms_{part}.json").write_text(json.dumps(data))
    capture = load_capture(tmp_path)
    names = [f"train/{i:02d}.png" for i in range(6)] + [f"test/{i:02d}.png" for i in range(6, 9)]
    check(capture, names=names)
    assert capture.background == (1.0, 1.0, 1.0)
    held_out = {name for name, side in capture.split.items() if side == "test"}
    assert held_out == {f"test/{i:02d}.png" for i in range(6, COUNT)}


def llff_row(index: int, scale: float = 1.0) -> list[float]:
    world_from_cam = np.linalg.inv(pose(index))
    right, down, forward = world_from_cam[:3, :3].T
    size = np.array([HEIGHT, WIDTH, FOCAL]) * scale
    block = np.column_stack([down, right, -forward, world_from_cam[:3, 3], size])
    return [*block.reshape(-1).tolist(), 1.0, 10.0]


def test_llff_prefers_images_4_and_scales_the_focal_length(tmp_path, write_photo):
    for index in range(COUNT):
        write_photo(tmp_path / "images_4" / NAMES[index], index, size=(WIDTH, HEIGHT))
        write_photo(tmp_path / "images" / NAMES[index], index, size=(4 * WIDTH, 4 * HEIGHT))
    np.save(tmp_path / "poses_bounds.npy", [llff_row(i, scale=4.0) for i in range(COUNT)])
    capture = load_capture(tmp_path)
    check(capture)
    assert capture.image_dir.name == "images_4"


def test_llff_refuses_another_number_of_photos(scene):
    np.save(scene / "poses_bounds.npy", [llff_row(i) for i in range(COUNT - 1)])
    with pytest.raises(FormatError, match="8 poses for 9"):
        load_capture(scene)


@pytest.mark.parametrize("folder", ["sparse/0", "sparse", "colmap/sparse/0"])
def test_colmap_models(scene, folder):
    lens = Lens(WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, k=(0.1, 0, 0, 0, 0, 0))
    cameras = {name: PosedLens(lens, pose(i)) for i, name in enumerate(NAMES)}
    points = WorldPoints(np.eye(3), np.full((3, 3), 7, np.uint8))
    write_model(scene / folder, ColmapModel(cameras, points))
    capture = load_capture(scene)
    check(capture)
    assert capture.given.points is not None
    assert np.array_equal(capture.given.points.xyz, np.eye(3))


def test_colmap_names_may_lead_through_other_folders(scene):
    lens = Lens(WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2)
    cameras = {f"some/where/{name}": PosedLens(lens, pose(i)) for i, name in enumerate(NAMES)}
    write_model(scene / "sparse", ColmapModel(cameras))
    check(load_capture(scene))


def test_poses_of_photos_as_stored_switch_the_exif_rotation_off(tmp_path, write_photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    for index, name in enumerate(NAMES):
        write_photo(tmp_path / "images" / name, index, size=(WIDTH, HEIGHT), exif=exif)
    assert load_capture(tmp_path).photos[0].width == HEIGHT
    write_transforms(tmp_path / "transforms.json", **INTRINSICS)
    capture = load_capture(tmp_path)
    check(capture)
    assert (capture.photos[0].width, capture.photos[0].orientation) == (WIDTH, 1)


def test_poses_for_photos_of_another_shape_are_refused(scene):
    write_transforms(scene / "transforms.json", **{**INTRINSICS, "w": 640, "h": 640})
    with pytest.raises(FormatError, match="640x640"):
        load_capture(scene)


def test_broken_pose_files_are_refused_but_can_be_ignored(scene):
    (scene / "transforms.json").write_text("{")
    with pytest.raises(FormatError):
        load_capture(scene)
    assert load_capture(scene, ignore_poses=True).given is None


def test_too_few_poses_are_refused(scene):
    write_transforms(scene / "transforms.json", names=NAMES[:2], **INTRINSICS)
    with pytest.raises(FormatError, match="2 of the 9"):
        load_capture(scene)


def test_which_poses_are_used(scene):
    bare = load_capture(scene)
    assert bare.poses_for("auto") is None
    with pytest.raises(CaptureError):
        bare.poses_for("given")
    write_transforms(scene / "transforms.json", **INTRINSICS)
    posed = load_capture(scene)
    assert posed.poses_for("auto") is posed.poses_for("given") is posed.given
    assert posed.poses_for("sfm") is None


@pytest.mark.parametrize(
    ("name", "photos", "held_out", "kind"),
    [
        ("fox", 50, 7, "transforms"),
        ("lego", 125, 25, "blender"),
        ("fern", 20, 3, "llff"),
        ("banana", 16, 2, None),
    ],
)
def test_public_captures(shared_scene, name, photos, held_out, kind):
    capture = load_capture(shared_scene(name))
    assert len(capture.photos) == photos
    assert sum(side == "test" for side in capture.split.values()) == held_out
    assert (None if capture.given is None else capture.given.kind) == kind
    if kind is not None:
        assert len(capture.given.cameras) == photos
