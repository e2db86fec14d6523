"""Checkpoints of splat training: everything that a run needs to go on as if never interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recon.errors import FormatError
from recon.kernels import layout
from recon.kernels.layout import SplatStats
from recon.splat.state import SplatState
from recon.training.checkpoint import read_checkpoint, write_checkpoint

METHOD = "splat"
_FORMAT = "recon-splat-checkpoint-1"


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
    where = {
        "step": position.step,
        "seconds": position.seconds,
        "first_count": position.first_count,
        "order": position.order,
    }
    return write_checkpoint(folder, METHOD, position.step, tensors, where, _FORMAT)


def load_checkpoint(path: Path) -> tuple[SplatState, Position]:
    """Read a checkpoint, into main memory.

    Raises:
        FormatError: it is truncated, not a checkpoint, or inconsistent.
    """

    def build(
        tensors: dict[str, torch.Tensor], where: dict[str, Any]
    ) -> tuple[SplatState, Position]:
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
        return state, position

    return read_checkpoint(path, _FORMAT, build)
