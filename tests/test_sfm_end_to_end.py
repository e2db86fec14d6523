"""Photos to a posed scene, with pycolmap, on a synthetic capture with known cameras."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sfm_room import FOCAL, HEIGHT, WIDTH, Room, alignment_errors, make_room

from recon.capture import load_capture
from recon.errors import SfmError
from recon.formats.colmap import read_model
from recon.scene import PosedScene
from recon.sfm import SfmCancelled, SfmOptions, load_report, load_scene, pose_capture

pytest.importorskip("pycolmap")

OPTIONS = SfmOptions(quality="draft", long_side=200, threads=2)


@dataclass(frozen=True)
class Posed:
    """The room with one photo of something else, posed once for several tests."""

    room: Room
    scene: PosedScene
    work: Path
    stages: list[str]


@pytest.fixture(scope="module")
def posed(tmp_path_factory) -> Posed:
    folder = tmp_path_factory.mktemp("room")
    room = make_room(folder / "scene")
    stranger = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(stranger).save(room.folder / "images" / "stranger.png")
    stages: list[str] = []
    scene = pose_capture(
        load_capture(room.folder), folder / "work", OPTIONS, lambda e: stages.append(e.stage)
    )
    return Posed(room, scene, folder / "work", stages)


def test_cameras_are_accurate(posed):
    estimated = {view.name: view.camera.cam_from_world for view in posed.scene.views}
    assert set(estimated) == set(posed.room.poses)
    rotation, position = alignment_errors(estimated, posed.room.poses)
    assert np.median(rotation) < 0.1
    assert np.median(position) < 0.005
    focal = np.mean([view.camera.fx for view in posed.scene.views])
    assert focal == pytest.approx(FOCAL / 2, rel=0.02)


def test_the_stranger_is_named_with_a_reason(posed):
    ((name, reason),) = posed.scene.failed
    assert name == "stranger.png"
    assert "overlap" in reason or "detail" in reason


def test_the_scene_is_complete(posed):
    assert [view.split for view in posed.scene.views].count("test") == 2
    for view in posed.scene.views:
        assert Image.open(view.image_path).size == (view.camera.width, view.camera.height)
        assert max(view.camera.width, view.camera.height) == 200
    assert len(posed.scene.points) > 300
    distance = [np.linalg.norm(view.camera.centre) for view in posed.scene.views]
    assert np.percentile(distance, 95) == pytest.approx(1.0, rel=1e-6)
    back = load_scene(posed.work)
    assert [view.name for view in back.views] == [view.name for view in posed.scene.views]


def test_points_lie_where_their_colours_are(posed):
    view = posed.scene.views[5]
    camera = view.camera
    pixels = np.asarray(Image.open(view.image_path)).astype(int)
    xyz = posed.scene.points.xyz @ camera.cam_from_world[:3, :3].T + camera.cam_from_world[:3, 3]
    uv = xyz[:, :2] / xyz[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    inside = (xyz[:, 2] > 0) & np.all((uv > 2) & (uv < (camera.width - 2, camera.height - 2)), 1)
    x, y = uv[inside].astype(int).T
    there = np.abs(pixels[y, x] - posed.scene.points.rgb[inside]).mean()
    elsewhere = np.abs(pixels[y, x] - posed.scene.points.rgb[inside][::-1]).mean()
    assert inside.sum() > 100
    assert there < 0.6 * elsewhere


def test_the_report_tells_how_it_went(posed):
    report = load_report(posed.work)
    assert (report.pose_source, report.photos, report.registered) == ("sfm", 13, 12)
    assert report.reprojection_error is not None
    assert report.reprojection_error < 1.5
    assert {stage.stage for stage in report.stages} >= {"features", "matching", "mapping"}
    assert all(stage.wall_seconds >= 0 for stage in report.stages)


def test_stages_come_in_order(posed):
    order = list(dict.fromkeys(posed.stages))
    assert order[0] == "photos"
    assert order.index("features") < order.index("matching") < order.index("mapping")
    assert order[-1] == "undistort"


def test_the_colmap_model_speaks_of_the_photos_themselves(posed):
    model = read_model(posed.work / "sfm")
    assert set(model.images) == set(posed.room.poses)
    lens = model.images["000.png"].lens
    assert (lens.width, lens.height) == (WIDTH, HEIGHT)
    assert lens.fx == pytest.approx(FOCAL, rel=0.02)
    # Normalised space is that model's world, moved.
    norm = posed.scene.norm_from_world
    moved = norm.move_camera(model.images["000.png"].cam_from_world)
    assert np.allclose(moved, posed.scene.views[0].camera.cam_from_world, atol=1e-9)


def test_the_same_again_does_nothing(posed):
    def fail(event):
        pytest.fail(f"{event} was done again")

    again = pose_capture(load_capture(posed.room.folder), posed.work, OPTIONS, fail)
    assert np.array_equal(again.points.xyz, posed.scene.points.xyz)


def test_another_size_only_undistorts_anew(posed, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(posed.work, work)
    stages: set[str] = set()
    other = SfmOptions(quality="draft", long_side=100, threads=2)
    scene = pose_capture(
        load_capture(posed.room.folder), work, other, lambda event: stages.add(event.stage)
    )
    assert stages == {"undistort"}
    assert scene.views[0].camera.width == 100
    assert np.array_equal(scene.points.xyz, posed.scene.points.xyz)


def test_given_poses_are_kept_and_points_triangulated(posed, tmp_path):
    scene_folder = tmp_path / "scene"
    shutil.copytree(posed.room.folder, scene_folder)
    frames = []
    for name, pose in posed.room.poses.items():
        world_from_cam = np.linalg.inv(pose)
        world_from_cam[:, 1:3] *= -1
        frames.append({"file_path": f"images/{name}", "transform_matrix": world_from_cam.tolist()})
    data = {"fl_x": FOCAL, "fl_y": FOCAL, "w": WIDTH, "h": HEIGHT, "frames": frames}
    (scene_folder / "transforms.json").write_text(json.dumps(data))
    scene = pose_capture(load_capture(scene_folder), tmp_path / "work", OPTIONS)
    norm = scene.norm_from_world
    for view in scene.views:
        expected = norm.move_camera(posed.room.poses[view.name])
        assert np.allclose(view.camera.cam_from_world, expected, atol=1e-9)
    assert scene.failed == (("stranger.png", "has no pose in transforms.json"),)
    # The world's +Z stays up, and the points lie on the room's three planes.
    assert np.allclose(norm.rotation @ (0, 0, 1), (0, 0, 1), atol=1e-9)
    points = norm.inverse().apply(scene.points.xyz)
    assert len(points) > 500
    off = np.abs(points).min(axis=1)
    assert np.median(off) < 0.02
    assert load_report(tmp_path / "work").pose_source == "transforms"


def test_stopping_keeps_what_is_done(posed, tmp_path):
    stop = False

    def progress(event):
        nonlocal stop
        stop = stop or event.stage == "matching"

    folder, work = tmp_path / "scene", tmp_path / "work"
    shutil.copytree(posed.room.folder, folder)
    (folder / "images" / "stranger.png").unlink()
    capture = load_capture(folder)
    with pytest.raises(SfmCancelled):
        pose_capture(capture, work, OPTIONS, progress, lambda: stop)
    assert not (work / "scene.json").exists()
    features: list[tuple[int, int]] = []

    def count(event):
        if event.stage == "features":
            features.append((event.done, event.total))

    scene = pose_capture(capture, work, OPTIONS, count)
    assert len(scene.views) == 12
    assert features == []


def test_photos_of_nothing_in_common_give_a_clear_error(tmp_path):
    (tmp_path / "images").mkdir()
    for index in range(4):
        make_blobs(seed=index).save(tmp_path / "images" / f"{index}.png")
    with pytest.raises(SfmError, match="overlap") as caught:
        pose_capture(load_capture(tmp_path), tmp_path / "work", OPTIONS)
    assert caught.value.remedy


def test_blank_photos_give_a_clear_error(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(4):
        Image.new("RGB", (WIDTH, HEIGHT), (50 + index,) * 3).save(folder / f"{index}.png")
    with pytest.raises(SfmError, match="detail"):
        pose_capture(load_capture(tmp_path), tmp_path / "work", OPTIONS)


def make_blobs(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
