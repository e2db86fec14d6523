"""Photos and pose files out of a zip, which may be hostile."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from recon.capture.scan import EXTENSIONS, MAX_FILES
from recon.errors import CaptureError, FormatError

MAX_BYTES = 32 << 30
_MAX_MEMBER = 2 << 30
_MAX_RATIO = 200
_POSE_ENDINGS = frozenset({".json", ".bin", ".txt", ".npy", ".xml", ".csv", ".out", ".lst"})
_CHUNK = 1 << 20


def unzip(archive: Path, folder: Path, progress: Callable[[int, int], None]) -> None:
    """Unpack photos and pose files into a folder; everything else is left in the archive.

    A single folder around everything is dropped.

    Raises:
        FormatError: not a zip, encrypted, members that lead out of the folder, or far larger
            unpacked than any capture.
        CaptureError: no photo in it.
        OSError: the folder cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as source:
            members = [(info, name) for info in source.infolist() if (name := _wanted(info))]
            if len(members) > MAX_FILES:
                raise _refused(archive, f"more than {MAX_FILES} files")
            if not any(name.suffix.lower() in EXTENSIONS for _, name in members):
                raise CaptureError(
                    "there are no photos in this archive",
                    where=archive,
                    remedy="zip the folder that holds the JPEG, PNG, WebP, TIFF, HEIC or raw files",
                )
            total = sum(info.file_size for info, _ in members)
            packed = sum(info.compress_size for info, _ in members)
            if total > MAX_BYTES or total > _MAX_RATIO * max(packed, _CHUNK):
                raise _refused(archive, f"{total / 1e9:.0f} GB when unpacked")
            tops = {name.parts[0] for _, name in members}
            strip = len(tops) == 1 and all(len(name.parts) > 1 for _, name in members)
            for done, (info, name) in enumerate(members, start=1):
                target = folder.joinpath(*name.parts[1 if strip else 0 :])
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(source, info, target, archive)
                progress(done, len(members))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise FormatError(
            f"this archive cannot be read ({error})", where=archive, remedy="make it again"
        ) from error
    except RuntimeError as error:
        raise FormatError(
            f"this archive cannot be unpacked ({error})",
            where=archive,
            remedy="make it again, without a password",
        ) from error


def _wanted(info: zipfile.ZipInfo) -> PurePosixPath | None:
    """The member's path, None for what is not unpacked; links are never followed nor made.

    Raises:
        FormatError: it leads out of the folder.
    """
    name = PurePosixPath(info.filename.replace("\\", "/"))
    if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
        return None
    if name.is_absolute() or ".." in name.parts or ":" in info.filename or "\0" in info.filename:
        raise FormatError(
            f"a member leads out of the folder: {info.filename[:80]!r}",
            remedy="do not trust this archive",
        )
    hidden = any(part.startswith(".") or part in ("__MACOSX", "recon") for part in name.parts)
    known = name.suffix.lower() in EXTENSIONS | _POSE_ENDINGS
    return name if known and not hidden else None


def _copy(source: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, archive: Path) -> None:
    """The header's size is a claim: no more than that is written."""
    if info.file_size > _MAX_MEMBER:
        raise _refused(archive, f"{info.filename[:80]!r} has {info.file_size / 1e9:.0f} GB")
    left = info.file_size
    try:
        packed = source.open(info)
    except OSError as error:  # the directory sends us before the start of the file
        raise zipfile.BadZipFile(f"{info.filename[:80]!r} is not where it should be") from error
    with packed, target.open("wb") as out:
        while chunk := packed.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise _refused(archive, f"{info.filename[:80]!r} is larger than it says")
            out.write(chunk)
    if left:
        raise zipfile.BadZipFile(f"{info.filename[:80]!r} is shorter than it says")


def _refused(archive: Path, why: str) -> FormatError:
    return FormatError(
        f"this archive is refused: {why}",
        where=archive,
        remedy="unpack it yourself if you trust it",
    )
