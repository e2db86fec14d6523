"""What the comparison must know of a foreign program, and how one is found and run."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.model import RadianceModel
from recon.scene import PosedScene


@dataclass(frozen=True)
class Trained:
    """What a peer made.

    Attributes:
        model: renders the held-out views of the scene, in normalised space.
        seconds: wall time of the training program, its loading included.
        settings: what it was told.
        peak_mb: largest resident memory of its processes.
    """

    model: RadianceModel
    seconds: float
    settings: dict[str, Any]
    peak_mb: float


class Peer(ABC):
    """A foreign method. Making one finds its programs; SystemExit says how to get them."""

    name: str
    size_unit: str

    @abstractmethod
    def train(self, scene: PosedScene, work: Path, steps: int | None) -> Trained:
        """Train on the training views of `scene`; `work` is an empty folder."""


def find_program(name: str, variable: str, how: str, folder: str = "bin") -> Path:
    """A program, from the environment that `variable` names, or from the PATH.

    Raises:
        SystemExit: it is not there; the message says `how` to get it.
    """
    home = os.environ.get(variable)
    if home:
        for candidate in (Path(home) / folder / name, Path(home) / name, Path(home)):
            if candidate.is_file() and candidate.name == name:
                return candidate
        raise SystemExit(f"{variable}={home} has no program {name!r}.\n{how}")
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"the program {name!r} is not installed (nor is {variable} set).\n{how}")
    return Path(found)


@dataclass(frozen=True)
class Finished:
    """How a program ran: wall seconds, and largest resident memory of its processes in MB."""

    seconds: float
    peak_mb: float


def call(words: Sequence[str | Path], log: Path, environment: Mapping[str, str]) -> Finished:
    """Run a program to its end, its output into `log`.

    Raises:
        SystemExit: it failed; the message has the end of its output.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    start = time.monotonic()
    with log.open("wb") as file:
        code = subprocess.call(
            [str(word) for word in words],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )
    seconds = time.monotonic() - start
    if code != 0:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        command = shlex.join(map(str, words))
        raise SystemExit("\n".join([f"failed with code {code}: {command}", *tail]))
    # The largest of all children so far: of this one, unless an earlier one was greedier.
    peak = max(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, before)
    return Finished(seconds, round(peak / 1024, 1))
