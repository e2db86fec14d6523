"""Features and matches that a database takes from another one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sfm_room import HEIGHT, WIDTH, make_room

from recon.sfm.job import Job, JobImage
from recon.sfm.pairs import all_pairs

pycolmap = pytest.importorskip("pycolmap")


def quiet(*event) -> None:
    pass


@pytest.fixture
def job(tmp_path) -> Job:
    """Features and matches of four photos, which share a camera with one coefficient."""
    room = make_room(tmp_path, 5)
    images = []
    for path in sorted((room.folder / "images").iterdir()):
        file = path.with_suffix(".jpg").name
        Image.open(path).save(path.with_name(file), quality=98)
        size = (WIDTH, HEIGHT)
        images.append(JobImage(file, path.name, *size, *size, 0, "SIMPLE_RADIAL"))
    return Job(
        photos=str(room.folder / "images"),
        database=str(tmp_path / "a.db"),
        scratch=str(tmp_path / "scratch"),
        output=str(tmp_path / "out"),
        images=tuple(images[:4]),
        pairs=tuple(all_pairs(4)),
        first_octave=0,
        max_features=1000,
    )


def content(path: str, images) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    with pycolmap.Database.open(path) as database:
        ids = {image.name: image.image_id for image in database.read_all_images()}
        return {
            image.file: (
                np.asarray(database.read_keypoints(ids[image.file])),
                np.asarray(database.read_descriptors(ids[image.file]).data),
            )
            for image in images
        }


def test_other_cameras_take_over_features_and_matches(job, tmp_path, monkeypatch):
    from recon.sfm import features
    from recon.sfm.matching import match

    token = pycolmap.CancellationToken()
    features.extract(job, token, quiet)
    match(job, token, quiet)
    # The second of five photos is another one now, and lies on its side.
    late = Image.open(tmp_path / "images" / "004.jpg").rotate(90, expand=True)
    late.save(tmp_path / "images" / "late.jpg", quality=98)
    turned = JobImage("late.jpg", "late", HEIGHT, WIDTH, HEIGHT, WIDTH, 1, "SIMPLE_RADIAL")
    images = (
        *(replace(image, model="OPENCV") for image in (job.images[0], *job.images[2:])),
        turned,
    )
    empty = tmp_path / "empty.db"
    pycolmap.Database.open(empty).close()
    other = replace(
        job, database=str(tmp_path / "b.db"), donors=(str(empty), job.database), images=images
    )
    extracted: list[str] = []
    plain = features._extract_chunk

    def extract_chunk(job, images, *more):
        extracted.extend(image.file for image in images)
        plain(job, images, *more)

    monkeypatch.setattr(features, "_extract_chunk", extract_chunk)
    features.extract(other, token, quiet)
    assert extracted == ["late.jpg"]
    before, after = content(job.database, images[:3]), content(other.database, images)
    for file, (points, descriptors) in before.items():
        assert len(points) > 100
        assert np.array_equal(after[file][0], points)
        assert np.array_equal(after[file][1], descriptors)
    with pycolmap.Database.open(other.database) as database:
        cameras = {camera.camera_id: camera.model_name for camera in database.read_all_cameras()}
        ids = {image.name: image for image in database.read_all_images()}
        models = [cameras[ids[image.file].camera_id] for image in images]
        assert models == ["OPENCV"] * 3 + ["SIMPLE_RADIAL"]
        assert len({ids[image.file].camera_id for image in images}) == 2
        inherited = {
            frozenset(pycolmap.pair_id_to_image_pair(i)) for i in database.read_all_matches()[0]
        }
        assert len(inherited) == 3
        assert not database.num_verified_image_pairs()
    match(other, token, quiet)
    with pycolmap.Database.open(other.database) as database:
        verified = dict(zip(*database.read_two_view_geometry_num_inliers(), strict=True))
        a, b = (ids[images[i].file].image_id for i in (0, 1))
        kept = np.asarray(database.read_matches(a, b))
        pairs = {frozenset(pycolmap.pair_id_to_image_pair(i)): n for i, n in verified.items()}
        assert pairs[frozenset((a, b))] > 50
    with pycolmap.Database.open(job.database) as database:
        old = {image.name: image.image_id for image in database.read_all_images()}
        was = np.asarray(database.read_matches(*(old[images[i].file] for i in (0, 1))))
    assert np.array_equal(kept, was)
