"""One process at a time in a run directory."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import IO

from recon.errors import RunDirError

LOCK_NAME = ".lock"

if sys.platform == "win32":
    import msvcrt

    # A byte far behind the content, so that others can still read who holds the lock.
    _OFFSET = 1 << 30

    def _try_lock(file: IO[str]) -> bool:
        try:
            os.lseek(file.fileno(), _OFFSET, os.SEEK_SET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class RunLock:
    """An advisory lock that the operating system drops when its holder dies, however it dies.

    The file is left behind: its content names the last holder, and removing it would let two
    processes hold a lock on two files of the same name.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            RunDirError: another process works in this directory.
        """
        file = self._path.open("a+", encoding="utf-8")
        if not _try_lock(file):
            file.close()
            raise RunDirError(
                f"another recon is working in this run directory{_holder(self._path)}",
                where=self._path.parent,
                remedy="wait until it has finished, stop it, or choose another folder "
                "with --out DIR",
            )
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f" (process {holder['pid']} on {holder['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # it has only just been opened, or is being written
