"""The parts of SfM that need no pycolmap: pairs, undistortion, normalisation, photos, hull."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recon.capture.types import Photo
from recon.errors import OptionError
from recon.formats.lens import Lens, PosedLens, WorldPoints
from recon.geometry import Sim3, look_at, rotation_from_quat
from recon.sfm import SfmOptions, normalise
from recon.sfm.fill import ray_points
from recon.sfm.hull import MaskedView, hull_points
from recon.sfm.normalise import filter_points
from recon.sfm.pairs import (
    NEIGHBOURS,
    all_pairs,
    bridging_pairs,
    choose_pairs,
    numbered,
    posed_pairs,
    sequential_pairs,
)
from recon.sfm.photos import open_upright, png_note, save_png, work_size, write_work_copy
from recon.sfm.retrieval import similar_pairs
from recon.sfm.undistort import pinhole_of, plan, undistort

# --- pairs ---


@given(st.integers(0, 80), st.integers(0, 12))
def test_sequential_pairs_are_valid_and_reach_far(count, overlap):
    pairs = sequential_pairs(count, overlap)
    assert len(set(pairs)) == len(pairs)
    assert all(0 <= i < j < count for i, j in pairs)
    if count > 1:
        assert {(i, i + 1) for i in range(count - 1)} <= set(pairs)
        assert max(j - i for i, j in pairs) >= (count - 1) // 2


def test_fox_needs_a_fifth_of_all_pairs():
    assert len(sequential_pairs(50, 2)) == 237
    assert len(all_pairs(50)) == 1225


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0001.jpg", "0002.jpg"], True),
        (["DSC_0423.JPG", "DSC_0431.JPG"], True),
        (["a/1.jpg", "b/1.jpg"], False),
        (["front.jpg", "back.jpg"], False),
        (["IMG_1.jpg", "DSC_1.jpg"], False),
    ],
)
def test_numbered_names(names, expected):
    assert numbered(names) is expected


def test_small_or_unordered_sets_are_matched_exhaustively():
    few = [f"{i:03d}.jpg" for i in range(20)]
    mixed = [f"photo{chr(97 + i)}.jpg" for i in range(24)]
    many = [f"{i:03d}.jpg" for i in range(60)]
    assert choose_pairs(few, 2) == (all_pairs(20), 0)
    assert choose_pairs(mixed, 2) == (all_pairs(24), 0)
    assert len(choose_pairs(many, 2)[0]) < len(all_pairs(60)) / 4
    sessions = [f"{day}/{i:03d}.jpg" for day in "ab" for i in range(60)]
    assert choose_pairs(sessions, 2)[1] == NEIGHBOURS


def test_bridges_join_the_lost_with_everybody():
    assert bridging_pairs(4, [1]) == [(0, 1), (1, 2), (1, 3)]


def test_posed_pairs_are_neighbours_on_a_ring():
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    centres = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    pairs = posed_pairs(centres, -centres, neighbours=4)
    assert {(i, i + 1) for i in range(39)} <= set(pairs)
    assert all(min(j - i, 40 - (j - i)) <= 3 for i, j in pairs)


# --- undistortion ---


def photo_of(path: Path, image: Image.Image, orientation: int = 1) -> Photo:
    image.save(path)
    width, height = image.size if orientation < 5 else image.size[::-1]
    has_alpha = "A" in image.getbands()
    return Photo(path.name, path, width, height, orientation, None, "", has_alpha, "0" * 64)


def invert(lens: Lens, pixels: np.ndarray) -> np.ndarray:
    """Rays (x/z, y/z) of pixels (..., 2), by fixed-point iteration."""
    focal, centre = np.array([lens.fx, lens.fy]), np.array([lens.cx, lens.cy])
    rays = (pixels - centre) / focal
    for _ in range(100):
        rays = rays + (pixels - lens.pixels_from_rays(rays)) / focal
    return rays


def pattern(rays: np.ndarray) -> np.ndarray:
    """A smooth picture (..., 3) uint8 as a function of the viewing ray."""
    x, y = rays[..., 0], rays[..., 1]
    waves = [np.sin(9 * x + 1), np.cos(8 * y), np.sin(6 * (x + y))]
    return np.clip(np.stack(waves, axis=-1) * 100 + 128, 0, 255).astype(np.uint8)


def pixel_grid(width: int, height: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)


@pytest.mark.parametrize(
    "lens",
    [
        Lens(360, 240, 300.0, 305.0, 185.0, 118.0),
        Lens(360, 240, 300.0, 305.0, 185.0, 118.0, k=(-0.25, 0.06, 0, 0, 0, 0), p=(2e-3, -1e-3)),
        Lens(360, 240, 300.0, 305.0, 185.0, 118.0, k=(0.2, 0.05, 0, 0, 0, 0)),
        Lens(360, 240, 200.0, 200.0, 180.0, 120.0, k=(0.02, -0.01, 0, 0, 0, 0), fisheye=True),
    ],
    ids=["pinhole", "barrel", "pincushion", "fisheye"],
)
@pytest.mark.parametrize("long_side", [None, 180])
def test_undistorted_images_show_what_a_pinhole_would_see(tmp_path, lens, long_side):
    if lens.distorted:
        pixels = pattern(invert(lens, pixel_grid(360, 240)))
    else:
        pixels = pattern((pixel_grid(360, 240) - (lens.cx, lens.cy)) / (lens.fx, lens.fy))
    photo = photo_of(tmp_path / "p.png", Image.fromarray(pixels))
    job = plan(photo, lens, np.eye(4), long_side, tmp_path / "out")
    undistort(job)
    camera = job.camera
    assert (camera.width, camera.height) == ((360, 240) if long_side is None else (180, 120))
    rays = (pixel_grid(camera.width, camera.height) - (camera.cx, camera.cy)) / (
        camera.fx,
        camera.fy,
    )
    got = np.asarray(Image.open(job.path)).astype(float)
    error = np.abs(got - pattern(rays))
    assert error.mean() < 1.0
    # Also at the border: nothing black, nothing smeared.
    assert error.max() < 12.0


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-0.3, 0.3),
    st.floats(-0.1, 0.1),
    st.floats(-5e-3, 5e-3),
    st.floats(0.4, 0.6),
    st.booleans(),
)
def test_every_pixel_of_the_pinhole_has_a_source_and_none_is_wasted(k1, k2, p1, cx, fisheye):
    lens = Lens(
        640,
        480,
        600.0,
        600.0,
        640 * cx,
        240.0,
        (k1, k2, 0, 0, 0, 0),
        (0.0 if fisheye else p1, 0.0),
        fisheye,
    )
    hole = pinhole_of(lens)
    assert (hole.width, hole.height, hole.cx, hole.cy) == (640, 480, lens.cx, lens.cy)
    corners = np.stack(np.meshgrid(np.linspace(0, 640, 41), np.linspace(0, 480, 31)), axis=-1)
    rays = (corners - (hole.cx, hole.cy)) / (hole.fx, hole.fy)
    source = lens.pixels_from_rays(rays)
    assert source.min() >= -1e-9
    assert np.all(source <= (640 + 1e-9, 480 + 1e-9))


def test_fox_is_halved_exactly():
    lens = Lens(1080, 1920, 1375.5, 1374.5, 554.6, 965.3, k=(0.06, -0.08, 0, 0, 0, 0))
    photo = Photo("0001.jpg", Path("0001.jpg"), 1080, 1920, 1, None, "", False, "0" * 64)
    job = plan(photo, lens, np.eye(4), 960, Path("images"))
    assert (job.camera.width, job.camera.height) == (540, 960)
    assert job.path == Path("images/0001.jpg.png")


def test_an_undistorted_photo_of_the_right_size_keeps_its_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8)
    photo = photo_of(tmp_path / "p.png", Image.fromarray(pixels))
    job = plan(photo, Lens(64, 48, 50, 50, 32, 24), np.eye(4), 64, tmp_path)
    undistort(job)
    assert np.array_equal(np.asarray(Image.open(job.path)), pixels)


def test_transparent_pixels_do_not_tint_the_edges(tmp_path):
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, 32:] = (200, 100, 50, 255)
    pixels[:, :32] = (0, 255, 0, 0)
    photo = photo_of(tmp_path / "p.png", Image.fromarray(pixels))
    lens = Lens(64, 64, 60, 60, 32, 32, k=(0.1, 0, 0, 0, 0, 0))
    job = plan(photo, lens, np.eye(4), 21, tmp_path)
    undistort(job)
    out = np.asarray(Image.open(job.path)).astype(int)
    mixed = out[out[..., 3] > 8]
    assert np.abs(mixed[:, :3] - (200, 100, 50)).max() <= 16
    assert set(np.unique(out[:, :5, 3])) == {0}


def test_a_finished_image_is_not_made_again(tmp_path):
    photo = photo_of(tmp_path / "p.png", Image.new("RGB", (64, 48), (10, 20, 30)))
    lens = Lens(64, 48, 50, 50, 32, 24)
    first = plan(photo, lens, np.eye(4), 32, tmp_path / "out")
    undistort(first)
    stamp = first.path.stat().st_mtime_ns
    undistort(first)
    assert first.path.stat().st_mtime_ns == stamp
    undistort(plan(photo, lens, np.eye(4), 16, tmp_path / "out"))
    assert Image.open(first.path).size == (16, 12)


# --- photos ---


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(tmp_path, orientation):
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:10, :20] = 255
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    stored = Image.fromarray(np.ascontiguousarray(undo(upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "p.png"
    stored.save(path, exif=exif)
    size = (60, 40)
    photo = Photo("p.png", path, *size, orientation, None, "", False, "0" * 64)
    assert np.array_equal(np.asarray(open_upright(photo)), upright)


def test_sixteen_bit_photos_keep_their_range(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    path = tmp_path / "deep.png"
    Image.fromarray(ramp).save(path)
    photo = Photo("deep.png", path, 64, 48, 1, None, "", False, "0" * 64)
    got = np.asarray(open_upright(photo))
    assert got.shape == (48, 64, 3)
    assert np.abs(got[..., 0].astype(float) - ramp / 257).max() <= 1


def test_working_copies_are_small_upright_and_composited(tmp_path):
    image = Image.new("RGBA", (400, 200), (255, 0, 0, 0))
    photo = photo_of(tmp_path / "p.png", image)
    size = work_size(photo, 100)
    assert size == (100, 50)
    write_work_copy(photo, tmp_path / "w.jpg", size, (1.0, 1.0, 1.0))
    copy = Image.open(tmp_path / "w.jpg")
    assert (copy.size, copy.getpixel((50, 25))) == ((100, 50), (255, 255, 255))
    assert work_size(photo, 4000) == (400, 200)


def test_notes_in_pngs(tmp_path):
    save_png(Image.new("RGB", (4, 4)), tmp_path / "a.png", note="hello")
    assert png_note(tmp_path / "a.png") == "hello"
    assert png_note(tmp_path / "none.png") is None
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
    assert png_note(tmp_path / "bad.png") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "bad.png"]


# --- normalisation ---


def ring(count=24, radius=3.0, height=1.0, target=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Poses (N, 4, 4) around a target, level, +Z up."""
    angles = 2 * np.pi * np.arange(count) / count
    eyes = [(radius * math.cos(a), radius * math.sin(a), height) for a in angles]
    return np.stack([look_at(np.add(eye, target), target, (0, 0, 1)) for eye in eyes])


