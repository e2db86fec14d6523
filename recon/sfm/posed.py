"""Models that start from known cameras: points for them, further photos beside them.

Runs only in the worker process.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pycolmap

from recon.sfm.job import Job, KnownCamera
from recon.sfm.stopping import Report, check


def triangulate(
    job: Job, token: pycolmap.CancellationToken, report: Report
) -> pycolmap.Reconstruction:
    """Points for the given cameras, which stay as they are.

    Raises:
        Stopped: the token was cancelled.
    """
    report("points", 0, 1, "triangulating points from the given poses")
    return _with_points(job, {image.file: image.pose for image in job.images}, {}, token)


def extend(job: Job, token: pycolmap.CancellationToken, report: Report) -> pycolmap.Reconstruction:
    """Place the job's other photos beside the known ones, which stay where they are.

    Points are triangulated anew: the features may be others than those of the earlier model.

    Raises:
        Stopped: the token was cancelled.
    """
    report("mapping", 0, len(job.images), "going on from the cameras that are known")
    poses = {camera.file: camera.pose for camera in job.known}
    start = _with_points(job, poses, {camera.file: camera for camera in job.known}, token)
    folder = _emptied(Path(job.scratch) / "known")
    start.write(folder)
    options = mapper_options(job)
    options.fix_existing_frames = True
    models = map_into("extended", job, options, token, report, placed=len(job.known), start=folder)
    return max(models, key=lambda model: model.num_reg_images(), default=start)


def mapper_options(job: Job) -> pycolmap.IncrementalPipelineOptions:
    """What all uses of the incremental mapper share."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = job.seed
    options.num_threads = job.threads
    options.image_names = [image.file for image in job.images]
    return options


def map_into(
    name: str,
    job: Job,
    options: pycolmap.IncrementalPipelineOptions,
    token: pycolmap.CancellationToken,
    report: Report,
    *,
    placed: int,
    start: Path | None = None,
) -> list[pycolmap.Reconstruction]:
    """Run the incremental mapper.

    Args:
        name: of the folder in `job.scratch` for its output.
        placed: photos that have cameras when the first more is placed, for progress.
        start: folder of a model to go on from.

    Raises:
        Stopped: the token was cancelled.
    """
    total = len(job.images)

    def count() -> None:
        nonlocal placed
        placed = min(placed + 1, total)
        report("mapping", placed, total, "placing photos")

    models = pycolmap.incremental_mapping(
        database_path=job.database,
        image_path=job.photos,
        output_path=_emptied(Path(job.scratch) / name),
        options=options,
        input_path="" if start is None else start,
        next_image_callback=count,
        cancellation_token=token,
    )
    check(token)
    return list(models.values())


def _with_points(
    job: Job,
    poses: Mapping[str, tuple[float, ...]],
    lenses: Mapping[str, KnownCamera],
    token: pycolmap.CancellationToken,
) -> pycolmap.Reconstruction:
    """A model of the photos at `poses`; lenses are the database's, unless in `lenses`."""
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(job.database) as database:
        stored = {image.name: image for image in database.read_all_images()}
        ours = {stored[file].camera_id: lens for file, lens in lenses.items() if file in stored}
        for camera in database.read_all_cameras():
            lens = ours.get(camera.camera_id)
            if lens is not None:
                camera.model = getattr(pycolmap.CameraModelId, lens.model)
                camera.params = list(lens.params)
            model.add_camera_with_trivial_rig(camera)
        for file, image in stored.items():
            if file not in poses:
                continue
            pose = np.array(poses[file]).reshape(4, 4)
            rigid = pycolmap.Rigid3d(pycolmap.Rotation3d(pose[:3, :3]), pose[:3, 3])
            model.add_image_with_trivial_frame(
                pycolmap.Image(name=file, camera_id=image.camera_id, image_id=image.image_id),
                rigid,
            )
    result = pycolmap.triangulate_points(
        reconstruction=model,
        database_path=job.database,
        image_path=job.photos,
        output_path=_emptied(Path(job.scratch) / "triangulated"),
        clear_points=True,
        options=mapper_options(job),
        refine_intrinsics=False,
        cancellation_token=token,
    )
    check(token)
    return result


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
