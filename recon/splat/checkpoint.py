"""Checkpoints of splat training: everything that a run needs to go on as if never interrupted."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from recon.errors import FormatError
from recon.kernels import layout
from recon.kernels.layout import SplatStats
from recon.splat.state import SplatState

_FORMAT = "recon-splat-checkpoint-1"
_KEPT = 2


@dataclass(frozen=True)
class Position:
    """Where training stands.

    Attributes:
        step: steps done.
        seconds: training time so far.
        first_count: splats at the very start.
        order: views still to come in this round.
        generator: state of the random generator.
    """

    step: int
    seconds: float
    first_count: int
    order: list[int]
    generator: torch.Tensor


def save_checkpoint(folder: Path, state: SplatState, position: Position) -> Path:
    """Write a checkpoint atomically and drop all but the newest few."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"splat-{position.step:07d}.safetensors"
    temporary = path.with_name(path.name + ".part")
    metadata = {
        "format": _FORMAT,
        "position": json.dumps(
            {
                "step": position.step,
                "seconds": position.seconds,
                "first_count": position.first_count,
                "order": position.order,
            }
        ),
    }
    state = state.to(torch.device("cpu"))
    tensors = {
        "rows": state.rows(),
        "first": layout.blocks_to_rows(state.first, state.n),
        "second": layout.blocks_to_rows(state.second, state.n),
        "error": state.stats.error,
        "gradient": state.stats.gradient,
        "visible": state.stats.visible,
        "generator": position.generator,
    }
    save_file(tensors, temporary, metadata=metadata)
    os.replace(temporary, path)
    for old in list_checkpoints(folder)[:-_KEPT]:
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints in a folder, oldest first."""
    return sorted(folder.glob("splat-*.safetensors"))


def load_checkpoint(path: Path) -> tuple[SplatState, Position]:
    """Read a checkpoint, into main memory.

    Raises:
        FormatError: it is truncated, not a checkpoint, or inconsistent.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if metadata.get("format") != _FORMAT:
            raise FormatError("this is not a recon checkpoint", where=path)
        tensors = load_file(path)
        where = json.loads(metadata["position"])
        position = Position(
            step=int(where["step"]),
            seconds=float(where["seconds"]),
            first_count=int(where["first_count"]),
            order=[int(i) for i in where["order"]],
            generator=tensors["generator"],
        )
        rows = tensors["rows"]
        n = len(rows)
        if rows.shape != (n, layout.ROWS) or any(
            tensors[key].shape != rows.shape for key in ("first", "second")
        ):
            raise FormatError("the arrays of this checkpoint do not fit together", where=path)
        state = SplatState.from_rows(rows, tensors["first"], tensors["second"])
        stats = [tensors[key] for key in ("error", "gradient", "visible")]
        if any(part.shape != (n,) for part in stats):
            raise FormatError("the arrays of this checkpoint do not fit together", where=path)
        state.stats = SplatStats(*(part.clone() for part in stats))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"this checkpoint cannot be read ({error})",
            where=path,
            remedy="delete it: training goes on from an older one, or from the start",
        ) from error
    return state, position