def moved(poses: np.ndarray, sim: Sim3) -> np.ndarray:
    return np.stack([sim.move_camera(pose) for pose in poses])


worlds = st.builds(
    Sim3,
    scale=st.floats(0.1, 10.0),
    rotation=st.tuples(*[st.floats(-1, 1)] * 4)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(rotation_from_quat),
    translation=st.tuples(*[st.floats(-5, 5)] * 3).map(np.array),
)


@settings(max_examples=60, deadline=None)
@given(worlds, st.floats(0.0, 6.0))
def test_inward_captures_are_centred_upright_and_of_unit_size(world, height):
    poses = moved(ring(height=height), world)
    norm = normalise(poses)
    # What they look at is the origin, up is +Z, and the cameras are one unit away.
    assert np.allclose(norm.apply(world.apply((0, 0, 0))), 0, atol=1e-6)
    up = norm.apply(world.apply((0, 0, 1))) - norm.apply(world.apply((0, 0, 0)))
    assert np.allclose(up / np.linalg.norm(up), (0, 0, 1), atol=1e-6)
    centres = [-p[:3, :3].T @ p[:3, 3] for p in moved(poses, norm)]
    assert np.allclose(np.linalg.norm(centres, axis=1), 1.0, atol=1e-6)


def test_forward_captures_are_centred_on_the_cameras():
    eyes = [(0.3 * x, 0.0, 0.3 * z) for x in range(4) for z in range(3)]
    poses = np.stack([look_at(eye, np.add(eye, (0, 5, 0)), (0, 0, 1)) for eye in eyes])
    norm = normalise(poses)
    assert np.allclose(norm.apply(np.mean(eyes, axis=0)), 0, atol=1e-9)
    assert np.allclose(norm.rotation, np.eye(3), atol=1e-6)
    distance = np.linalg.norm(norm.apply(eyes), axis=1)
    assert np.percentile(distance, 95) == pytest.approx(1.0)


