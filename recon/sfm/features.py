"""Features of photos, in COLMAP's database. Runs only in the worker process."""

from __future__ import annotations

from collections.abc import Iterable

import pycolmap

from recon.sfm.job import Job, JobImage
from recon.sfm.stopping import Report, check

_IMAGES_PER_CALL = 4


def extract(job: Job, token: pycolmap.CancellationToken, report: Report) -> None:
    """SIFT features of every photo that has none yet; one camera for each group."""
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = job.threads
    options.max_image_size = max(max(i.work_width, i.work_height) for i in job.images)
    options.sift.first_octave = job.first_octave
    options.sift.max_num_features = job.max_features
    options.sift.estimate_affine_shape = job.affine
    inherit(job)
    with pycolmap.Database.open(job.database) as database:
        known = {image.name: image.camera_id for image in database.read_all_images()}
        finished = set(_featured(database))
    done = len(finished & {image.file for image in job.images})
    for images in _by_group(job.images):
        camera_id = next((known[i.file] for i in images if i.file in known), None)
        todo = [image for image in images if image.file not in finished]
        while todo:
            # The first photo of a group makes the camera that the others then share.
            size = 1 if camera_id is None else _IMAGES_PER_CALL * job.threads
            chunk, todo = todo[:size], todo[size:]
            _extract_chunk(job, chunk, camera_id, options, token)
            if camera_id is None:
                camera_id = _camera_of(job.database, chunk[0])
            done += len(chunk)
            report("features", done, len(job.images), "looking for features")


def _extract_chunk(
    job: Job,
    images: list[JobImage],
    camera_id: int | None,
    options: pycolmap.FeatureExtractionOptions,
    token: pycolmap.CancellationToken,
) -> None:
    reader = _reader(images[0], camera_id)
    if job.masks:
        reader.mask_path = job.masks
    pycolmap.extract_features(
        database_path=job.database,
        image_path=job.photos,
        image_names=[image.file for image in images],
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reader,
        extraction_options=options,
        device=pycolmap.Device.cpu,
        cancellation_token=token,
    )
    check(token)


def _reader(image: JobImage, camera_id: int | None) -> pycolmap.ImageReaderOptions:
    """That a photo has the camera of that id, or a new one."""
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = image.model
    if camera_id is not None:
        reader.existing_camera_id = camera_id
    elif image.params:
        reader.camera_params = ",".join(repr(value) for value in image.params)
    return reader


def _by_group(images: Iterable[JobImage]) -> Iterable[list[JobImage]]:
    groups: dict[int, list[JobImage]] = {}
    for image in images:
        groups.setdefault(image.group, []).append(image)
    return groups.values()


def _featured(database: pycolmap.Database) -> dict[str, int]:
    """File -> id of the images whose features are in a database."""
    return {
        image.name: image.image_id
        for image in database.read_all_images()
        if database.exists_keypoints(image.image_id) and database.exists_descriptors(image.image_id)
    }


def _camera_of(path: str, image: JobImage) -> int | None:
    with pycolmap.Database.open(path) as database:
        found = database.read_image_with_name(image.file)
        return None if found is None else found.camera_id


def inherit(job: Job) -> None:
    """Take features, and matches among them, from the one of `job.donors` that has most to give.

    What is verified of the matches depends on the cameras, which are others there: that is done
    again, which takes a fraction of the time.
    """
    with pycolmap.Database.open(job.database) as database:
        present = {image.name for image in database.read_all_images()}
    wanted = {image.file for image in job.images} - present
    best: dict[str, int] = {}
    donor = ""
    for path in job.donors if wanted else ():
        with pycolmap.Database.open(path) as other:
            found = {file: i for file, i in _featured(other).items() if file in wanted}
        if len(found) > len(best):
            best, donor = found, path
    if not best:
        return
    for images in _by_group(image for image in job.images if image.file in best):
        camera_id = None
        # The first photo of a group makes the camera that the others then share.
        for part in (images[:1], images[1:]):
            if part:
                pycolmap.import_images(
                    database_path=job.database,
                    image_path=job.photos,
                    camera_mode=pycolmap.CameraMode.SINGLE,
                    image_names=[image.file for image in part],
                    options=_reader(part[0], camera_id),
                )
                camera_id = _camera_of(job.database, part[0])
    with pycolmap.Database.open(job.database) as database, pycolmap.Database.open(donor) as other:
        ids = {image.name: image.image_id for image in database.read_all_images()}
        mine = {there: ids[file] for file, there in best.items() if file in ids}
        for there, here in mine.items():
            database.write_keypoints(here, other.read_keypoints(there))
            database.write_descriptors(here, other.read_descriptors(there))
        for pair_id in other.read_all_matches()[0]:
            one, two = pycolmap.pair_id_to_image_pair(pair_id)
            if one in mine and two in mine:
                database.write_matches(mine[one], mine[two], other.read_matches(one, two))
