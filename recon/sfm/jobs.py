"""Making jobs for the worker: working copies, shared cameras, the database to keep."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from recon.capture.types import GivenPoses, Photo
from recon.formats.lens import ColmapCamera, Lens, colmap_from_lens
from recon.sfm.context import SfmContext
from recon.sfm.job import Job, JobImage, JobResult, KnownCamera
from recon.sfm.options import Quality
from recon.sfm.pairs import Pair
from recon.sfm.photos import work_size, write_work_copy, write_work_mask
from recon.sfm.process import run_worker

_MIN_PHOTOS_FOR_OPENCV = 8
"""Fewer photos do not determine OPENCV's four distortion coefficients."""


@dataclass(frozen=True)
class Effort:
    """SIFT's settings.

    Attributes:
        long_side: of the working copies, in pixels.
        first_octave: -1 doubles the photo first: four times the work, more small features.
        max_features: per photo.
        overlap: how many following frames a numbered photo is matched with, beside those at
            distances of powers of two. On fox 2, 4 and 10 gave the same accuracy.
        affine: make features insensitive to slant; three times the work, but it matches
            photos that lie further apart.
    """

    long_side: int
    first_octave: int
    max_features: int
    overlap: int
    affine: bool = False


EFFORTS: dict[Quality, Effort] = {
    "draft": Effort(1000, 0, 4096, 2),
    "standard": Effort(1600, 0, 8192, 4),
    "high": Effort(2400, -1, 12288, 10),
}
_SMALL_PHOTO = 1040


def effort_for(quality: Quality, photos: tuple[Photo, ...]) -> Effort:
    """The settings for a quality.

    Where photos are small there is time to double them: on the bundled scene (640x480) that
    takes 40 seconds instead of 12, for three times the points and a third of the pose error.
    """
    effort = EFFORTS[quality]
    largest = max(max(photo.width, photo.height) for photo in photos)
    if quality == "standard" and largest <= _SMALL_PHOTO:
        return replace(effort, first_octave=-1)
    return effort


def run_job(
    context: SfmContext,
    effort: Effort,
    images: tuple[JobImage, ...],
    pairs: list[Pair],
    output: Path,
    *,
    neighbours: int = 0,
    init_angle: float = 16.0,
    triangulate: bool = False,
    known: tuple[KnownCamera, ...] = (),
) -> JobResult:
    """Write the working copies that are missing and run the worker.

    Args:
        context: the call's.
        effort: SIFT's settings.
        images: from `job_images`.
        pairs: of indices into `images`.
        output: folder for the model.
        neighbours: match each photo also with so many that look most like it.
        init_angle: degrees that the starting pair must subtend.
        triangulate: poses are given, only find points.
        known: cameras to start from; only the other photos are placed.

    Raises:
        SfmError: pycolmap failed.
        SfmCancelled: the caller asked to stop.
    """
    copies = copies_folder(context, effort)
    copies.mkdir(parents=True, exist_ok=True)
    _write_copies(context, copies, images)
    masks = _write_masks(context, effort, images)
    return run_on_copies(
        context,
        effort,
        images,
        pairs,
        output,
        masks=masks,
        neighbours=neighbours,
        init_angle=init_angle,
        triangulate=triangulate,
        known=known,
    )


def run_on_copies(
    context: SfmContext,
    effort: Effort,
    images: tuple[JobImage, ...],
    pairs: list[Pair],
    output: Path,
    *,
    masks: Path | None = None,
    neighbours: int = 0,
    init_angle: float = 16.0,
    triangulate: bool = False,
    known: tuple[KnownCamera, ...] = (),
    match_only: bool = False,
) -> JobResult:
    """Run the worker on working copies that are there; see `run_job`.

    Args:
        masks: folder of masks for the copies.
        match_only: find no cameras.
    """
    options = context.options
    copies = copies_folder(context, effort)
    database, donors = _databases(context.features, effort, images)
    for path in (database, *donors):
        drop_if_damaged(path)
    job = Job(
        photos=str(copies),
        masks="" if masks is None else str(masks),
        neighbours=neighbours,
        database=str(database),
        donors=tuple(str(path) for path in donors if path.is_file()),
        scratch=str(context.folder / "scratch"),
        output=str(output),
        images=images,
        pairs=tuple(pairs),
        first_octave=effort.first_octave,
        max_features=effort.max_features,
        affine=effort.affine,
        init_min_tri_angle=init_angle,
        triangulate=triangulate,
        known=known,
        match_only=match_only,
        seed=options.seed,
        threads=options.thread_count,
    )
    result = run_worker(job, context.folder, context.progress, context.cancelled)
    for stage, (wall, cpu) in result.stages.items():
        context.add_time(stage, wall, cpu)
    return result


def copies_folder(context: SfmContext, effort: Effort) -> Path:
    """Where the working copies of that size lie."""
    return context.features / f"photos-{effort.long_side}"


