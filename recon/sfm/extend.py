"""Photos that were added to a capture: placed beside the cameras that are known already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recon.capture.types import Capture
from recon.formats.lens import PosedLens, colmap_from_lens
from recon.sfm.context import SfmContext
from recon.sfm.job import JobImage, JobResult, KnownCamera
from recon.sfm.jobs import Effort, job_images, run_job
from recon.sfm.pairs import NEIGHBOURS, Pair, bridging_pairs, choose_pairs

_KNOWN_SHARE = 0.5
"""With more new photos than old ones, an old model is a poor start."""

_PLACED_SHARE = 0.9
_MOST_PAIRS = 3000


def worth_extending(known: Mapping[str, PosedLens], capture: Capture) -> bool:
    """Whether the known cameras are enough, and there are photos beside them."""
    return _KNOWN_SHARE * len(capture.photos) <= len(known) < len(capture.photos)


def extend_model(
    context: SfmContext, effort: Effort, known: Mapping[str, PosedLens], output: Path
) -> JobResult:
    """Match the new photos with all others and place them; then refine all cameras together.

    Args:
        context: the call's.
        effort: SIFT's settings.
        known: photo name -> camera in the earlier model.
        output: folder for the model.

    Raises:
        SfmError, SfmCancelled: see `run_job`.
    """
    images = job_images(context.capture.photos, effort.long_side)
    pairs, neighbours = _pairs([image.name for image in images], known, effort.overlap)
    cameras = tuple(_known(image, known[image.name]) for image in images if image.name in known)
    return run_job(context, effort, images, pairs, output, neighbours=neighbours, known=cameras)


def fits(result: JobResult, known: Mapping[str, PosedLens]) -> bool:
    """Whether the new photos found their places, so that nothing else need be tried."""
    new = len(result.photos) - len(known)
    return not result.suspicious and _placed(result, known) >= _PLACED_SHARE * new


def notice(result: JobResult, known: Mapping[str, PosedLens]) -> str:
    """What was done, in plain words."""
    new, placed = len(result.photos) - len(known), _placed(result, known)
    added = f"{new} new photo{'s' if new > 1 else ''}"
    if fits(result, known):
        return f"kept the cameras of {len(known)} photos and placed {placed} of {added} beside them"
    why = (
        f"{added} contradict the cameras of {len(known)} known ones"
        if result.suspicious
        else f"{placed} of {added} found a place beside {len(known)} known ones"
    )
    return f"looked for all cameras anew, since {why}"


def _placed(result: JobResult, known: Mapping[str, PosedLens]) -> int:
    return sum(name not in known for name in result.registered)


def _pairs(
    names: list[str], known: Mapping[str, PosedLens], overlap: int
) -> tuple[list[Pair], int]:
    """Pairs of known photos as they were matched before, and each new photo with all others."""
    old = [index for index, name in enumerate(names) if name in known]
    new = [index for index, name in enumerate(names) if name not in known]
    before, neighbours = choose_pairs([names[index] for index in old], overlap)
    pairs = {(old[i], old[j]) for i, j in before}
    if len(new) * len(names) <= _MOST_PAIRS:
        return sorted(pairs | set(bridging_pairs(len(names), new))), neighbours
    more, _ = choose_pairs(names, overlap)
    return sorted(pairs | set(more)), NEIGHBOURS


def _known(image: JobImage, posed: PosedLens) -> KnownCamera:
    camera = colmap_from_lens(posed.lens.resized(image.work_width, image.work_height))
    pose = tuple(float(value) for value in posed.cam_from_world.reshape(-1))
    return KnownCamera(image.file, camera.model, camera.params, pose)
