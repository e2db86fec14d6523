"""Cameras without the undistorted photos: the solution itself, and `Survey`, its outside view."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recon.capture.gravity import Direction
from recon.capture.types import Capture, GivenPoses
from recon.errors import RunDirError
from recon.formats.colmap import ColmapModel, write_model
from recon.formats.lens import NO_POINTS, PosedLens
from recon.geometry import Sim3
from recon.sfm.cache import (
    SOLUTION_FILE,
    forget_solution,
    load_solution,
    pose_key,
    save_solution,
    solved_before,
    with_model_points,
)
from recon.sfm.context import Evidence, SfmContext, Solution
from recon.sfm.extend import worth_extending
from recon.sfm.fill import fill_points
from recon.sfm.gravity import up_from_gravity
from recon.sfm.locate import locate
from recon.sfm.normalise import normalise
from recon.sfm.options import CancelQuestion, ProgressListener, SfmOptions
from recon.sfm.reasons import NothingPlaced, why_lost
from recon.sfm.solve import MODEL_FILES, solve, triangulate

SFM_FOLDER, CHECK_FOLDER = "sfm", "check"
_FEW_POINTS = 500


@dataclass(frozen=True)
class Survey:
    """What is known of a capture's cameras.

    Attributes:
        pose_source: "sfm", or the kind of the given poses.
        cameras: photo name -> lens and pose in the capture's own world; empty after a failure.
        norm_from_world: see `normalise`; None without cameras.
        points: number of sparse points.
        components: photos of each separate model, largest first.
        failed: (photo, reason) of those without a camera.
        reprojection_error, track_length, inconsistent_pairs: see `SfmReport`.
        evidence: of every photo and pair.
        hasty: a fit will try more.
        failure: what went wrong where there is no camera at all: (what, remedy).
    """

    pose_source: str
    cameras: dict[str, PosedLens]
    norm_from_world: Sim3 | None
    points: int
    components: tuple[int, ...]
    failed: tuple[tuple[str, str], ...]
    reprojection_error: float | None
    track_length: float | None
    inconsistent_pairs: float | None
    evidence: Evidence
    hasty: bool = False
    failure: tuple[str, str] | None = None


def survey_capture(
    capture: Capture,
    work_dir: Path,
    options: SfmOptions,
    progress: ProgressListener = lambda event: None,
    cancelled: CancelQuestion = lambda: False,
) -> Survey:
    """Find cameras, as `pose_capture` would, but stop short of undistorting photos.

    What an earlier `pose_capture` or survey of the same photos found in `work_dir`, at this
    quality or a higher one, is taken as it is. What this call computes goes to
    `work_dir/check`, where `pose_capture` finds it. That no photo could be placed is no
    error here but a finding: `Survey.failure`.

    Raises:
        CaptureError: given poses were asked for and there are none.
        SfmCancelled: `cancelled` said so; what is done so far is kept.
        SfmError: pycolmap failed.
        FormatError: a photo has changed since the capture was loaded.
        RunDirError: `work_dir` cannot be written.
    """
    known = load_survey(capture, work_dir, options)
    if known is not None:
        return known
    given = capture.poses_for(options.pose_source)
    folder = work_dir / CHECK_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        context = SfmContext(capture, options, folder, progress, cancelled)
        solution = find_solution(context, given, pose_key(capture, given, options))
    except NothingPlaced as error:
        return failed_survey(error)
    except OSError as error:
        raise RunDirError(
            f"cannot be written ({error})",
            where=folder,
            remedy="free some disk space, make the folder writable, or choose another with --out",
        ) from error
    return _survey(solution, given, capture)


def failed_survey(error: NothingPlaced) -> Survey:
    """The survey of a capture of which no photo could be placed."""
    return Survey(
        pose_source="sfm",
        cameras={},
        norm_from_world=None,
        points=0,
        components=(),
        failed=why_lost(error.evidence),
        reprojection_error=None,
        track_length=None,
        inconsistent_pairs=None,
        evidence=error.evidence,
        failure=(error.what, error.remedy),
    )


def load_survey(capture: Capture, work_dir: Path, options: SfmOptions) -> Survey | None:
    """What is known already of these very photos; None if nothing is."""
    given = capture.poses_for(options.pose_source)
    for quality in ("high", "standard", "draft"):
        asked = replace(options, quality=quality)
        key = pose_key(capture, given, asked)
        for name in (SFM_FOLDER, CHECK_FOLDER):
            context = SfmContext(capture, asked, work_dir / name, lambda event: None, lambda: False)
            solution = load_solution(context, given, key)
            if solution is not None:
                return _survey(solution, given, capture)
        if quality == options.quality:
            break
    return None


def located(context: SfmContext, solution: Solution, given: GivenPoses | None) -> Solution:
    """The solution in metres and turned north, as far as that is known.

    What lies on disk stays in the model's own world.

    Raises:
        OptionError: see `locate`.
    """
    # Whoever gives poses has chosen a world: at most its unit changes.
    gps = (
        {}
        if given is not None
        else {photo.name: photo.gps for photo in context.capture.photos if photo.gps is not None}
    )
    up = _up(solution, given, context.capture)
    location = locate(solution.cameras, gps, context.options.known_distance, up)
    move = location.world_from_model
    cameras = {
        name: replace(posed, cam_from_world=move.move_camera(posed.cam_from_world))
        for name, posed in solution.cameras.items()
    }
    points = replace(solution.points, xyz=move.apply(solution.points.xyz))
    return replace(solution, cameras=cameras, points=points, location=location)


def find_solution(context: SfmContext, given: GivenPoses | None, key: str) -> Solution:
    """The solution in the context's folder, made and stored if it is not there.

    Raises:
        SfmError, SfmCancelled, FormatError: see `survey_capture`.
    """
    solution = load_solution(context, given, key)
    if solution is None:
        if given is None:
            solution = solve(context, known_cameras(context))
        else:
            solution = _from_given(context, given)
        save_solution(context, solution, key)
    return solution


def known_cameras(context: SfmContext) -> dict[str, PosedLens]:
    """Cameras of earlier solutions beside the context's folder, the one of most photos."""
    folders = (context.folder.parent / name for name in (SFM_FOLDER, CHECK_FOLDER))
    best = max((solved_before(context, folder) for folder in folders), key=len)
    return best if worth_extending(best, context.capture) else {}


