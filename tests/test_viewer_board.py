"""What presses and drags do to a comparison, and what lies on the canvas; without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_viewer_support import BallModel, ball_content, ball_scene

from recon.viewer.board import Board
from recon.viewer.compare import ComparisonPicture, PhotoTask
from recon.viewer.compose import place_panes
from recon.viewer.gallery import Gallery
from recon.viewer.photos import Photos
from recon.viewer.request import Frame
from recon.viewer.workspace import NamedModel

SIZE = (900, 600)
TWO = (NamedModel("ball", "ball", BallModel()), NamedModel("dim", "dim", BallModel(dim=0.5)))


@pytest.fixture
def at_photo(tmp_path: Path) -> ComparisonPicture:
    content = ball_content(tmp_path)
    photo = PhotoTask.load(content, "photo_00.png", Photos())
    assert photo is not None
    frame = Frame((BallModel().render(photo.camera),), 1.0, True, 0.1, 1)
    return ComparisonPicture.at_photo(photo, content.models, frame)


@pytest.fixture
def from_here(tmp_path: Path) -> ComparisonPicture:
    camera = ball_scene(tmp_path, count=1).views[0].camera
    outputs = tuple(one.model.render(camera) for one in TWO)
    return ComparisonPicture.at_camera(camera, TWO, Frame(outputs, 1.0, True, 0.1, 1))


def spot(picture: ComparisonPicture, u: float, v: float, count: int = 1) -> tuple[float, float]:
    """Canvas fractions of a place in the first picture."""
    place = place_panes(count, picture.width / picture.height, *SIZE)[0]
    return (place.x + u * place.width) / SIZE[0], (place.y + v * place.height) / SIZE[1]


def test_nothing_lies_there_to_begin_with() -> None:
    board = Board()
    assert not board.fixed
    assert not board.clear()
    assert board.dragged((0.5, 0.5), SIZE) == board.pressed((0.5, 0.5), SIZE) == {}
    assert board.divider(SIZE) is None


def test_pictures_of_a_comparison_that_is_over_are_not_taken(at_photo: ComparisonPicture) -> None:
    board = Board()
    board.compare("photo_00.png")
    assert board.fixed
    assert board.put("photo_00.png", at_photo)
    assert not board.put("photo_04.png", at_photo)
    assert not board.put(None, at_photo)
    assert board.clear()
    assert not board.put("photo_00.png", at_photo)
    assert board.shown == (None, None)


def test_thumbnails_and_comparisons_replace_one_another(at_photo: ComparisonPicture) -> None:
    board = Board()
    board.compare(None)
    assert not board.fixed, "what is compared from a free camera follows it"
    board.show_gallery(Gallery((), ()))
    assert board.fixed
    assert board.comparison is None
    board.compare("photo_00.png")
    assert board.gallery is None


def test_a_drag_moves_the_magnifier_or_the_divider(at_photo: ComparisonPicture) -> None:
    board = Board()
    board.compare("photo_00.png")
    board.put("photo_00.png", at_photo)
    board.arrange(layout="Flicker")
    at = spot(at_photo, 0.25, 0.5)
    assert board.dragged(at, SIZE)["magnifier"] == pytest.approx((0.25, 0.5))
    assert board.dragged((0.0, 0.0), SIZE) == {"magnifier": None}, "beside all pictures: away"
    board.arrange(layout="Split")
    assert board.dragged(at, SIZE) == {"split": pytest.approx(0.25)}
    assert board.pressed(at, SIZE) == board.dragged(at, SIZE), "at a photo they are the same"
    assert board.divider(SIZE) is None, "no sheet over it is needed: nothing orbits here"


def test_from_a_free_camera_a_press_puts_the_magnifier_there_and_away(
    from_here: ComparisonPicture,
) -> None:
    board = Board()
    board.arrange(layout="Panes")
    board.compare(None)
    board.put(None, from_here)
    at = spot(from_here, 0.3, 0.6, count=2)
    board.arrange(**board.pressed(at, SIZE))
    assert board.arrangement.magnifier == pytest.approx((0.3, 0.6))
    elsewhere = spot(from_here, 0.7, 0.6, count=2)
    assert board.pressed(elsewhere, SIZE)["magnifier"] == pytest.approx((0.7, 0.6))
    assert board.pressed(at, SIZE) == {"magnifier": None}


def test_another_layout_from_a_free_camera_needs_other_renders(
    from_here: ComparisonPicture, at_photo: ComparisonPicture
) -> None:
    board = Board()
    assert not board.arrange(layout="Flicker"), "nothing is compared"
    board.compare(None)
    board.put(None, from_here)
    assert not board.arrange(split=0.3), "the same renders will do"
    assert board.arrange(layout="Split")
    assert board.picture is None
    board.put(None, from_here)
    divider = board.divider(SIZE)
    assert divider == pytest.approx(spot(from_here, 0.3, 0.5)[0])
    board.compare("photo_00.png")
    board.put("photo_00.png", at_photo)
    assert board.arrangement.split == 0.3, "it is kept for the next comparison"
    assert not board.arrange(layout="Panes"), "at a photo all is rendered already"
    assert board.picture is at_photo
