"""The viewer's parts without a browser: cameras, pictures, composition, paths, films."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_viewer_support import BallModel, ball_content, ball_scene

from recon.errors import OptionError
from recon.geometry import Camera
from recon.model import RenderOptions, RenderOutput
from recon.viewer.cameras import (
    UP,
    Viewpoint,
    best_view,
    canvas_size,
    enclosing_fov,
    fly,
    from_viser,
    to_viser,
    vertical_fov,
    viewpoint_of,
)
from recon.viewer.compare import Comparison, ComparisonPicture, PhotoTask
from recon.viewer.compose import GAP, Arrangement, Pane, compose, message, place_panes
from recon.viewer.film import encode_film, even
from recon.viewer.images import depth_picture, develop, normal_picture, paste_rows, resize_rgb
from recon.viewer.path import CameraPath
from recon.viewer.photos import Photos
from recon.viewer.request import Frame


def viewpoint(x: float, y: float, z: float, fov: float = 1.0) -> Viewpoint:
    return Viewpoint(np.array([x, y, z]), np.zeros(3), fov)


# Cameras.


def test_viser_cameras_round_trip(tmp_path: Path) -> None:
    camera = ball_scene(tmp_path, count=3).views[1].camera
    wxyz, position = to_viser(camera)
    back = from_viser(wxyz, position, 0.8, 200, 100)
    np.testing.assert_allclose(back.cam_from_world, camera.cam_from_world, atol=1e-9)
    assert vertical_fov(back) == pytest.approx(0.8)
    assert (back.cx, back.cy, back.fx) == (100.0, 50.0, back.fy)


@pytest.mark.parametrize("aspect", [0.4, 1.0, 1.33, 3.0])
def test_the_enclosing_lens_shows_all_of_a_photo(tmp_path: Path, aspect: float) -> None:
    camera = ball_scene(tmp_path, count=1).views[0].camera
    fov = enclosing_fov(camera, aspect)
    focal = 0.5 / math.tan(fov / 2)  # of a canvas of height 1 and width `aspect`
    corners = [(u, v) for u in (0, camera.width) for v in (0, camera.height)]
    for u, v in corners:
        x, y = (u - camera.cx) / camera.fx * focal, (v - camera.cy) / camera.fy * focal
        assert abs(x) <= aspect / 2 + 1e-9
        assert abs(y) <= 0.5 + 1e-9


def test_canvases_are_shrunk_and_never_enlarged() -> None:
    assert canvas_size(640, 480, 1280) == (640, 480)
    assert canvas_size(2560, 1440, 1280) == (1280, 720)
    assert canvas_size(0, 0, 1280) == (16, 16)


def test_the_first_view_looks_at_the_subject(tmp_path: Path) -> None:
    scene = ball_scene(tmp_path)
    view = best_view(scene)
    assert view is not None
    assert view.split == "train"
    start = viewpoint_of(view.camera, scene, aspect=1.4)
    assert np.linalg.norm(start.target) < 0.6, "orbiting must turn about the ball"


def test_a_scene_without_points_still_has_a_first_view(tmp_path: Path) -> None:
    scene = ball_scene(tmp_path)
    empty = replace(scene.points, xyz=scene.points.xyz[:0], rgb=scene.points.rgb[:0])
    bare = replace(scene, points=empty)
    view = best_view(bare)
    assert view is not None
    assert np.isfinite(viewpoint_of(view.camera, bare, 1.0).target).all()
    assert best_view(replace(bare, views=())) is None


def test_flights_end_where_they_should_and_do_not_pass_through() -> None:
    start, end = viewpoint(2, 0, 0.5), viewpoint(-2, 0, 0.5, fov=0.5)
    flight = list(fly(start, end, 20))
    assert len(flight) == 20
    np.testing.assert_array_equal(flight[-1].position, end.position)
    for one in flight:
        assert np.isfinite(one.position).all()
        # The camera keeps looking somewhere ahead of it, never at itself.
        assert np.linalg.norm(one.target - one.position) > 1.0
    down = Viewpoint(np.array([0.0, 0.0, 2.0]), np.array([0.0, 0.0, 3.0]), 1.0)
    straight = Viewpoint(np.array([0.0, 0.0, 2.0]), np.zeros(3), 1.0)
    assert all(np.isfinite(v.target).all() for v in fly(down, straight, 10))


def test_free_cameras_are_level() -> None:
    camera = viewpoint(2, 1, 1).camera(100, 100)
    right = camera.world_from_cam[:3, 0]
    assert right @ UP == pytest.approx(0.0, abs=1e-12)


# Pictures.


def rendered(folder: Path) -> tuple[RenderOutput, Camera]:
    camera = ball_scene(folder, count=1).views[0].camera
    return BallModel().render(camera, RenderOptions(depth=True)), camera


def test_depth_is_near_red_and_far_blue(tmp_path: Path) -> None:
    output, _ = rendered(tmp_path)
    assert output.depth is not None
    picture = depth_picture(output.depth, output.alpha).astype(int)
    solid = output.alpha > 0.5
    near = solid & (output.depth < np.percentile(output.depth[solid], 10))
    far = solid & (output.depth > np.percentile(output.depth[solid], 90))
    assert picture[near][:, 0].mean() > picture[near][:, 2].mean()
    assert picture[far][:, 2].mean() > picture[far][:, 0].mean()
    assert picture[~solid].max() == 0


def test_normals_of_the_floor_point_up(tmp_path: Path) -> None:
    output, camera = rendered(tmp_path)
    assert output.depth is not None
    picture = normal_picture(output.depth, output.alpha, camera).astype(int)
    floor = picture[-6, 5:25]  # well inside the chequers
    np.testing.assert_allclose(floor.mean(axis=0), [128, 128, 255], atol=4)


def test_every_mode_gives_a_picture(tmp_path: Path) -> None:
    output, camera = rendered(tmp_path)
    for mode in ("Colour", "Depth", "Normals", "Alpha"):
        picture = develop(output, camera, mode)
        assert picture.shape == (camera.height, camera.width, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 5
    nothing = RenderOutput(*(np.zeros((4, 5, *c), np.float32) for c in ((3,), (), ())))
    assert develop(nothing, camera, "Depth").max() == 0


def test_bands_are_pasted_over_an_enlarged_preview() -> None:
    full = Camera(8, 6, 5.0, 5.0, 4.0, 3.0, np.eye(4))
    small = RenderOutput(np.full((3, 4, 3), 0.5, np.float32), np.ones((3, 4), np.float32))
    band = RenderOutput(np.ones((2, 8, 3), np.float32), np.ones((2, 8), np.float32))
    joined = paste_rows(small, band, full, (2, 4))
    assert joined.color.shape == (6, 8, 3)
    np.testing.assert_array_equal(joined.color[2:4], 1.0)
    np.testing.assert_allclose(joined.color[:2], 0.5)
    assert joined.depth is None


def test_resizing_averages() -> None:
    board = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = resize_rgb(np.repeat(board[..., None], 3, 2), 4, 4)
    assert set(np.unique(small)) <= {127, 128}


# Composition.


@pytest.mark.parametrize("aspect", [0.56, 1.0, 1.78])
@pytest.mark.parametrize("canvas", [(960, 800), (380, 650), (1600, 500)])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_panes_fit_and_do_not_overlap(count: int, canvas: tuple[int, int], aspect: float) -> None:
    places = place_panes(count, aspect, *canvas)
    taken = np.zeros((canvas[1], canvas[0]), int)
    for place in places:
        assert place.x + place.width <= canvas[0]
        assert place.y + place.height <= canvas[1]
        assert place.width / place.height == pytest.approx(aspect, rel=0.05)
        taken[place.y : place.y + place.height, place.x : place.x + place.width] += 1
    assert taken.max() == 1
    assert len(places) == count


def test_a_split_shows_both_sides() -> None:
    white, black = np.full((60, 80, 3), 255, np.uint8), np.zeros((60, 80, 3), np.uint8)
    panes = [Pane("a", white), Pane("b", black)]
    picture = compose(panes, 80 / 60, Arrangement(layout="Split", split=0.25), 416, 316)
    row = picture[200, :, 0].astype(int)
    assert row[GAP + 50] == 255
    assert row[GAP + 300] == 0


def test_flicker_shows_one_pane_at_a_time() -> None:
    panes = [Pane(str(v), np.full((60, 80, 3), v, np.uint8)) for v in (10, 120, 240)]
    for shown in range(4):
        picture = compose(panes, 80 / 60, Arrangement(layout="Flicker", shown=shown), 300, 240)
        assert picture[120, 150, 0] == (10, 120, 240, 10)[shown]


def test_the_magnifier_enlarges_the_same_spot_in_all_panes() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[48:53, 48:53] = 200
    panes = [Pane("a", image), Pane("b", image)]
    plain = compose(panes, 1.0, Arrangement(), 616, 320)
    close = compose(panes, 1.0, Arrangement(magnifier=(0.5, 0.5)), 616, 320)
    for half in (slice(0, 308), slice(308, 616)):
        before, after = ((p[:, half, 0] == 200).sum() for p in (plain, close))
        assert after > 8 * before


def test_pointing_finds_the_place_in_the_picture(tmp_path: Path) -> None:
    content = ball_content(tmp_path)
    photo = PhotoTask.load(content, "photo_00.png", Photos())
    assert photo is not None
    frame = Frame((BallModel().render(photo.camera),), 1.0, True, 0.1, 1)
    picture = ComparisonPicture.at_photo(photo, content.models, frame)
    places = place_panes(3, picture.width / picture.height, 900, 600)
    middle = ((places[1].x + places[1].width / 2) / 900, (places[1].y + places[1].height / 2) / 600)
    assert picture.locate(Comparison("photo_00.png"), middle, 900, 600) == pytest.approx((0.5, 0.5))
    assert picture.locate(Comparison("photo_00.png"), (0.0, 0.0), 900, 600) is None


def test_a_perfect_render_has_no_error(tmp_path: Path) -> None:
    content = ball_content(tmp_path, model=BallModel())
    photo = PhotoTask.load(content, "photo_04.png", Photos())
    assert photo is not None
    frame = Frame((BallModel().render(photo.camera),), 1.0, True, 0.1, 1)
    picture = ComparisonPicture.at_photo(photo, content.models, frame)
    assert picture.rendered[0].score is None
    measured = picture.measured(photo, frame)
    score = measured.rendered[0].score
    assert score is not None
    assert score.psnr > 50
    assert measured.panes()[-1].image.max() < 20
    assert "held out" in measured.panes()[0].title


def test_a_training_photo_is_labelled_as_such(tmp_path: Path) -> None:
    content = ball_content(tmp_path)
    photo = PhotoTask.load(content, "photo_01.png", Photos())
    assert photo is not None
    frame = Frame((BallModel().render(photo.camera),), 1.0, True, 0.1, 1)
    panes = ComparisonPicture.at_photo(photo, content.models, frame).panes()
    assert "TRAINED ON" in panes[0].title


@pytest.mark.parametrize("size", [(1000, 700), (200, 150), (16, 16)])
def test_messages_fit_every_canvas(size: tuple[int, int]) -> None:
    picture = message("Something went wrong.\n  What to do: try again " * 3, *size)
    assert picture.shape == (size[1], size[0], 3)


# Paths and films.


def test_a_path_passes_its_keyframes_smoothly() -> None:
    keys = (viewpoint(2, 0, 0.5), viewpoint(0, 2, 1, fov=0.5), viewpoint(-2, 0, 0.5))
    path = CameraPath(keys, seconds=3.0)
    for index, key in enumerate(keys):
        np.testing.assert_allclose(path.at(index / 2).position, key.position, atol=1e-9)
        assert path.at(index / 2).fov == pytest.approx(key.fov)
    positions = np.stack([v.position for v in path.frames(60)])
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    assert len(positions) == 180
    assert np.abs(np.diff(speed)).max() < 0.1 * speed.mean()


def test_a_closed_path_returns_without_showing_its_start_twice() -> None:
    path = CameraPath((viewpoint(2, 0, 0), viewpoint(0, 2, 0), viewpoint(-2, 0, 0)), 1.0, True)
    np.testing.assert_allclose(path.at(1.0).position, path.at(0.0).position)
    frames = list(path.frames(30))
    assert np.linalg.norm(frames[-1].position - frames[0].position) > 0.01


@pytest.mark.parametrize(("count", "seconds"), [(0, 1.0), (1, 1.0), (2, 0.0), (2, 1e6)])
def test_impossible_paths_are_refused(count: int, seconds: float) -> None:
    with pytest.raises(OptionError):
        CameraPath(tuple(viewpoint(i, 1, 1) for i in range(count)), seconds)


def test_a_film_plays() -> None:
    av = pytest.importorskip("av")
    size = even((97, 65))
    pictures = [np.full((size[1], size[0], 3), 20 * i, np.uint8) for i in range(10)]
    file = encode_film(iter(pictures), size, 24)
    with av.open(io.BytesIO(file)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 24
    assert len(frames) == 10
    assert frames[0].shape == (64, 96, 3)
    assert abs(int(frames[5].mean()) - 100) < 6


def test_a_film_without_pictures_is_refused() -> None:
    pytest.importorskip("av")
    with pytest.raises(OptionError):
        encode_film(iter(()), (96, 64), 24)
