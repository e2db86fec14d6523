"""What a person sees of a bug: one line, and where the details are."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Sequence

from recon.fit.rundir import now
from recon.fit.versions import package_versions


def crash_text(error: Exception, words: Sequence[str]) -> str:
    """Writes the traceback to a file; returns what to tell, and where that is."""
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
    summary = f"this should not have happened: {summary}"
    try:
        handle, path = tempfile.mkstemp(prefix="recon-crash-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return f"{summary}\n{text}"  # nowhere to write: better a traceback than nothing
    return f"{summary}\n  The details are in {path}; please report it with that file"
