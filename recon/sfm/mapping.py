"""The steps of structure from motion with pycolmap. Runs only in the worker process."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap

from recon.sfm.job import Job, JobImage, JobResult, Link, PhotoFacts
from recon.sfm.options import SfmStage
from recon.sfm.posed import extend, map_into, mapper_options, triangulate
from recon.sfm.refine import refine
from recon.sfm.retrieval import similar_pairs
from recon.sfm.stopping import Report, check
from recon.sfm.support import agreement, inconsistent_share

_PAIRS_PER_CALL = 64
_IMAGES_PER_CALL = 4
_MIN_INLIERS = 15
"""Verified matches that make two photos a pair: COLMAP's own threshold."""


class _Clock:
    """Wall and CPU seconds by stage."""

    def __init__(self) -> None:
        self.stages: dict[SfmStage, tuple[float, float]] = {}

    @contextmanager
    def stage(self, name: SfmStage) -> Iterator[None]:
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.stages[name] = (time.monotonic() - wall, time.process_time() - cpu)


def run_job(job: Job, token: pycolmap.CancellationToken, report: Report) -> JobResult:
    """Features, matches, then mapping or triangulation; writes the model to `job.output`.

    Raises:
        Stopped: the token was cancelled.
    """
    clock = _Clock()
    pycolmap.set_random_seed(job.seed)
    with clock.stage("features"):
        extract(job, token, report)
    with clock.stage("matching"):
        job = _with_neighbours(job)
        match(job, token, report)
    models: list[pycolmap.Reconstruction] = []
    if job.triangulate:
        with clock.stage("points"):
            models = [triangulate(job, token, report)]
    elif not job.match_only:
        with clock.stage("mapping"):
            models = [extend(job, token, report)] if job.known else map_photos(job, token, report)
        if models:
            report("refining", 0, 1, "refining all cameras together")
            with clock.stage("refining"):
                refine(models[0], token)
            check(token)
    return _finish(job, models, clock)


def extract(job: Job, token: pycolmap.CancellationToken, report: Report) -> None:
    """SIFT features of every photo that has none yet; one camera for each group."""
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = job.threads
    options.max_image_size = max(max(i.work_width, i.work_height) for i in job.images)
    options.sift.first_octave = job.first_octave
    options.sift.max_num_features = job.max_features
    options.sift.estimate_affine_shape = job.affine
    by_group: dict[int, list[JobImage]] = {}
    for image in job.images:
        by_group.setdefault(image.group, []).append(image)
    with pycolmap.Database.open(job.database) as database:
        known = {image.name: image.camera_id for image in database.read_all_images()}
        finished = {
            image.name
            for image in database.read_all_images()
            if database.exists_keypoints(image.image_id)
            and database.exists_descriptors(image.image_id)
        }
    done = len(finished & {image.file for image in job.images})
    for images in by_group.values():
        camera_id = next((known[i.file] for i in images if i.file in known), None)
        todo = [image for image in images if image.file not in finished]
        while todo:
            # The first photo of a group makes the camera that the others then share.
            size = 1 if camera_id is None else _IMAGES_PER_CALL * job.threads
            chunk, todo = todo[:size], todo[size:]
            _extract_chunk(job, chunk, camera_id, options, token)
            if camera_id is None:
                camera_id = _camera_of(job, chunk[0])
            done += len(chunk)
            report("features", done, len(job.images), "looking for features")


def _extract_chunk(
    job: Job,
    images: list[JobImage],
    camera_id: int | None,
    options: pycolmap.FeatureExtractionOptions,
    token: pycolmap.CancellationToken,
) -> None:
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = images[0].model
    if job.masks:
        reader.mask_path = job.masks
    if camera_id is not None:
        reader.existing_camera_id = camera_id
    elif images[0].params:
        reader.camera_params = ",".join(repr(value) for value in images[0].params)
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


def _camera_of(job: Job, image: JobImage) -> int | None:
    with pycolmap.Database.open(job.database) as database:
        found = database.read_image_with_name(image.file)
        return None if found is None else found.camera_id


def match(job: Job, token: pycolmap.CancellationToken, report: Report) -> None:
    """Match and verify the job's pairs; pairs that the database has are not done again."""
    done = _matched_pairs(job)
    files = [image.file for image in job.images]
    todo = [
        (files[i], files[j]) for i, j in job.pairs if frozenset((files[i], files[j])) not in done
    ]
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    matching.num_threads = job.threads
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = job.seed
    listing = Path(job.scratch) / "pairs.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    before = len(job.pairs) - len(todo)
    for start in range(0, len(todo), _PAIRS_PER_CALL):
        chunk = todo[start : start + _PAIRS_PER_CALL]
        listing.write_text("".join(f"{a} {b}\n" for a, b in chunk), encoding="utf-8")
        pairing = pycolmap.ImportedPairingOptions()
        pairing.match_list_path = listing
        pycolmap.match_image_pairs(
            database_path=job.database,
            matching_options=matching,
            pairing_options=pairing,
            verification_options=verification,
            device=pycolmap.Device.cpu,
            cancellation_token=token,
        )
        check(token)
        report("matching", before + start + len(chunk), len(job.pairs), "matching pairs")


