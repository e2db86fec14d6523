"""What a run directory holds, read leniently: a part that is missing or broken becomes a note.

The other readers of these files refuse what they do not understand. A report is what people open
when something went wrong, so this one takes what it can get and says what it could not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from recon.errors import ReconError, RunDirError
from recon.evaluate import picture_files
from recon.scene import PosedScene

_MAX_JSON_BYTES = 64 << 20
_MAX_EVENT_BYTES = 256 << 20
_MAX_LINE_BYTES = 64 << 10


@dataclass(frozen=True)
class StageTime:
    """A stage with its wall time in seconds and its status ("done", "failed", ...)."""

    name: str
    seconds: float
    status: str


@dataclass(frozen=True)
class RunFacts:
    """From manifest.json; empty or None where it says nothing. Names are those of the manifest."""

    title: str
    state: str = ""
    updated: str = ""
    method: str = ""
    backend: str = ""
    poses: str = ""
    images: int | None = None
    registered: int | None = None
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stages: tuple[StageTime, ...] = ()
    error: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ViewFigures:
    """One held-out view in eval.json: figures (None if absent) and the name of its pictures."""

    name: str
    psnr: float | None
    ssim: float | None
    file: str
    masked: bool


@dataclass(frozen=True)
class MethodFigures:
    """A method's entry in eval.json. `size` counts `size_unit` ("splats" or "parameters")."""

    method: str
    psnr: float | None
    ssim: float | None
    width: int | None
    height: int | None
    size: int | None
    size_unit: str
    train_seconds: float | None
    render_seconds: float | None
    pixels_per_second: float | None
    views: tuple[ViewFigures, ...]
    unscored: Mapping[str, str]
    definitions: Mapping[str, str]


@dataclass(frozen=True)
class TrainingCourse:
    """From events.jsonl: (seconds, value) points in the order of time, and what was said.

    `psnr_views` is the number of held-out views that each value of `psnr` is the mean of.
    """

    loss: tuple[tuple[float, float], ...] = ()
    size: tuple[tuple[float, float], ...] = ()
    psnr: tuple[tuple[float, float], ...] = ()
    psnr_views: int = 0
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunData:
    """Everything that a report draws on.

    Attributes:
        folder: the run directory.
        facts, methods, scene: its parts.
        courses: the course of each method's training.
        notes: what is missing or could not be read, in plain words.
    """

    folder: Path
    facts: RunFacts
    methods: tuple[MethodFigures, ...]
    courses: Mapping[str, TrainingCourse]
    scene: PosedScene | None
    notes: tuple[str, ...]


def read_run(folder: Path) -> RunData:
    """Read all that there is in `folder`. Never raises because of what the files hold."""
    notes: list[str] = []
    manifest = _read_json(folder / "manifest.json", notes)
    evals = _read_json(folder / "eval.json", notes)
    # The name of a method is also that of its folder of renders.
    methods = (_method(name, table(evals, name)) for name in evals if _is_file_name(name))
    return RunData(
        folder=folder,
        facts=_facts(manifest, folder),
        methods=tuple(methods),
        courses=read_courses(folder / "events.jsonl", notes),
        scene=_scene(folder, notes),
        notes=tuple(notes),
    )


def number(data: Mapping[str, Any], key: str) -> float | None:
    """A finite number, or None."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        as_float = float(value)
    except OverflowError:
        return None
    return as_float if math.isfinite(as_float) else None


def whole(data: Mapping[str, Any], key: str) -> int | None:
    """A whole number, not negative and of no absurd size, or None."""
    value = number(data, key)
    return int(value) if value is not None and 0 <= value < 1e15 else None


def table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A nested object, empty when there is none."""
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _texts(data: Mapping[str, Any], key: str) -> dict[str, str]:
    return {name: str(value) for name, value in table(data, key).items()}


def _read_json(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError("it is too large")
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError("it is no JSON object")
        return data
    except FileNotFoundError:
        notes.append(f"There is no {path.name} in the run directory.")
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"{path.name} cannot be read: {_local(error, path.parent)}.")
    return {}


def _facts(data: Mapping[str, Any], folder: Path) -> RunFacts:
    stages = [
        StageTime(name, seconds, _text(record, "status"))
        for name, record in ((n, table(table(data, "stages"), n)) for n in table(data, "stages"))
        if (seconds := number(record, "seconds")) is not None and seconds >= 0
    ]
    training = table(data, "training")
    return RunFacts(
        title=_title(_text(data, "scene"), folder),
        state=_text(data, "state"),
        updated=_text(data, "updated"),
        method=_text(data, "method"),
        backend=_text(data, "backend"),
        poses=_text(data, "poses"),
        images=whole(data, "images"),
        registered=whole(data, "registered"),
        failed=_texts(data, "failed"),
        skipped=_texts(data, "skipped"),
        settings=table(data, "settings"),
        versions=_texts(data, "versions"),
        training={name: table(training, name) for name in training},
        stages=tuple(stages),
        error=_texts(data, "error"),
    )


