"""What need not be computed again: keys of the inputs, and the solution kept beside the model."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from recon.capture.look import PhotoLook
from recon.capture.types import Capture, GivenPoses
from recon.errors import FormatError
from recon.formats.colmap import read_model
from recon.sfm.context import Evidence, SfmContext, Solution
from recon.sfm.job import Link, PhotoFacts
from recon.sfm.options import SfmOptions, StageTime

SOLUTION_FILE = "solution.json"
HASTY = "-hasty"
"""Ends the key of a solution for which not all was tried: only checks take it."""

_RECIPE = 5
"""Raised whenever the same inputs would give another result, so that old ones are not reused."""

_SCENE_RECIPE = 1

_PLAIN_FIELDS = (
    "pose_source",
    "reprojection_error",
    "track_length",
    "inconsistent_pairs",
)


def pose_key(capture: Capture, given: GivenPoses | None, options: SfmOptions) -> str:
    """Changes whenever the cameras and points would."""
    digest = hashlib.sha256()
    basis = [_RECIPE, options.quality, options.seed, given is None, capture.background]
    digest.update(json.dumps(basis).encode())
    for photo in capture.photos:
        line = [photo.name, photo.content, photo.orientation, photo.focal, photo.camera]
        # Sampled points are taken from training photos, so the split matters as well.
        digest.update(json.dumps([*line, capture.split[photo.name]]).encode())
    if given is not None:
        digest.update(given.kind.encode())
        for name, posed in sorted(given.cameras.items()):
            digest.update(repr((name, posed.lens)).encode())
            digest.update(posed.cam_from_world.tobytes())
        if given.points is not None:
            digest.update(given.points.xyz.tobytes())
    return digest.hexdigest()


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
            evidence=_evidence(data["evidence"]),
            hasty=hasty,
            **{name: data[name] for name in _PLAIN_FIELDS},
        )
    except (OSError, ValueError, KeyError, TypeError, FormatError, RecursionError):
        return None
    context.stages.update({stage.stage: stage for stage in stages})
    return solution


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
