"""The parent's side of the worker process."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, cast

from recon.errors import SfmError
from recon.sfm.job import Job, JobResult
from recon.sfm.options import (
    CancelQuestion,
    ProgressListener,
    SfmCancelled,
    SfmProgress,
    SfmStage,
)

_POLL_SECONDS = 0.2
GRACE_SECONDS = 20.0
WORKER = ("-m", "recon.sfm.worker")
_LOG = "colmap.log"


def run_worker(
    job: Job, folder: Path, progress: ProgressListener, cancelled: CancelQuestion
) -> JobResult:
    """Run one job in a child process and wait for it.

    Args:
        job: what to do.
        folder: where the job file and COLMAP's log are written.
        progress: called in this thread.
        cancelled: asked several times a second.

    Raises:
        SfmCancelled: `cancelled` said so.
        SfmError: the child failed, crashed or was killed.
    """
    job_file, log_file = folder / "job.json", folder / _LOG
    job.save(job_file)
    with log_file.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, *WORKER, str(job_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(job.threads),
        )
    try:
        return _listen(child, log_file, progress, cancelled)
    finally:
        _end(child)


def _environment(threads: int) -> dict[str, str]:
    """The child finds this very package, and BLAS does not start more threads than asked."""
    package_parent = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH", "")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (package_parent, known))),
        "OMP_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
    }


def _listen(
    child: subprocess.Popen[bytes],
    log_file: Path,
    progress: ProgressListener,
    cancelled: CancelQuestion,
) -> JobResult:
    lines: queue.Queue[bytes | None] = queue.Queue()
    reader = threading.Thread(target=_pump, args=(child.stdout, lines), daemon=True)
    reader.start()
    while True:
        if cancelled():
            raise SfmCancelled
        try:
            line = lines.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            raise _crash(child, log_file)
        message = _message(line)
        match message.get("event"):
            case "progress":
                stage = cast(SfmStage, message["stage"])
                progress(SfmProgress(stage, message["done"], message["total"], message["text"]))
            case "result":
                del message["event"]
                return JobResult.from_json(message)
            case "error":
                raise SfmError(
                    f"structure from motion failed ({message.get('what')})",
                    where=log_file,
                    remedy="the log file says more; run again with --preset high, or report "
                    "the log if it persists",
                )
            case "stopped":
                raise SfmCancelled
            case _:
                continue


def _pump(stream: IO[bytes] | None, lines: queue.Queue[bytes | None]) -> None:
    for line in stream or ():
        lines.put(line)
    lines.put(None)


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _crash(child: subprocess.Popen[bytes], log_file: Path) -> SfmError:
    status = child.wait(timeout=GRACE_SECONDS)
    killed = status in (-9, 137)
    return SfmError(
        f"the structure-from-motion process died (status {status})",
        where=log_file,
        remedy="it was probably killed for lack of memory: close other programs, or use "
        "--preset draft or fewer photos"
        if killed
        else "run the same command again, finished parts are kept; the log file says more",
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close the child's input, which asks it to stop, and make sure that it does."""
    if child.stdin is not None:
        child.stdin.close()
    deadline = time.monotonic() + GRACE_SECONDS
    try:
        child.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
