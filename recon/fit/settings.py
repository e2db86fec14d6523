"""What was decided for a run, and whether it fits the run that lies there already."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon.capture import Capture
from recon.errors import OptionError, RunDirError
from recon.fit.fingerprint import differing_photos, differing_settings, digest
from recon.fit.manifest import InputFile, Manifest
from recon.fit.options import DEFAULT_RUN_NAME, FitOptions
from recon.fit.parts import TrainableMethod


def identity(options: FitOptions, method: TrainableMethod, plan: Any) -> dict[str, Any]:
    """All settings that decide the result; two runs of equal identity may continue each other.

    Threads and device are none of them: a run may move to another machine half-way.
    """
    return _plain(
        {
            "preset": options.preset,
            "poses": options.poses,
            "resolution": options.resolution,
            "seed": options.seed,
            **method.identity(plan),
        }
    )


def resolved_settings(options: FitOptions, method: TrainableMethod, plan: Any) -> dict[str, Any]:
    """Everything that was decided, as plain JSON data, for the manifest."""
    return _plain(
        {
            "method": options.method,
            "preset": options.preset,
            "poses": options.poses,
            "resolution": options.resolution,
            "seed": options.seed,
            "device": options.device,
            "threads": options.threads,
            method.name: dataclasses.asdict(plan),
            "identity": identity(options, method, plan),
        }
    )


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """As it will come back from JSON (tuples as lists), so that old and new compare equal."""
    return json.loads(json.dumps(data, default=str))


def require_same_settings(old: Manifest, settings: Mapping[str, Any], where: Path) -> None:
    """Raise `RunDirError`, naming the differences, unless the run in `where` can be continued.

    Where training never began nothing can be lost: then other settings are welcome.
    """
    if not old.trained:
        return
    changes = differing_settings(old.settings.get("identity", {}), settings["identity"])
    if changes:
        raise _other_run(old, changes, where)


def require_same_photos(old: Manifest, new: Mapping[str, InputFile], where: Path) -> None:
    """Raise `RunDirError`, naming the differences, if the photos that `old` trained on changed."""
    changes = differing_photos(old.inputs, new) if old.trained else []
    if changes:
        raise _other_run(old, changes, where)


def _other_run(old: Manifest, changes: list[str], where: Path) -> RunDirError:
    kind = "a finished" if old.state == "done" else "an unfinished"
    return RunDirError(
        f"{kind} run with other inputs or settings lies here:\n    " + "\n    ".join(changes),
        where=where,
        remedy="add --no-resume to train anew in this folder (camera poses are kept where "
        "they still fit), or --out DIR to keep both",
    )


def photo_inputs(capture: Capture) -> dict[str, InputFile]:
    return {p.name: InputFile(p.width, p.height, p.digest) for p in capture.photos}


def pose_source(options: FitOptions, capture: Capture) -> str:
    """ "sfm", or the kind of the given poses that are used."""
    given = capture.poses_for(options.poses)
    return "sfm" if given is None else given.kind


def pose_fingerprint(options: FitOptions, capture: Capture) -> str:
    """Of all that the posed scene depends on."""
    given = capture.poses_for(options.poses)
    photos = {p.name: p.digest for p in capture.photos}
    # How hard SfM tries follows from the preset; given cameras do not depend on it.
    cameras = options.preset if given is None else [given.cameras, given.points, given.world_up]
    return digest(["sfm", photos, capture.split, cameras, options.resolution, options.seed])


def training_fingerprint(
    options: FitOptions, method: TrainableMethod, plan: Any, poses: str
) -> str:
    """Of all that the trained model depends on."""
    return digest(["train", poses, identity(options, method, plan)])


def require_outside_photos(options: FitOptions, capture: Capture) -> None:
    """Renders among the photos would be taken for photos by the next run."""
    run_path, photos = options.run_path.resolve(), capture.image_dir.resolve()
    usual = (options.scene / DEFAULT_RUN_NAME).resolve()
    if run_path.is_relative_to(photos) and run_path != usual:
        raise OptionError(
            "the run directory would lie among the photos",
            where=options.run_path,
            remedy="choose a folder outside of the photos with --out DIR",
        )
