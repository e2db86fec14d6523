"""Which photos share a camera."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from recon.capture.types import Photo
from recon.sfm.jobs import job_images


def photos(
    folder: str, count: int, *, width: int = 640, camera: str = "", focal: float | None = None
) -> list[Photo]:
    names = [f"{folder}{index:02d}.jpg" for index in range(count)]
    return [Photo(n, Path(n), width, 480, 1, focal, camera, False, n * 8) for n in names]


def groups(*sets: list[Photo]) -> list[tuple[int, set[str]]]:
    """(number of photos, camera models) of each group, in the order of the photos."""
    models: dict[int, list[str]] = defaultdict(list)
    for image in job_images(tuple(photo for part in sets for photo in part), 1000):
        models[image.group].append(image.model)
    return [(len(found), set(found)) for found in models.values()]


def test_the_cameras_of_a_rig_have_a_lens_each():
    rig = [photos(f"camera{number}/", 10) for number in range(3)]
    assert groups(*rig) == [(10, {"OPENCV"})] * 3


def test_sessions_of_one_camera_share_its_lens():
    days = [photos(f"day{number}/", 10, camera="MAKER X", focal=500.0) for number in range(3)]
    assert groups(*days) == [(30, {"OPENCV"})]
    # Without EXIF and with few photos in each folder, one lens is the better guess.
    assert groups(*(photos(f"{number}/", 3) for number in range(4))) == [(12, {"OPENCV"})]


def test_sizes_zooms_and_makers_part_photos():
    assert groups(
        photos("", 4),
        photos("a/", 3, width=800),
        photos("b/", 2, camera="MAKER X"),
        photos("c/", 9, camera="MAKER X", focal=700.0),
        photos("d/", 1, camera="MAKER X", focal=900.0),
    ) == [
        (4, {"SIMPLE_RADIAL"}),
        (3, {"SIMPLE_RADIAL"}),
        (2, {"SIMPLE_RADIAL"}),
        (9, {"OPENCV"}),
        (1, {"SIMPLE_RADIAL"}),
    ]
