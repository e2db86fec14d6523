"""The steps of structure from motion with pycolmap. Runs only in the worker process."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pycolmap

from recon.sfm.features import extract
from recon.sfm.job import Job, JobImage, JobResult, Link, PhotoFacts
from recon.sfm.matching import match, with_neighbours
from recon.sfm.options import SfmStage
from recon.sfm.posed import extend, map_into, mapper_options, triangulate
from recon.sfm.refine import refine
from recon.sfm.stopping import Report, check
from recon.sfm.support import agreement, inconsistent_share

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
        job = with_neighbours(job)
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
