"""The policy of structure from motion: what to try, in which order, and what to keep."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from recon.capture.load import MIN_PHOTOS
from recon.capture.types import Capture, GivenPoses
from recon.formats.colmap import read_model
from recon.formats.lens import PosedLens
from recon.sfm.cache import forget_solution
from recon.sfm.context import Evidence, SfmContext, Solution
from recon.sfm.extend import extend_model, fits, notice
from recon.sfm.job import JobImage, JobResult
from recon.sfm.jobs import EFFORTS, Effort, copies_folder, effort_for, job_images, run_job
from recon.sfm.looks import look_at_photos
from recon.sfm.mirror import mirrored_photos
from recon.sfm.options import Quality
from recon.sfm.pairs import (
    Pair,
    all_pairs,
    bridging_pairs,
    choose_pairs,
    posed_pairs,
    sequential_pairs,
)
from recon.sfm.reasons import FEW_KEYPOINTS, nothing_placed, why_lost

_FEW, _VERY_FEW, _HOPELESS = 0.9, 0.6, 0.3
_SMALL_SET, _EXHAUSTIVE_RETRY, _FAR_OVERLAP = 24, 150, 25
MODEL_FILES = ("cameras.bin", "images.bin", "points3D.bin", "rigs.bin", "frames.bin")


@dataclass(frozen=True)
class Attempt:
    """Settings of one try.

    Attributes:
        effort: SIFT's settings.
        reach: match the "first" pairs, or also "bridges" from every photo still lost to all
            others, or "all" pairs.
        init_angle: degrees that the starting pair must subtend.
        finer: on larger copies than the quality asks for.
    """

    effort: Effort
    reach: str
    init_angle: float = 16.0
    finer: bool = False


def solve(context: SfmContext, known: Mapping[str, PosedLens] | None = None) -> Solution:
    """Structure from motion from nothing but the photos.

    Args:
        context: the call's.
        known: photo name -> camera in an earlier model, to be gone on from.

    Raises:
        NothingPlaced: no attempt placed at least three photos.
        SfmCancelled: the caller asked to stop.
    """
    photos = context.capture.photos
    effort = effort_for(context.options.quality, photos)
    pairs, neighbours = choose_pairs([photo.name for photo in photos], effort.overlap)
    best: JobResult | None = None
    notices: tuple[str, ...] = ()
    largest = max(max(photo.width, photo.height) for photo in photos)
    attempts = _attempts(effort, context.options.quality, largest)
    output = context.folder / "attempt"
    if known:
        best = extend_model(context, effort, known, output)
        _adopt(output, context.folder)
        notices = (notice(best, known),)
        attempts = [] if fits(best, known) else attempts
    tried: set[tuple[Effort, float, int]] = set()
    hasty = False
    for attempt in attempts:
        if best is not None and not _worth_trying(best, attempt, len(photos)):
            continue
        if attempt.effort.affine and not context.options.thorough:
            hasty = True
            break
        pairs = _reach(pairs, attempt, context.capture, best)
        same = (attempt.effort, attempt.init_angle, len(pairs))
        if same in tried:
            # The further reach adds no pair that has not been matched: the model would be
            # the same again.
            continue
        tried.add(same)
        images = job_images(photos, attempt.effort.long_side)
        result = run_job(
            context,
            attempt.effort,
            images,
            pairs,
            output,
            neighbours=neighbours,
            init_angle=attempt.init_angle,
        )
        if best is None or _score(result) > _score(best):
            best = result
            _adopt(output, context.folder)
    assert best is not None  # there is always something to try
    images = job_images(photos, effort.long_side)
    evidence = _evidence(context, effort, images, best)
    if len(best.registered) < MIN_PHOTOS:
        raise nothing_placed(context.capture, evidence)
    mirrored = mirrored_photos(context, effort, images, best)
    evidence = replace(evidence, mirrored=mirrored)
    model = read_model(context.folder)
    return Solution(
        cameras=model.images,
        points=model.points,
        pose_source="sfm",
        failed=why_lost(evidence),
        components=best.components,
        reprojection_error=_known(best.reprojection_error),
        track_length=_known(best.track_length),
        inconsistent_pairs=_known(best.inconsistent_pairs),
        evidence=evidence,
        hasty=hasty,
        notices=notices,
    )


def triangulate(context: SfmContext, given: GivenPoses) -> Solution:
    """Points for given cameras, which stay as they are.

    Raises:
        SfmError: pycolmap failed.
        SfmCancelled: the caller asked to stop.
    """
    photos = tuple(photo for photo in context.capture.photos if photo.name in given.cameras)
    posed = [given.cameras[photo.name] for photo in photos]
    pairs = posed_pairs(
        np.stack([item.centre for item in posed]),
        np.stack([item.cam_from_world[2, :3] for item in posed]),
    )
    effort = effort_for(context.options.quality, photos)
    images = job_images(photos, effort.long_side, given)
    output = context.folder / "attempt"
    result = run_job(context, effort, images, pairs, output, triangulate=True)
    _adopt(output, context.folder)
    return Solution(
        cameras=given.cameras,
        points=read_model(context.folder).points,
        pose_source=given.kind,
        reprojection_error=_known(result.reprojection_error),
        track_length=_known(result.track_length),
        inconsistent_pairs=_known(result.inconsistent_pairs),
        evidence=_evidence(context, effort, images, result),
    )


def _attempts(effort: Effort, quality: Quality, largest: int) -> list[Attempt]:
    """From the usual to the costly; `_worth_trying` says when each is made.

    `largest` is the longest side of any photo.
    """
    wide = replace(effort, affine=True)
    last = replace(wide, first_octave=-1, max_features=max(8192, effort.max_features))
    attempts = [
        Attempt(effort, "first"),
        Attempt(effort, "bridges"),
        Attempt(effort, "all"),
        Attempt(wide, "all"),
    ]
    if quality == "draft" and largest > effort.long_side:
        attempts.append(Attempt(replace(EFFORTS["standard"], affine=True), "all", finer=True))
    return [*attempts, Attempt(last, "all", init_angle=4.0)]


def _worth_trying(best: JobResult, attempt: Attempt, photos: int) -> bool:
    share = len(best.registered) / photos
    wrong = best.suspicious
    if attempt.reach == "bridges":
        return _FEW <= share < 1.0 and not wrong
    if not attempt.effort.affine:
        return share < _FEW or wrong
    elsewhere = _other_scenes(best)
    share = len(best.registered) / (photos - len(elsewhere))
    if len(best.links) < _HOPELESS * photos:
        # Where all pairs hardly gave a match, slant is not what is in the way.
        return False
    if attempt.finer:
        # In a small set every photo counts, if there is something to be seen in it.
        lost = [
            facts
            for name, facts in best.photos.items()
            if facts.component is None and name not in elsewhere
        ]
        return photos <= _SMALL_SET and any(f.keypoints >= FEW_KEYPOINTS for f in lost)
    if attempt.init_angle < Attempt.init_angle:
        return share < _VERY_FEW
    # In a small set every photo counts, and the wider search takes well under a minute.
    return share < (1.0 if photos <= _SMALL_SET else _FEW) or wrong


def _other_scenes(result: JobResult) -> set[str]:
    """Photos that hang together with a model of their own, but in no way with the largest one.

    No effort joins what does not have a single match in common, and that the other scene is
    complete helps nobody.
    """
    names = list(result.photos)
    number = {name: index for index, name in enumerate(names)}
    ends = [[number[link.first], number[link.second]] for link in result.links]
    rows, columns = np.array(ends, dtype=int).reshape(-1, 2).T
    matches = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(names)))
    scene_of = connected_components(matches, directed=False)[1]
    parts = [result.photos[name].component for name in names]
    placed = {scene for scene, part in zip(scene_of, parts, strict=True) if part is not None}
    largest = {scene for scene, part in zip(scene_of, parts, strict=True) if part == 0}
    return {name for name, scene in zip(names, scene_of, strict=True) if scene in placed - largest}


def _reach(
    pairs: list[Pair], attempt: Attempt, capture: Capture, best: JobResult | None
) -> list[Pair]:
    count = len(capture.photos)
    if attempt.reach == "all":
        # All pairs of hundreds of photos would take hours: then only further neighbours.
        affordable = count <= _EXHAUSTIVE_RETRY
        more = all_pairs(count) if affordable else sequential_pairs(count, _FAR_OVERLAP)
        return sorted({*pairs, *more})
    if attempt.reach == "bridges" and best is not None:
        known = set(best.registered)
        lost = [i for i, photo in enumerate(capture.photos) if photo.name not in known]
        return sorted({*pairs, *bridging_pairs(count, lost)})
    return pairs


def _score(result: JobResult) -> tuple[bool, int]:
    """Trustworthy models first, then more photos.

    Between equals the earlier attempt wins: affine features are placed less exactly.
    """
    return not result.suspicious, len(result.registered)


def _adopt(output: Path, folder: Path) -> None:
    """Make an attempt's model the folder's own; what vouched for the one before is gone."""
    forget_solution(folder)
    for name in MODEL_FILES:
        (folder / name).unlink(missing_ok=True)
        if (output / name).is_file():
            os.replace(output / name, folder / name)
    shutil.rmtree(output, ignore_errors=True)


def _evidence(
    context: SfmContext, effort: Effort, images: tuple[JobImage, ...], result: JobResult
) -> Evidence:
    looks = look_at_photos(context, copies_folder(context, effort), images)
    return Evidence(looks, result.photos, result.links)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