def test_outward_captures_are_centred_on_the_cameras():
    poses = ring(target=(0, 0, 0))
    outward = np.stack([np.diag([-1.0, 1, -1, 1]) @ pose for pose in poses])
    norm = normalise(outward)
    assert np.allclose(norm.apply((0, 0, 1.0)), 0, atol=1e-6)


def test_a_promised_up_is_kept_unless_the_cameras_contradict_it():
    tilted = (0.0, math.sin(0.3), math.cos(0.3))
    assert np.allclose(normalise(ring(), tilted).rotation @ tilted, (0, 0, 1), atol=1e-9)
    assert np.allclose(normalise(ring(), (0.0, 0.0, -1.0)).rotation, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("count", [1, 2])
def test_few_cameras_still_give_a_usable_transform(count):
    norm = normalise(ring(count=count))
    assert np.all(np.isfinite(norm.matrix()))
    assert norm.scale > 0
    assert np.linalg.det(norm.rotation) == pytest.approx(1.0)


def test_uncertain_and_distant_points_are_dropped_if_enough_are_left():
    xyz = np.random.default_rng(0).normal(size=(5000, 3))
    xyz[0] = 1e4
    track = np.full(5000, 5)
    track[1:500] = 2
    error = np.full(5000, 0.5)
    error[500:600] = 3.0
    error[600] = np.nan
    points = WorldPoints(xyz, np.zeros((5000, 3), np.uint8), error, track)
    kept = filter_points(points, Sim3())
    assert len(kept) == 5000 - 1 - 499 - 100
    assert len(filter_points(points.chosen(np.arange(5000) < 1000), Sim3())) == 999


# --- points to start from ---


def sphere_views(count=12, radius=1.0) -> list[MaskedView]:
    """A red ball with a green upper half at the origin, seen from all around."""
    views = []
    for index in range(count):
        angle, height = 2.4 * index, 3.0 * math.sin(1.3 * index)
        pose = look_at((4 * math.cos(angle), 4 * math.sin(angle), height), (0, 0, 0), (0, 0, 1))
        lens = Lens(120, 120, 130.0, 130.0, 60.0, 60.0)
        rays = (pixel_grid(120, 120) - 60.0) / 130.0
        direction = np.concatenate([rays, np.ones((120, 120, 1))], axis=-1)
        direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True) @ pose[:3, :3]
        eye = -pose[:3, :3].T @ pose[:3, 3]
        along = direction @ eye
        inside = along**2 - eye @ eye + radius**2
        depth = -along - np.sqrt(np.maximum(inside, 0))
        hit = eye + depth[..., None] * direction
        rgba = np.zeros((120, 120, 4), np.uint8)
        rgba[inside > 0] = (255, 0, 0, 255)
        rgba[(inside > 0) & (hit[..., 2] > 0)] = (0, 255, 0, 255)
        views.append(MaskedView(PosedLens(lens, pose), rgba))
    return views


