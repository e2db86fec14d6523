"""What a person sees of a bug: one line, and where the details are."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

from recon.fit.rundir import now
from recon.fit.versions import package_versions


def report_crash(error: Exception, words: Sequence[str]) -> int:
    """Write the traceback to a file and tell where; returns the exit code."""
    text = "\n".join(
        [
            f"recon {' '.join(words)}",
            now(),
            *(f"{name} {version}" for name, version in package_versions().items()),
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    summary = f"{type(error).__name__}: {error}".splitlines()[0]
    print(f"error: this should not have happened: {summary}", file=sys.stderr)
    try:
        handle, path = tempfile.mkstemp(prefix="recon-crash-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        print(text, file=sys.stderr)  # nowhere to write: better a traceback than nothing
    else:
        print(f"  The details are in {path}; please report it with that file", file=sys.stderr)
    return 1
