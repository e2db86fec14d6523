"""The child process that runs pycolmap: `python -m recon.sfm.worker JOB.json`.

It speaks JSON lines on standard output and stops when its standard input closes, so that it
never outlives its parent. COLMAP's own log goes to standard error.
"""

# pycolmap imported before zlib corrupts the heap of later PNG writes (measured, 10 of 10).
import zlib  # noqa: F401  isort: skip

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy  # noqa: F401
import pycolmap

from recon.sfm.job import Job
from recon.sfm.mapping import run_job
from recon.sfm.stopping import Stopped


def main() -> int:
    """Run the job named on the command line; the exit status is 0 even for refusals."""
    # Ctrl-C reaches the whole process group; the parent decides and closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever else prints to standard output must not break the protocol.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    token = pycolmap.CancellationToken()
    threading.Thread(target=_watch_stdin, args=(token,), daemon=True).start()

    def send(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    def progress(stage: str, done: int, total: int, text: str) -> None:
        send({"event": "progress", "stage": stage, "done": done, "total": total, "text": text})

    pycolmap.logging.minloglevel = pycolmap.logging.WARNING.value
    try:
        result = run_job(Job.load(Path(sys.argv[1])), token, progress)
    except Stopped:
        send({"event": "stopped"})
    except Exception as error:  # the parent turns it into an SfmError
        send({"event": "error", "what": f"{type(error).__name__}: {error}"[:2000]})
        raise
    else:
        send({"event": "result", **asdict(result)})
    return 0


def _watch_stdin(token: pycolmap.CancellationToken) -> None:
    sys.stdin.read()
    token.cancel()


if __name__ == "__main__":
    sys.exit(main())