def _title(scene: str, folder: Path) -> str:
    """The last folder's name alone: the page is made to be passed on, paths are private."""
    kind = PureWindowsPath if "\\" in scene else PurePosixPath
    resolved = folder.resolve()
    return kind(scene).name or (resolved.parent.name if resolved.name == "recon" else resolved.name)


def _method(name: str, entry: Mapping[str, Any]) -> MethodFigures:
    views = table(entry, "views")
    files = picture_files(views)
    unit = "parameters" if "parameters" in entry else "splats"
    return MethodFigures(
        method=name,
        psnr=number(entry, "psnr"),
        ssim=number(entry, "ssim"),
        width=whole(entry, "width"),
        height=whole(entry, "height"),
        size=whole(entry, unit),
        size_unit=unit,
        train_seconds=number(entry, "train_seconds"),
        render_seconds=number(entry, "render_seconds"),
        pixels_per_second=number(entry, "pixels_per_second"),
        views=tuple(_view(view, table(views, view), files[view]) for view in views),
        unscored=_texts(entry, "unscored"),
        definitions=_texts(entry, "definitions"),
    )


def _view(name: str, entry: Mapping[str, Any], default_file: str) -> ViewFigures:
    file = _text(entry, "file") or default_file
    if not _is_file_name(file):
        file = default_file  # it would lead out of the folder of renders
    return ViewFigures(
        name, number(entry, "psnr"), number(entry, "ssim"), file, entry.get("masked") is True
    )


def _is_file_name(name: str) -> bool:
    """Whether a name leads nowhere else, on any system."""
    plain = PurePosixPath(name).name == name == PureWindowsPath(name).name
    return plain and name not in ("", ".", "..") and "\0" not in name


def read_courses(path: Path, notes: list[str] | None = None) -> dict[str, TrainingCourse]:
    """By method; lines that do not say are of splats, which once were all that there was.

    What cannot be read is added to `notes`.
    """
    notes = [] if notes is None else notes
    by_method: dict[str, list[dict[str, Any]]] = {}
    try:
        for event in _events(path):
            by_method.setdefault(_text(event, "method") or "splat", []).append(event)
    except FileNotFoundError:
        notes.append(f"There is no {path.name}: the course of training is not shown.")
    except OSError as error:
        notes.append(f"{path.name} cannot be read: {_local(error, path.parent)}.")
    return {method: _course(events) for method, events in by_method.items()}


def _course(events: list[dict[str, Any]]) -> TrainingCourse:
    loss: list[tuple[float, float]] = []
    size: list[tuple[float, float]] = []
    psnr: list[tuple[float, float]] = []
    notices: list[str] = []
    psnr_views = 0
    for event in events:
        kind, seconds = event.get("type"), number(event, "seconds")
        if kind == "notice":
            notices.append(_text(event, "text"))
        if seconds is None:
            continue
        if kind == "step":
            if (value := number(event, "loss")) is not None:
                loss.append((seconds, value))
            if (splats := number(event, "size")) is not None:
                size.append((seconds, splats))
        if kind == "eval" and (value := number(event, "psnr")) is not None:
            psnr.append((seconds, value))
            psnr_views = whole(event, "views") or 0
    kept = tuple(text for text in dict.fromkeys(notices) if text)
    return TrainingCourse(
        tuple(sorted(loss)), tuple(sorted(size)), tuple(sorted(psnr)), psnr_views, kept
    )


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are JSON objects; a process that was killed may leave half a line."""
    left = _MAX_EVENT_BYTES
    with path.open("rb") as file:
        while left > 0 and (line := file.readline(_MAX_LINE_BYTES)):
            left -= len(line)
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                yield event


def _scene(folder: Path, notes: list[str]) -> PosedScene | None:
    # Imported here: the layer of SfM is heavy, and reports of other things do without it.
    from recon.sfm import load_scene

    try:
        if not (folder / "scene.json").is_file():
            raise RunDirError("there is no scene.json")
        return load_scene(folder)
    except (ReconError, OSError) as error:
        what = error.what if isinstance(error, ReconError) else str(error)
        notes.append(f"The cameras and the sparse cloud cannot be read: {_local(what, folder)}.")
    return None


def _local(message: object, folder: Path) -> str:
    """A message without the private part of paths: the page is made to be passed on."""
    return str(message).replace(str(folder), folder.name)