def job_images(
    photos: tuple[Photo, ...], long_side: int, given: GivenPoses | None = None
) -> tuple[JobImage, ...]:
    """The photos as a job sees them, grouped by the camera that they share."""
    keys = _camera_keys(photos, given)
    groups = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    members = Counter(keys)
    images = []
    for photo, key in zip(photos, keys, strict=True):
        size = work_size(photo, long_side)
        camera = _camera(photo, size, members[key], given)
        pose = () if given is None else given.cameras[photo.name].cam_from_world.reshape(-1)
        images.append(
            JobImage(
                file=_copy_name(photo),
                name=photo.name,
                width=photo.width,
                height=photo.height,
                work_width=size[0],
                work_height=size[1],
                group=groups[key],
                model=camera.model,
                params=camera.params,
                pose=tuple(float(value) for value in pose),
            )
        )
    return tuple(images)


def _copy_name(photo: Photo) -> str:
    """Changes with all that the features of a photo depend on: they are known by it."""
    mask = "" if photo.mask is None else f"-{photo.mask.digest[:24]}-{photo.mask.orientation}"
    return f"{photo.digest[:24]}-{photo.orientation}{mask}.jpg"


def _camera_keys(photos: tuple[Photo, ...], given: GivenPoses | None) -> list[Lens | tuple]:
    """One for each photo; photos with equal keys share a camera.

    By size, EXIF's camera and focal length. Where EXIF tells nothing, photos of other folders
    are from another camera, if there are enough of them: so the cameras of a rig have one each.
    """
    if given is not None:
        return [given.cameras[photo.name].lens for photo in photos]
    keys = [(p.width, p.height, p.camera, round(p.focal or 0.0, 1)) for p in photos]
    folders = [PurePosixPath(photo.name).parent for photo in photos]
    members = Counter(zip(keys, folders, strict=True))
    return [
        (*key, folder)
        if not photo.camera
        and photo.focal is None
        and members[key, folder] >= _MIN_PHOTOS_FOR_OPENCV
        else key
        for photo, key, folder in zip(photos, keys, folders, strict=True)
    ]


def _camera(
    photo: Photo, size: tuple[int, int], members: int, given: GivenPoses | None
) -> ColmapCamera:
    """Model and parameters in pixels of the working copy; () to let COLMAP guess them."""
    if given is not None:
        return colmap_from_lens(given.cameras[photo.name].lens.resized(*size))
    model = "OPENCV" if members >= _MIN_PHOTOS_FOR_OPENCV else "SIMPLE_RADIAL"
    if photo.focal is None:
        return ColmapCamera(model, ())
    focal = photo.focal * size[0] / photo.width
    centre = (size[0] / 2, size[1] / 2)
    if model == "OPENCV":
        return ColmapCamera(model, (focal, focal, *centre, 0.0, 0.0, 0.0, 0.0))
    return ColmapCamera(model, (focal, *centre, 0.0))


def _write_copies(context: SfmContext, folder: Path, images: tuple[JobImage, ...]) -> None:
    photos = {photo.name: photo for photo in context.capture.photos}
    tasks = [
        partial(
            write_work_copy,
            photos[image.name],
            folder / image.file,
            (image.work_width, image.work_height),
            context.capture.background,
        )
        for image in images
        if not (folder / image.file).is_file()
    ]
    context.in_threads("photos", "preparing photos", tasks)


def _write_masks(context: SfmContext, effort: Effort, images: tuple[JobImage, ...]) -> Path | None:
    """The folder of masks for the working copies; None where no photo has one."""
    photos = {photo.name: photo for photo in context.capture.photos}
    if all(photos[image.name].mask is None for image in images):
        return None
    folder = context.features / f"masks-{effort.long_side}"
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [
        partial(
            write_work_mask,
            photos[image.name],
            folder / f"{image.file}.png",
            (image.work_width, image.work_height),
        )
        for image in images
        if not (folder / f"{image.file}.png").is_file()
    ]
    context.in_threads("photos", "preparing masks", tasks)
    return folder


def _databases(
    folder: Path, effort: Effort, images: tuple[JobImage, ...]
) -> tuple[Path, tuple[Path, ...]]:
    """The database for the images, and others with the same features but other cameras.

    Databases are kept per SIFT setting and cameras, since they store both.
    """
    sift = [effort.first_octave, effort.max_features, effort.affine, effort.long_side]
    groups = {(i.group, i.work_width, i.work_height, i.model, i.params) for i in images}
    cameras = sorted(camera for _, *camera in groups)
    names = [hashlib.sha256(json.dumps(part).encode()).hexdigest()[:12] for part in (sift, cameras)]
    own = folder / f"features-{'-'.join(names)}.db"
    return own, tuple(
        path for path in sorted(folder.glob(f"features-{names[0]}-*.db")) if path != own
    )


def drop_if_damaged(database: Path) -> None:
    """Delete a database that a crash has left unreadable, with its two side files.

    A sound one is kept whatever crashed: SQLite replays the log that lies beside it.
    """
    if database.is_file():
        try:
            connection = sqlite3.connect(database)
            try:
                if connection.execute("PRAGMA quick_check").fetchone() == ("ok",):
                    return
            finally:
                connection.close()
        except sqlite3.Error:
            pass
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
