"""Writing to disks that fill up, are read-only, or belong to somebody else."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from recon.errors import RunDirError
from recon.fit.machine import existing_parent
from recon.formats.output import write_whole

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
# Libraries in other languages (safetensors, SQLite) report the cause in words only.
_FULL_IN_WORDS = ("no space left on device", "os error 28", "disk is full", "disk quota exceeded")


def _full(where: Path) -> RunDirError:
    return RunDirError(
        "the disk is full; what was finished before is safe",
        where=where,
        remedy="free some space, or start elsewhere with --out DIR; the same command then "
        "goes on where this one ended",
    )


def _forbidden(where: Path, error: OSError) -> RunDirError:
    return RunDirError(
        f"cannot write here ({error.strerror or error})",
        where=where,
        remedy="choose a folder that you may write to with --out DIR",
    )


def _file_in_the_way(path: Path) -> RunDirError:
    return RunDirError(
        "there is a file where a folder is needed",
        where=path,
        remedy="choose another folder with --out DIR",
    )


@contextlib.contextmanager
def clear_disk_errors(where: Path) -> Iterator[None]:
    """Turn a full or read-only disk, however it is reported, into a `RunDirError`."""
    try:
        yield
    except RunDirError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise _full(where) from error
        if error.errno in _FORBIDDEN:
            raise _forbidden(where, error) from error
        raise
    except Exception as error:
        # Errors of our own too: the worker that finds cameras can only pass on what it was told.
        if any(words in str(error).lower() for words in _FULL_IN_WORDS):
            raise _full(where) from error
        raise


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace `path` as a whole: readers, and whoever pulls the plug, see old or new."""
    write_whole(path, content.encode() if isinstance(content, str) else content)


def require_writable(path: Path) -> None:
    """Raise `RunDirError`, without writing anything, if `path` surely cannot be made or written.

    Says no on read-only disks even to root; a disk may still refuse later.
    """
    present = existing_parent(path)
    if not present.is_dir():
        raise _file_in_the_way(present)
    if not os.access(present, os.W_OK | os.X_OK):
        raise _forbidden(path, OSError(errno.EACCES, "the folder is read-only"))


def make_writable_folder(path: Path) -> None:
    """Make a folder and prove, by writing a file, that it can be written to.

    Permission bits alone tell little: root passes them, and read-only mounts ignore them.
    """
    with clear_disk_errors(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise _file_in_the_way(path) from error
        write_atomic(path / ".probe", b"recon")
        (path / ".probe").unlink(missing_ok=True)


def require_space(path: Path, needed: int) -> None:
    """Raise `RunDirError` unless `needed` bytes are free on the disk of an existing folder."""
    free = shutil.disk_usage(path).free
    if free < needed:
        raise RunDirError(
            f"this run needs about {megabytes(needed)} of disk and {megabytes(free)} are free",
            where=path,
            remedy="free some space, choose another disk with --out DIR, or lower --resolution",
        )


def megabytes(count: float) -> str:
    """A number of bytes for people."""
    if count == 0:
        return "none"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"
