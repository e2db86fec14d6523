"""What was decided for a run, and whether it fits the run that lies there already."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recon.capture import Capture
from recon.container import scene_folder
from recon.errors import OptionError, RunDirError
from recon.fit.fingerprint import differing_photos, differing_settings, digest
from recon.fit.jobs import Job
from recon.fit.manifest import InputFile, Manifest
from recon.fit.options import DEFAULT_RUN_NAME, METHODS, FitOptions, MethodName


def _shared_identity(options: FitOptions) -> dict[str, Any]:
    """What decides the results of all methods.

    Threads and device are none of it: a run may move to another machine half-way.
    """
    return {
        "preset": options.preset,
        "poses": options.poses,
        "resolution": options.resolution,
        "seed": options.seed,
    }


def resolved_settings(options: FitOptions, jobs: Sequence[Job]) -> dict[str, Any]:
    """Everything that was decided, as plain JSON data, for the manifest.

    `identity` holds what decides the results, that of each method under its name: two runs of
    equal identity may continue each other.
    """
    shared = _shared_identity(options)
    return _plain(
        {
            "method": options.method,
            **shared,
            "device": options.device,
            "threads": options.threads,
            **{job.name: dataclasses.asdict(job.plan) for job in jobs},
            "identity": {**shared, **{job.name: job.identity() for job in jobs}},
        }
    )


def with_other_methods(settings: Mapping[str, Any], old: Manifest) -> dict[str, Any]:
    """The settings together with those of methods that only the run so far has trained."""
    before = old.settings.get("identity", {})
    kept = [name for name in old.methods if name not in settings and name in before]
    return {
        **settings,
        **{name: old.settings[name] for name in kept if name in old.settings},
        "identity": {**settings["identity"], **{name: before[name] for name in kept}},
    }


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """As it will come back from JSON (tuples as lists), so that old and new compare equal."""
    return json.loads(json.dumps(data, default=str))


def require_same_settings(old: Manifest, settings: Mapping[str, Any], where: Path) -> None:
    """Raise `RunDirError`, naming the differences, unless the run in `where` can be continued.

    Where training never began nothing can be lost: then other settings are welcome.
    """
    if not old.trained:
        return
    changes = _changes(old, settings)
    if changes:
        raise _other_run(old, changes, where)


def _changes(old: Manifest, settings: Mapping[str, Any]) -> list[str]:
    """What differs of that which is shared, and of each method that both runs train."""
    compared = {key for key in settings["identity"] if key not in METHODS or key in old.methods}
    before, after = old.settings.get("identity", {}), settings["identity"]
    return differing_settings(
        {key: before.get(key) for key in compared}, {key: after[key] for key in compared}
    )


def trained_anew(
    old: Manifest,
    settings: Mapping[str, Any],
    inputs: Mapping[str, InputFile],
    jobs: Sequence[Job],
) -> tuple[MethodName, ...]:
    """Methods whose results --no-resume discards: those it trains, and those that it would make
    untrue, because they were made from other photos or cameras.
    """
    shared = {key: value for key, value in settings["identity"].items() if key not in METHODS}
    before = old.settings.get("identity", {})
    same = all(before.get(key) == value for key, value in shared.items())
    if not same or differing_photos(old.inputs, inputs):
        return METHODS
    return tuple(job.name for job in jobs)


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
    photos = {p.name: p.content for p in capture.photos}
    # How hard SfM tries follows from the preset; given cameras do not depend on it.
    cameras = options.preset if given is None else [given.cameras, given.points, given.world_up]
    basis = ["sfm", photos, capture.split, cameras, options.resolution, options.seed]
    # Not where it is left out: so that runs from before it was known go on.
    return digest(basis if options.scale is None else [*basis, options.scale])


def training_fingerprint(options: FitOptions, job: Job, poses: str) -> str:
    """Of all that a method's trained model depends on."""
    return digest(["train", poses, _shared_identity(options), job.name, _plain(job.identity())])


def require_outside_photos(options: FitOptions, capture: Capture) -> None:
    """Renders among the photos would be taken for photos by the next run."""
    run_path, photos = options.run_path.resolve(), capture.image_dir.resolve()
    usual = (scene_folder(options.scene) / DEFAULT_RUN_NAME).resolve()
    if run_path.is_relative_to(photos) and run_path != usual:
        raise OptionError(
            "the run directory would lie among the photos",
            where=options.run_path,
            remedy="choose a folder outside of the photos with --out DIR",
        )
