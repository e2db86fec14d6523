"""Typed errors. Each says what is wrong, where, and what to do about it."""

from __future__ import annotations

from pathlib import Path


class ReconError(Exception):
    """Base of every error that recon raises on purpose.

    Args:
        what: one sentence, what is wrong.
        remedy: what the person can do about it.
        where: the file or folder concerned, if there is one.
    """

    exit_code = 1

    def __init__(self, what: str, *, remedy: str = "", where: str | Path | None = None) -> None:
        self.what = what
        self.remedy = remedy
        self.where = None if where is None else str(where)
        super().__init__(self.__str__())

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  What to do: {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{remedy}"


class CaptureError(ReconError):
    """The photos cannot be used: none, too few, unreadable."""

    exit_code = 3


class FormatError(ReconError):
    """A file is not what its name says: truncated, malformed, or beyond the limits we accept."""

    exit_code = 4


class SfmError(ReconError):
    """Structure from motion found no usable camera poses."""

    exit_code = 5


class BackendUnavailable(ReconError):
    """A backend was asked for that does not work on this machine."""

    exit_code = 6


class RunDirError(ReconError):
    """The run directory cannot be read, written, or does not match the request."""

    exit_code = 7


class TrainingError(ReconError):
    """Training cannot go on: a loss or a parameter that is not finite, or no training views."""

    exit_code = 8


class OptionError(ReconError):
    """An option or a combination of options makes no sense."""

    exit_code = 2
