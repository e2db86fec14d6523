"""`manifest.json`: the documented, versioned record of a run. See docs/run-directory.md."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from recon.errors import RunDirError
from recon.fit.options import METHODS, MethodName

MANIFEST_VERSION = 1
MANIFEST_NAME = "manifest.json"

StageStatus = Literal["running", "done", "stopped", "failed"]
RunState = Literal["running", "done", "stopped", "failed"]
Json = dict[str, Any]


@dataclass(frozen=True)
class StageRecord:
    """What is known of one stage.

    Attributes:
        status: "done" only when all of its outputs are on disk.
        seconds: wall time of all attempts that led to this status.
        fingerprint: hash of the inputs and settings that the outputs depend on.
    """

    status: StageStatus
    seconds: float
    fingerprint: str


@dataclass(frozen=True)
class InputFile:
    """A photo as it was read: size in pixels after EXIF orientation, SHA-256 of the file."""

    width: int
    height: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The record of a run.

    Attributes:
        state: of the run as a whole.
        created, updated: UTC, ISO 8601.
        scene: absolute path of the folder of photos.
        method: what the last command asked for: "splat", "nerf" or "both".
        images: usable photos.
        registered: photos that have a camera; None before poses are known.
        failed: photos without a camera: name -> reason.
        skipped: files that are no usable photos: name -> reason.
        inputs: photo name -> what was read.
        split: "train" and "test": sorted names; "source": what fixed it.
        poses: where cameras came from: "sfm" or the format that was given.
        settings: every option of the run, resolved: nothing is left to a default.
        backend: who does the arithmetic, e.g. "native_cpu"; several with commas between.
        versions: of recon, Python and the packages that shape the result.
        norm_from_world: {"scale", "rotation" (3x3), "translation" (3)}; None before poses.
        training: method -> {"seconds" of pure training, "steps", "reason" of its end}.
        stages: stage name -> record.
        error: {"what", "remedy"} of the error that ended the last attempt, or None.
    """

    state: RunState
    created: str
    updated: str
    scene: str
    method: str
    images: int = 0
    registered: int | None = None
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, InputFile] = field(default_factory=dict)
    split: Json = field(default_factory=dict)
    poses: str = ""
    settings: Json = field(default_factory=dict)
    backend: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    norm_from_world: Json | None = None
    training: dict[str, Json] = field(default_factory=dict)
    stages: dict[str, StageRecord] = field(default_factory=dict)
    error: dict[str, str] | None = None

    def to_json(self) -> Json:
        return {"version": MANIFEST_VERSION, **dataclasses.asdict(self)}

    @property
    def trained(self) -> bool:
        """Whether training has begun, so that there is something to continue or to lose."""
        return bool(self.methods)

    @property
    def methods(self) -> tuple[MethodName, ...]:
        """The methods whose training has begun."""
        return tuple(name for name in METHODS if f"train_{name}" in self.stages)

    def seconds(self, stage: str) -> float:
        """Wall time that a stage has taken so far, 0 when it never ran."""
        record = self.stages.get(stage)
        return record.seconds if record else 0.0


def parse_manifest(text: str, where: Path) -> Manifest:
    """Read the text of a manifest.

    Raises:
        RunDirError: malformed, or written by a newer version of recon.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(where, f"it is not JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("version"), int):
        raise _malformed(where, "it has no version")
    if data["version"] > MANIFEST_VERSION:
        raise RunDirError(
            f"this run was made by a newer recon (manifest version {data['version']}, "
            f"known here: {MANIFEST_VERSION})",
            where=where,
            remedy="update recon, or choose another folder with --out",
        )
    try:
        return _from_json(data)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _malformed(where, f"{type(error).__name__}: {error}") from error


def _malformed(where: Path, why: str) -> RunDirError:
    return RunDirError(
        f"this manifest cannot be read ({why})",
        where=where,
        remedy="delete the run directory to start over, or choose another with --out",
    )


def _from_json(data: Json) -> Manifest:
    state = data["state"]
    if state not in get_args(RunState):
        raise ValueError(f"unknown state {state!r}")
    stages: dict[str, StageRecord] = {}
    for name, record in _table(data, "stages").items():
        if record["status"] not in get_args(StageStatus):
            raise ValueError(f"unknown status {record['status']!r} of stage {name}")
        stages[name] = StageRecord(
            record["status"], float(record["seconds"]), str(record["fingerprint"])
        )
    inputs = {
        name: InputFile(int(f["width"]), int(f["height"]), str(f["sha256"]))
        for name, f in _table(data, "inputs").items()
    }
    registered = data["registered"]
    norm = data["norm_from_world"]
    return Manifest(
        state=cast(RunState, state),
        created=str(data["created"]),
        updated=str(data["updated"]),
        scene=str(data["scene"]),
        method=str(data["method"]),
        images=int(data["images"]),
        registered=None if registered is None else int(registered),
        failed=_texts(data, "failed"),
        skipped=_texts(data, "skipped"),
        inputs=inputs,
        split=_table(data, "split"),
        poses=str(data["poses"]),
        settings=_table(data, "settings"),
        backend=str(data["backend"]),
        versions=_texts(data, "versions"),
        norm_from_world=None if norm is None else _table(data, "norm_from_world"),
        training={name: dict(value) for name, value in _table(data, "training").items()},
        stages=stages,
        error=None if data["error"] is None else _texts(data, "error"),
    )


def _table(data: Json, key: str) -> Json:
    value = data[key]
    if not isinstance(value, dict):
        raise TypeError(f"{key} is not an object")
    return value


def _texts(data: Json, key: str) -> dict[str, str]:
    return {str(name): str(text) for name, text in _table(data, key).items()}
