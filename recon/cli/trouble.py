"""What an error is to a person: the words of the terminal and of the viewer's page, and the exit
code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recon.errors import ReconError


@dataclass(frozen=True)
class Trouble:
    """What is said of an error, and with which code the command ends."""

    text: str
    exit_code: int = 1


def explain(error: Exception, words: Sequence[str]) -> Trouble:
    """What to say of an error of the command line `words`. Of a bug, the details go to a file."""
    match error:
        case ReconError():
            return Trouble(str(error), error.exit_code)
        case MemoryError():
            remedy = "lower --resolution or --max-splats; the same command then goes on"
            return Trouble(f"not enough memory ({error})\n  What to do: {remedy}")
        case _:
            from recon.cli.crash import crash_text

            return Trouble(crash_text(error, words))
