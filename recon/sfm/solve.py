"""The policy of structure from motion: what to try, in which order, and what to keep."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from recon.capture.types import Capture, GivenPoses
from recon.errors import SfmError
from recon.formats.colmap import read_model
from recon.formats.lens import PosedLens
from recon.sfm.context import SfmContext, Solution
from recon.sfm.job import JobResult
from recon.sfm.jobs import Effort, effort_for, job_images, run_job
from recon.sfm.pairs import (
    Pair,
    all_pairs,
    bridging_pairs,
    choose_pairs,
    posed_pairs,
    sequential_pairs,
)

SUSPICIOUS = 0.03
"""Above this share of contradicting pairs a model is probably wrong."""

_FEW, _VERY_FEW = 0.9, 0.6
_SMALL_SET, _EXHAUSTIVE_RETRY, _FAR_OVERLAP = 24, 150, 25
_FOCAL_SHARES = (0.4, 3.0)
_FEW_KEYPOINTS, _BLURRED_SHARE = 300, 0.25
_MODEL_FILES = ("cameras.bin", "images.bin", "points3D.bin", "rigs.bin", "frames.bin")


@dataclass(frozen=True)
class Attempt:
    """Settings of one try.

    Attributes:
        effort: SIFT's settings.
        reach: match the "first" pairs, or also "bridges" from every photo still lost to all
            others, or "all" pairs.
        init_angle: degrees that the starting pair must subtend.
    """

    effort: Effort
    reach: str
    init_angle: float = 16.0


def solve(context: SfmContext) -> Solution:
    """Structure from motion from nothing but the photos.

    Raises:
        SfmError: no attempt placed at least three photos.
        SfmCancelled: the caller asked to stop.
    """
    photos = context.capture.photos
    effort = effort_for(context.options.quality, photos)
    pairs = choose_pairs([photo.name for photo in photos], effort.overlap)
    best: JobResult | None = None
    tried: set[tuple[Effort, float, int]] = set()
    for attempt in _attempts(effort):
        if best is not None and not _worth_trying(best, attempt, len(photos)):
            continue
        pairs = _reach(pairs, attempt, context.capture, best)
        same = (attempt.effort, attempt.init_angle, len(pairs))
        if same in tried:
            # The further reach adds no pair that has not been matched: the model would be
            # the same again.
            continue
        tried.add(same)
        images = job_images(photos, attempt.effort.long_side)
        output = context.folder / "attempt"
        result = run_job(
            context, attempt.effort, images, pairs, output, init_angle=attempt.init_angle
        )
        if best is None or _score(result) > _score(best):
            best = result
            _adopt(output, context.folder)
    if best is None or len(best.registered) < 3:
        raise _nothing_found(context.capture, best)
    model = read_model(context.folder)
    return Solution(
        cameras=model.images,
        points=model.points,
        pose_source="sfm",
        failed=_lost(context.capture, best),
        components=best.components,
        reprojection_error=_known(best.reprojection_error),
        track_length=_known(best.track_length),
        inconsistent_pairs=_known(best.inconsistent_pairs),
        notices=_notices(best, len(photos)) + _odd_lenses(model.images),
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
    share = result.inconsistent_pairs
    notices = ()
    if share > SUSPICIOUS:
        notices = (
            f"the given poses contradict the photos in {share:.0%} of the well matched pairs; "
            "if the result is blurred, let recon compute the poses (--poses sfm)",
        )
    return Solution(
        cameras=given.cameras,
        points=read_model(context.folder).points,
        pose_source=given.kind,
        reprojection_error=_known(result.reprojection_error),
        track_length=_known(result.track_length),
        inconsistent_pairs=_known(share),
        notices=notices,
    )


def _attempts(effort: Effort) -> list[Attempt]:
    """From the usual to the costly; `_worth_trying` says when each is made."""
    wide = replace(effort, affine=True)
    last = replace(wide, first_octave=-1, max_features=max(8192, effort.max_features))
    return [
        Attempt(effort, "first"),
        Attempt(effort, "bridges"),
        Attempt(effort, "all"),
        Attempt(wide, "all"),
        Attempt(last, "all", init_angle=4.0),
    ]


def _worth_trying(best: JobResult, attempt: Attempt, photos: int) -> bool:
    share = len(best.registered) / photos
    wrong = best.inconsistent_pairs > SUSPICIOUS
    if attempt.reach == "bridges":
        return _FEW <= share < 1.0 and not wrong
    if not attempt.effort.affine:
        return share < _FEW or wrong
    if attempt.init_angle < Attempt.init_angle:
        return share < _VERY_FEW
    # In a small set every photo counts, and the wider search takes well under a minute.
    return share < (1.0 if photos <= _SMALL_SET else _FEW) or wrong


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
    return not result.inconsistent_pairs > SUSPICIOUS, len(result.registered)


def _adopt(output: Path, folder: Path) -> None:
    """Make an attempt's model the folder's own."""
    for name in _MODEL_FILES:
        (folder / name).unlink(missing_ok=True)
        if (output / name).is_file():
            os.replace(output / name, folder / name)
    shutil.rmtree(output, ignore_errors=True)


def _lost(capture: Capture, result: JobResult) -> tuple[tuple[str, str], ...]:
    """Photos without a camera, and why, in plain words."""
    known = set(result.registered)
    typical = median(result.keypoints.values()) if result.keypoints else 0
    failed = []
    for photo in capture.photos:
        if photo.name in known:
            continue
        features = result.keypoints.get(photo.name, 0)
        partners = result.matches.get(photo.name, 0)
        if features < _FEW_KEYPOINTS or features < _BLURRED_SHARE * typical:
            reason = f"hardly any detail: {features} features, {typical:.0f} are typical here"
        elif partners == 0:
            reason = "does not overlap with any other photo"
        elif len(result.components) > 1:
            reason = "belongs to a part that does not connect with the others"
        else:
            reason = f"overlaps too little: matches {partners} other photos, but weakly"
        failed.append((photo.name, reason))
    return tuple(failed)


def _notices(result: JobResult, photos: int) -> tuple[str, ...]:
    notices: list[str] = []
    if result.inconsistent_pairs > SUSPICIOUS:
        notices.append(
            f"{result.inconsistent_pairs:.0%} of the well matched pairs contradict the poses: "
            "repeated or mirrored structures may have been confused; add photos between "
            "distant viewpoints"
        )
    if len(result.components) > 1:
        parts = ", ".join(str(size) for size in result.components)
        notices.append(
            f"the photos fall into separate parts ({parts} photos); the largest is used. "
            "Photos that show two parts at once would join them"
        )
    if len(result.registered) < _FEW * photos:
        notices.append(f"only {len(result.registered)} of {photos} photos could be placed")
    return tuple(notices)


def _odd_lenses(cameras: dict[str, PosedLens]) -> tuple[str, ...]:
    """A notice for focal lengths that no ordinary camera has: the sign of a bent model."""
    shares = {
        round(0.5 * (lens.fx + lens.fy) / max(lens.width, lens.height), 2)
        for lens in (posed.lens for posed in cameras.values())
    }
    odd = sorted(share for share in shares if not _FOCAL_SHARES[0] < share < _FOCAL_SHARES[1])
    if not odd:
        return ()
    return (
        f"the focal length came out at {odd[0]:.2f} times the photo's longer side, which is "
        "unusual: the shape may be bent. Photos from more directions would settle it",
    )


def _nothing_found(capture: Capture, result: JobResult | None) -> SfmError:
    count = len(capture.photos)
    keypoints = list(result.keypoints.values()) if result is not None else []
    matches = sum(result.matches.values()) // 2 if result is not None else 0
    typical = median(keypoints) if keypoints else 0
    if typical < _FEW_KEYPOINTS:
        return SfmError(
            f"the photos show too little detail: {typical:.0f} features in a typical one",
            where=capture.image_dir,
            remedy="avoid blur and plain surfaces; put a textured cloth or newspaper under and "
            "behind the object",
        )
    if matches < count - 1:
        return SfmError(
            f"the photos hardly overlap: {matches} pairs of {count} photos show the same thing",
            where=capture.image_dir,
            remedy="take photos in small steps, so that neighbours share two thirds of what "
            "they show",
        )
    return SfmError(
        "no two photos see the same thing from different places",
        where=capture.image_dir,
        remedy="walk sideways between photos; turning on the spot gives no depth",
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
