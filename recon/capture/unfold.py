"""A scene in one file, made into a folder: frames of a video, photos of a zip."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from recon.capture.archive import unzip
from recon.container import ARCHIVE_SUFFIXES, is_container, scene_folder
from recon.errors import CaptureError, RunDirError

NOTE_FILE = "unfolded.json"
_RECIPE = 1


def unfold(path: Path, progress: Callable[[int, int], None]) -> tuple[Path, tuple[str, ...]]:
    """The scene's folder, filled if need be, and what to tell of it; folders stay as they are.

    What an earlier call made of the same file is kept.

    Raises:
        CaptureError, FormatError: see `extract_frames` and `unzip`; or a folder of other things
            lies where this one would go.
        RunDirError: the folder cannot be written.
    """
    if path.is_dir() or not is_container(path):
        return path, ()
    if not path.is_file():
        raise CaptureError("there is no such file", where=path, remedy="check the path")
    folder = scene_folder(path)
    status = path.stat()
    key = [_RECIPE, path.name, status.st_size, status.st_mtime_ns]
    note = _read_note(folder)
    if note is not None and note["key"] == key:
        return folder, tuple(note["notices"])
    if note is None and folder.exists() and any(folder.iterdir()):
        raise CaptureError(
            f"{folder.name} is in the way: {path.name} would unfold into it",
            where=folder,
            remedy="rename that folder or the file",
        )
    try:
        notices = _fill(path, folder, progress)
        partial = folder / f".{NOTE_FILE}.part"
        partial.write_text(json.dumps({"key": key, "notices": notices}), encoding="utf-8")
        os.replace(partial, folder / NOTE_FILE)
    except OSError as error:
        raise RunDirError(
            f"cannot be written ({error})",
            where=folder,
            remedy=f"free some space, or copy {path.name} to a place that you may write to",
        ) from error
    return folder, notices


def _fill(path: Path, folder: Path, progress: Callable[[int, int], None]) -> tuple[str, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    # From now on the folder is known as ours, also after a crash.
    (folder / NOTE_FILE).write_text(json.dumps({"key": [], "notices": []}), encoding="utf-8")
    if path.suffix.lower() in ARCHIVE_SUFFIXES:
        unzip(path, folder, progress)
        return ()
    from recon.capture.video import extract_frames

    frames = extract_frames(path, folder / "images", progress)
    notices = (
        f"took {len(frames.taken)} of the {frames.total} frames of {path.name}: the sharpest of "
        "each stretch of the way",
    )
    if frames.cut:
        notices += (f"{path.name} breaks off or is damaged; what came before is used",)
    return notices


def _read_note(folder: Path) -> dict | None:
    try:
        data = json.loads((folder / NOTE_FILE).read_text(encoding="utf-8"))
        return data if isinstance(data["key"], list) and isinstance(data["notices"], list) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