def test_hull_points_lie_in_the_object_mostly_near_its_surface():
    points = hull_points(sphere_views(40), np.zeros(3), 1.4, 4000, seed=0)
    assert 3000 < len(points) <= 4000
    distance = np.linalg.norm(points.xyz, axis=1)
    # The hull is a little larger than the ball.
    assert distance.max() < 1.25
    assert np.mean(distance > 0.85) > 0.6
    assert np.mean(distance < 0.85) > 0.1
    upper = (points.xyz[:, 2] > 0.3) & (distance > 0.9)
    lower = (points.xyz[:, 2] < -0.3) & (distance > 0.9)
    assert points.rgb[upper].mean(axis=0)[1] > 220
    assert points.rgb[lower].mean(axis=0)[0] > 220


def test_hull_points_repeat_with_the_seed():
    first, second = (hull_points(sphere_views(), np.zeros(3), 1.4, 500, seed=3) for _ in range(2))
    assert np.array_equal(first.xyz, second.xyz)
    assert np.array_equal(first.rgb, second.rgb)


def test_masks_that_contradict_each_other_leave_no_hull():
    views = sphere_views()
    views[0].rgba[...] = 0
    assert len(hull_points(views, np.zeros(3), 1.4, 500, seed=0)) == 0


@pytest.mark.parametrize("centre", [np.zeros(3), None])
def test_ray_points_are_seen_by_several_views(centre):
    views = sphere_views()
    points = ray_points(views, centre, 1000, seed=0)
    assert 0 < len(points) <= 1000
    seen = sum(view.framed(view.project(points.xyz.T.copy())[0]).astype(int) for view in views)
    assert seen.min() >= 3


