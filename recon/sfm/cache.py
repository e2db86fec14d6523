"""What need not be computed again: keys of the inputs, and the solution kept beside the model."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from recon.capture.look import PhotoLook
from recon.capture.types import Capture, GivenPoses, Photo
from recon.errors import FormatError
from recon.formats.colmap import read_model
from recon.formats.lens import PosedLens
from recon.sfm.context import Evidence, SfmContext, Solution
from recon.sfm.job import SUSPICIOUS, Link, PhotoFacts
from recon.sfm.options import EFFORT, SfmOptions, StageTime

SOLUTION_FILE = "solution.json"
HASTY = "-hasty"
"""Ends the key of a solution for which not all was tried: only checks take it."""

_RECIPE = 6
"""Raised whenever the same inputs would give another result, so that old ones are not reused."""

_SCENE_RECIPE = 2

_PLAIN_FIELDS = (
    "pose_source",
    "reprojection_error",
    "track_length",
    "inconsistent_pairs",
)
_PHOTOS = "contents"
_SOUND_SHARE = 0.9

_UNUSABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    FormatError,
)
"""What reading a solution can raise that is absent, broken, or another program's."""


def pose_key(capture: Capture, given: GivenPoses | None, options: SfmOptions) -> str:
    """Changes whenever the cameras and points would."""
    digest = hashlib.sha256()
    basis = [_RECIPE, options.quality, options.seed, given is None, capture.background]
    digest.update(json.dumps(basis).encode())
    for photo in capture.photos:
        # Sampled points are taken from training photos, so the split matters as well.
        line = [photo.name, *photo_key(photo), capture.split[photo.name]]
        digest.update(json.dumps(line).encode())
    if given is not None:
        digest.update(given.kind.encode())
        for name, posed in sorted(given.cameras.items()):
            digest.update(repr((name, posed.lens)).encode())
            digest.update(posed.cam_from_world.tobytes())
        if given.points is not None:
            digest.update(given.points.xyz.tobytes())
    return digest.hexdigest()


def photo_key(photo: Photo) -> list[str | int | float | None]:
    """All of a photo that its camera depends on, whatever it is called."""
    return [photo.content, photo.orientation, photo.focal, photo.camera]


def scene_key(poses: str, given: GivenPoses | None, options: SfmOptions) -> str:
    """Changes whenever the scene would; `poses` is the `pose_key`."""
    up = None if given is None else given.world_up
    known = None if options.known_distance is None else asdict(options.known_distance)
    basis = [_SCENE_RECIPE, poses, options.long_side, up, known]
    return hashlib.sha256(json.dumps(basis).encode()).hexdigest()


def save_solution(context: SfmContext, solution: Solution, key: str) -> None:
    """Write what the model in `context.folder` does not hold; atomic."""
    data: dict[str, Any] = {name: getattr(solution, name) for name in _PLAIN_FIELDS}
    data |= {
        "version": 1,
        "key": key + HASTY if solution.hasty else key,
        "failed": [list(item) for item in solution.failed],
        "components": list(solution.components),
        "notices": list(solution.notices),
        "quality": context.options.quality,
        "basis": _basis(context),
        _PHOTOS: {photo.name: photo_key(photo) for photo in context.capture.photos},
        "evidence": asdict(solution.evidence),
        "stages": [asdict(stage) for stage in context.stages.values()],
    }
    partial = context.folder / f".{SOLUTION_FILE}.part"
    partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
    os.replace(partial, context.folder / SOLUTION_FILE)


def load_solution(context: SfmContext, given: GivenPoses | None, key: str) -> Solution | None:
    """The solution of the same inputs, if it is there and whole; its times go to `context`."""
    try:
        data = _read(context.folder / SOLUTION_FILE)
        hasty = data["key"] == key + HASTY
        if data["key"] != key and not (hasty and not context.options.thorough):
            return None
        model = read_model(context.folder)
        stages = [StageTime(**item) for item in data["stages"]]
        solution = Solution(
            cameras=model.images if given is None else given.cameras,
            points=model.points,
            failed=tuple((str(name), str(reason)) for name, reason in data["failed"]),
            components=tuple(data["components"]),
            notices=tuple(data["notices"]),
            evidence=_evidence(data["evidence"]),
            hasty=hasty,
            **{name: data[name] for name in _PLAIN_FIELDS},
        )
    except _UNUSABLE:
        return None
    context.stages.update({stage.stage: stage for stage in stages})
    return solution


def solved_before(context: SfmContext, folder: Path) -> dict[str, PosedLens]:
    """Cameras that an earlier SfM in a folder found for photos that the capture still has.

    Photos are recognised by what is in them, not by their names.

    Returns:
        Photo name, as the capture has it -> camera in the earlier world. Empty where there is
        no such solution, or none to build upon: not found by SfM, with less effort than is
        asked for now, with another seed, lacking photos, or contradicting its matches.
    """
    try:
        data = _read(folder / SOLUTION_FILE)
        if (
            data["pose_source"] != "sfm"
            or EFFORT[data["quality"]] < EFFORT[context.options.quality]
            or data["basis"] != _basis(context)
            or (data["inconsistent_pairs"] or 0.0) > SUSPICIOUS
            or data["components"][0] < _SOUND_SHARE * len(data[_PHOTOS])
        ):
            return {}
        found = read_model(folder).images
        by_content = {
            json.dumps(key): found[name] for name, key in data[_PHOTOS].items() if name in found
        }
    except _UNUSABLE:
        return {}
    keys = {photo.name: json.dumps(photo_key(photo)) for photo in context.capture.photos}
    return {name: by_content[key] for name, key in keys.items() if key in by_content}


def _basis(context: SfmContext) -> list[Any]:
    """What two solutions must have in common for one to go on from the other."""
    background = context.capture.background
    return [_RECIPE, context.options.seed, None if background is None else list(background)]


def _evidence(data: dict[str, Any]) -> Evidence:
    return Evidence(
        looks={name: PhotoLook(**look) for name, look in data["looks"].items()},
        photos={name: PhotoFacts(**facts) for name, facts in data["photos"].items()},
        links=tuple(Link(**link) for link in data["links"]),
        mirrored=tuple(data["mirrored"]),
    )


def forget_solution(folder: Path) -> None:
    """Before the model is replaced, so that a crash cannot pair it with an old solution."""
    (folder / SOLUTION_FILE).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("version") != 1:
        raise ValueError("not a solution that this recon wrote")
    return data


def with_model_points(folder: Path, solution: Solution) -> Solution:
    """The solution with the points as the model's file gives them back.

    So a run and its repetition from the file see the very same.
    """
    return replace(solution, points=read_model(folder).points)