def _with_neighbours(job: Job) -> Job:
    """The job with the pairs that its `neighbours` asks for."""
    if job.neighbours == 0:
        return job
    with pycolmap.Database.open(job.database) as database:
        ids = {image.name: image.image_id for image in database.read_all_images()}

        def descriptors(index: int) -> np.ndarray:
            image_id = ids.get(job.images[index].file)
            if image_id is None:
                return np.zeros((0, 128), np.uint8)
            return np.asarray(database.read_descriptors(image_id).data)

        found = similar_pairs(descriptors, len(job.images), job.neighbours, job.seed)
    return replace(job, pairs=tuple(sorted({*job.pairs, *found})))


def _matched_pairs(job: Job) -> set[frozenset[str]]:
    with pycolmap.Database.open(job.database) as database:
        names = {image.image_id: image.name for image in database.read_all_images()}
        pair_ids, _ = database.read_two_view_geometry_num_inliers()
        pairs = (pycolmap.pair_id_to_image_pair(pair_id) for pair_id in pair_ids)
        return {frozenset((names[a], names[b])) for a, b in pairs if a in names and b in names}


def map_photos(
    job: Job, token: pycolmap.CancellationToken, report: Report
) -> list[pycolmap.Reconstruction]:
    """Incremental mapping; the models, largest first; empty if none could be started."""
    options = mapper_options(job)
    options.min_model_size = 3
    options.mapper.init_min_tri_angle = job.init_min_tri_angle
    report("mapping", 0, len(job.images), "looking for two photos to start from")
    models = map_into("models", job, options, token, report, placed=2)
    return sorted(models, key=lambda model: -model.num_reg_images())


def _finish(job: Job, models: list[pycolmap.Reconstruction], clock: _Clock) -> JobResult:
    """Measure the models, bring the largest to full-size pixels and true names, write it."""
    images = {image.file: image for image in job.images}
    with pycolmap.Database.open(job.database) as database:
        verdicts = agreement(models[0], database) if models else {}
        ids = {image.image_id: image.name for image in database.read_all_images()}
        keypoints = {ids[i]: database.num_keypoints_for_image(i) for i in ids}
        pair_ids, inliers = database.read_two_view_geometry_num_inliers()
    links: list[Link] = []
    for pair_id, count in zip(pair_ids, inliers, strict=True):
        pair = pycolmap.pair_id_to_image_pair(pair_id)
        files = [ids.get(image_id, "") for image_id in pair]
        if count >= _MIN_INLIERS and images.keys() >= set(files):
            names = (images[files[0]].name, images[files[1]].name)
            links.append(Link(*names, int(count), verdicts.get((pair[0], pair[1]))))
    component = {
        model.image(image_id).name: number
        for number, model in reversed(list(enumerate(models)))
        for image_id in model.reg_image_ids()
    }
    nan = float("nan")
    points, error, track = 0, nan, nan
    seen: dict[str, tuple[int, float | None]] = {}
    if models:
        model = models[0]
        enlarge(model, images)
        seen = _observations(model)
        output = Path(job.output)
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        model.write(output)
        points, error = model.num_points3D(), model.compute_mean_reprojection_error()
        track = model.compute_mean_track_length()
    partners = Counter(name for link in links for name in (link.first, link.second))
    return JobResult(
        photos={
            image.name: PhotoFacts(
                keypoints.get(file, 0),
                partners[image.name],
                component.get(file),
                *seen.get(image.name, (0, None)),
            )
            for file, image in images.items()
        },
        links=tuple(links),
        points=points,
        reprojection_error=error,
        track_length=track,
        inconsistent_pairs=inconsistent_share(verdicts),
        stages=clock.stages,
    )


def _observations(model: pycolmap.Reconstruction) -> dict[str, tuple[int, float | None]]:
    """Photo name -> number of points that it sees, and their mean reprojection error."""
    out: dict[str, tuple[int, float | None]] = {}
    for image_id in model.reg_image_ids():
        image = model.image(image_id)
        errors = [model.point3D(p.point3D_id).error for p in image.get_observation_points2D()]
        out[image.name] = (len(errors), float(np.mean(errors)) if errors else None)
    return out


def enlarge(model: pycolmap.Reconstruction, images: dict[str, JobImage]) -> None:
    """From pixels and file names of the working copies to those of the photos, in place."""
    sizes: dict[int, JobImage] = {}
    for image_id in model.reg_image_ids():
        image = model.image(image_id)
        job_image = images[image.name]
        scale = np.array(
            [
                job_image.width / job_image.work_width,
                job_image.height / job_image.work_height,
            ]
        )
        for point in image.points2D:
            point.xy = point.xy * scale
        sizes[image.camera_id] = job_image
        image.name = job_image.name
    for camera_id, job_image in sizes.items():
        model.camera(camera_id).rescale(job_image.width, job_image.height)
    model.update_point_3d_errors()
