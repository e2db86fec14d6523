"""`pose_capture`: from photos to a `PosedScene`, doing again nothing that is done."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from recon.capture.types import Capture, GivenPoses
from recon.errors import FormatError, RunDirError
from recon.scene import PosedScene, SparsePoints, View
from recon.sfm.cache import pose_key, scene_key
from recon.sfm.context import SfmContext, Solution
from recon.sfm.normalise import filter_points, normalise
from recon.sfm.options import (
    CancelQuestion,
    ProgressListener,
    SfmOptions,
    SfmReport,
    StageTime,
)
from recon.sfm.store import SCENE_FILE, load_scene, save_scene
from recon.sfm.survey import SFM_FOLDER, borrow_solution, find_solution, located
from recon.sfm.undistort import plan, undistort

REPORT_FILE = "sfm.json"
IMAGES_FOLDER, MASKS_FOLDER = "images", "masks"


def pose_capture(
    capture: Capture,
    work_dir: Path,
    options: SfmOptions,
    progress: ProgressListener = lambda event: None,
    cancelled: CancelQuestion = lambda: False,
) -> PosedScene:
    """Find a camera for every photo, undistort the photos, and normalise the scene.

    Leaves in `work_dir`: `scene.json`, `points.safetensors`, `images/` (undistorted PNG) and
    `masks/` where photos have masks, `sfm.json` (see `load_report`), and `sfm/` with the COLMAP
    model in the capture's own world. The same call with the same inputs again reads those and
    returns.

    Args:
        capture: from `load_capture`.
        work_dir: made if it does not exist.
        options: see `SfmOptions`.
        progress: called in this thread.
        cancelled: asked several times a second.

    Raises:
        CaptureError: given poses were asked for and there are none.
        SfmCancelled: `cancelled` said so; what is done so far is kept.
        SfmError: no usable poses were found, or pycolmap failed.
        FormatError: a photo has changed since the capture was loaded.
        RunDirError: `work_dir` cannot be written.
    """
    given = capture.poses_for(options.pose_source)
    poses = pose_key(capture, given, options)
    key = scene_key(poses, given, options)
    done = _load_done(work_dir, key)
    if done is not None:
        return done
    try:
        (work_dir / SCENE_FILE).unlink(missing_ok=True)
        folder = work_dir / SFM_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        context = SfmContext(capture, options, folder, progress, cancelled)
        borrow_solution(work_dir, poses)
        solution = located(context, find_solution(context, given, poses), given)
        scene = _scene(context, solution, given, work_dir)
        _save_report(work_dir, _report(context, solution, scene), key)
        save_scene(scene, work_dir)
    except OSError as error:
        raise RunDirError(
            f"cannot be written ({error})",
            where=work_dir,
            remedy="free some disk space, make the folder writable, or choose another with --out",
        ) from error
    return scene


def load_report(work_dir: Path) -> SfmReport:
    """The report that `pose_capture` left.

    Raises:
        FormatError: it is missing or malformed.
    """
    path = work_dir / REPORT_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["report"]
        data["stages"] = tuple(StageTime(**item) for item in data["stages"])
        data["components"] = tuple(data["components"])
        data["notices"] = tuple(data["notices"])
        return SfmReport(**data)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(
            f"not a readable report ({error})", where=path, remedy="run recon fit again"
        ) from error


def _scene(
    context: SfmContext, solution: Solution, given: GivenPoses | None, work_dir: Path
) -> PosedScene:
    """Normalise, undistort, and put together."""
    photos = {photo.name: photo for photo in context.capture.photos}
    names = sorted(name for name in solution.cameras if name in photos)
    poses = np.stack([solution.cameras[name].cam_from_world for name in names])
    up = solution.location.up if given is None else given.world_up
    norm_from_world = normalise(poses, up)
    plans = [
        plan(
            photos[name],
            solution.cameras[name].lens,
            norm_from_world.move_camera(solution.cameras[name].cam_from_world),
            context.options.long_side,
            work_dir / IMAGES_FOLDER,
            work_dir / MASKS_FOLDER,
        )
        for name in names
    ]
    tasks = [partial(undistort, item) for item in plans]
    context.in_threads("undistort", "undistorting photos", tasks)
    points = filter_points(solution.points, norm_from_world)
    split = context.capture.split
    lost = solution.failed
    if given is not None:
        reason = f"has no pose in {given.source.name}"
        lost = tuple((name, reason) for name in sorted(photos) if name not in given.cameras)
    return PosedScene(
        views=tuple(
            View(p.photo.name, p.path, p.camera, split[p.photo.name], p.mask_path) for p in plans
        ),
        points=SparsePoints(norm_from_world.apply(points.xyz).astype(np.float32), points.rgb),
        norm_from_world=norm_from_world,
        background=context.capture.background,
        failed=lost,
    )


def _report(context: SfmContext, solution: Solution, scene: PosedScene) -> SfmReport:
    return SfmReport(
        pose_source=solution.pose_source,
        photos=len(context.capture.photos),
        registered=len(scene.views),
        points=len(scene.points),
        reprojection_error=solution.reprojection_error,
        track_length=solution.track_length,
        inconsistent_pairs=solution.inconsistent_pairs,
        components=solution.components or (len(scene.views),),
        stages=tuple(context.stages.values()),
        notices=solution.notices + solution.location.notices,
        unit=solution.location.unit,
        north=solution.location.north,
    )


def _save_report(work_dir: Path, report: SfmReport, key: str) -> None:
    partial_path = work_dir / f".{REPORT_FILE}.part"
    data = {"version": 1, "key": key, "report": asdict(report)}
    partial_path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    os.replace(partial_path, work_dir / REPORT_FILE)


def _load_done(work_dir: Path, key: str) -> PosedScene | None:
    """The finished scene of the same inputs, if it is there and whole."""
    try:
        data = json.loads((work_dir / REPORT_FILE).read_text(encoding="utf-8"))
        if data["key"] != key:
            return None
        scene = load_scene(work_dir)
    except (OSError, ValueError, KeyError, TypeError, FormatError, RecursionError):
        return None
    paths = [path for view in scene.views for path in (view.image_path, view.mask_path)]
    return scene if all(path is None or path.is_file() for path in paths) else None