# --- options ---


@pytest.mark.parametrize(
    "bad", [{"pose_source": "x"}, {"quality": "x"}, {"long_side": 1}, {"threads": 0}]
)
def test_senseless_options_are_refused(bad):
    with pytest.raises(OptionError):
        SfmOptions(**bad)


def test_threads_default_to_the_usable_cores():
    assert SfmOptions().thread_count >= 1
    assert SfmOptions(threads=3).thread_count == 3


def test_photos_of_the_same_things_are_found_without_an_order():
    # Ten scenes of 60 features each; a photo sees 40 of its scene's, with noise, and strangers.
    rng = np.random.default_rng(5)
    scenes = rng.integers(0, 120, (10, 60, 128))
    order = rng.permutation(40)

    def descriptors(index: int) -> np.ndarray:
        local = np.random.default_rng(index)
        seen = scenes[order[index] % 10][local.choice(60, 40, replace=False)]
        noisy = seen + local.integers(-6, 7, seen.shape)
        return np.clip([*noisy, *local.integers(0, 120, (20, 128))], 0, 255).astype(np.uint8)

    pairs = similar_pairs(descriptors, 40, 3, seed=0)
    same = sum(order[i] % 10 == order[j] % 10 for i, j in pairs)
    assert same > 0.95 * len(pairs)
    assert len(pairs) >= 40
    assert similar_pairs(lambda index: np.zeros((0, 128), np.uint8), 4, 3, 0) == []