def borrow_solution(work_dir: Path, key: str) -> None:
    """Take over from `work_dir/check` a solution of the same key, if there is one."""
    source, target = work_dir / CHECK_FOLDER, work_dir / SFM_FOLDER
    if not _has_key(source, key) or _has_key(target, key):
        return
    forget_solution(target)
    for name in MODEL_FILES:
        (target / name).unlink(missing_ok=True)
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    # Last: it vouches for the model.
    shutil.copyfile(source / SOLUTION_FILE, target / SOLUTION_FILE)


def _has_key(folder: Path, key: str) -> bool:
    try:
        return f'"key": "{key}"' in (folder / SOLUTION_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _up(solution: Solution, given: GivenPoses | None, capture: Capture) -> Direction | None:
    """What is up in the solution's world, where more than the cameras' own position tells."""
    if given is not None:
        return given.world_up
    ups = {photo.name: photo.up for photo in capture.photos if photo.up is not None}
    return up_from_gravity(solution.cameras, ups)


def _survey(solution: Solution, given: GivenPoses | None, capture: Capture) -> Survey:
    poses = np.stack([posed.cam_from_world for posed in solution.cameras.values()])
    return Survey(
        pose_source=solution.pose_source,
        cameras=solution.cameras,
        norm_from_world=normalise(poses, _up(solution, given, capture)),
        points=len(solution.points),
        components=solution.components or (len(solution.cameras),),
        failed=solution.failed,
        reprojection_error=solution.reprojection_error,
        track_length=solution.track_length,
        inconsistent_pairs=solution.inconsistent_pairs,
        evidence=solution.evidence,
        hasty=solution.hasty,
    )


def _from_given(context: SfmContext, given: GivenPoses) -> Solution:
    """Points for given cameras: those that came along, from alpha masks, or triangulated."""
    if given.points is not None and len(given.points) >= _FEW_POINTS:
        solution = Solution(given.cameras, given.points, given.kind)
    elif context.capture.background is not None:
        solution = fill_points(
            context, Solution(given.cameras, given.points or NO_POINTS, given.kind)
        )
    else:
        solution = triangulate(context, given)
        if len(solution.points) < _FEW_POINTS:
            solution = fill_points(context, solution)
        else:
            return solution
    forget_solution(context.folder)
    write_model(context.folder, ColmapModel(solution.cameras, solution.points))
    return with_model_points(context.folder, solution)
