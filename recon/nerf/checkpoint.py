"""Checkpoints of NeRF training: everything that a run needs to go on as if never interrupted.

Random numbers are functions of the seed and the step, so the position holds the generator too.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recon.errors import FormatError
from recon.kernels.field_ops import FEATURES, RECORD, WEIGHTS, FieldShape, StepResult
from recon.kernels.field_tensors import FieldState, FieldWeights
from recon.nerf.pace import PastStep
from recon.nerf.region import Region
from recon.training.checkpoint import read_checkpoint, write_checkpoint

METHOD = "nerf"
_FORMAT = "recon-nerf-checkpoint-1"
_EXPOSURES = ("exposure", "exposure_first", "exposure_second")


@dataclass(frozen=True)
class Position:
    """Where training stands.

    Attributes:
        step: steps done.
        seconds: so far.
        rays, coarseness: of the next step: how many, and the factor of its step length.
        region, shape: that the field was laid out for.
        under_way: steps done whose results those two do not follow yet, oldest first.
        room: `NativeFieldEngine.room`.
    """

    step: int
    seconds: float
    rays: int
    coarseness: float
    region: Region
    shape: FieldShape
    under_way: tuple[PastStep, ...] = ()
    room: tuple[int, int] | None = None


def save_checkpoint(folder: Path, state: FieldState, position: Position) -> Path:
    """Write a checkpoint atomically and drop all but the newest few."""
    state = state.to(torch.device("cpu"))
    tensors = {
        "records": state.records,
        "mlp": state.weights.mlp,
        "mlp_first": state.mlp_first,
        "mlp_second": state.mlp_second,
        "density": state.density,
        "occupied": state.weights.occupied,
    }
    if state.exposure is not None:
        tensors |= {name: getattr(state, name) for name in _EXPOSURES}
    where = dataclasses.asdict(position)
    return write_checkpoint(folder, METHOD, position.step, tensors, where, _FORMAT)


def load_checkpoint(path: Path) -> tuple[FieldState, Position]:
    """Read a checkpoint.

    Raises:
        FormatError: it is truncated, not a checkpoint, or inconsistent.
    """

    def build(
        tensors: dict[str, torch.Tensor], where: dict[str, Any]
    ) -> tuple[FieldState, Position]:
        shape = shape_from_json(where["shape"])
        position = Position(
            step=int(where["step"]),
            seconds=float(where["seconds"]),
            rays=int(where["rays"]),
            coarseness=float(where["coarseness"]),
            region=Region(
                centre=_triple(where["region"]["centre"]),
                half=float(where["region"]["half"]),
                near=float(where["region"]["near"]),
                far=float(where["region"]["far"]),
                bounded=bool(where["region"]["bounded"]),
            ),
            shape=shape,
            # Checkpoints from before there were steps under way have neither.
            under_way=tuple(_past_step(step) for step in where.get("under_way", ())),
            room=_room(where.get("room")),
        )
        cells = shape.grid**3
        wanted: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
            "records": ((shape.entries, RECORD), torch.float32),
            "mlp": ((WEIGHTS,), torch.float32),
            "mlp_first": ((WEIGHTS,), torch.float32),
            "mlp_second": ((WEIGHTS,), torch.float32),
            "density": ((cells,), torch.float32),
            "occupied": ((cells // 8,), torch.uint8),
        }
        if "exposure" in tensors:
            photos = (tuple(tensors["exposure"].shape), torch.float32)
            wanted |= dict.fromkeys(_EXPOSURES, photos)
        for name, (size, dtype) in wanted.items():
            if tuple(tensors[name].shape) != size or tensors[name].dtype != dtype:
                raise FormatError("the arrays of this checkpoint do not fit together", where=path)
        # Files hold arrays at multiples of 8 bytes; kernels read vectors of 16.
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        parts = {name: tensors[name] for name in wanted if name not in ("mlp", "occupied")}
        table = tensors["records"][:, :FEATURES].half()
        weights = FieldWeights(table, tensors["mlp"], tensors["occupied"])
        return FieldState(weights=weights, **parts), position

    return read_checkpoint(path, _FORMAT, build)


def shape_from_json(data: dict[str, Any]) -> FieldShape:
    """A shape from what `dataclasses.asdict` made of it, after JSON."""
    return FieldShape(
        base=int(data["base"]),
        finest=int(data["finest"]),
        log2_table=int(data["log2_table"]),
        grid=int(data["grid"]),
        contracted=bool(data["contracted"]),
        centre=_triple(data["centre"]),
        half=float(data["half"]),
        density_bias=float(data["density_bias"]),
    )


def _past_step(data: dict[str, Any]) -> PastStep:
    result = data["result"]
    return PastStep(
        rays=int(data["rays"]),
        coarseness=float(data["coarseness"]),
        result=StepResult(
            loss=float(result["loss"]),
            error=float(result["error"]),
            marched=int(result["marched"]),
            live=int(result["live"]),
            evaluated=int(result["evaluated"]),
            complete=bool(result["complete"]),
        ),
    )


def _room(values: list[int] | None) -> tuple[int, int] | None:
    if values is None:
        return None
    samples, live = (int(v) for v in values)
    return samples, live


def _triple(values: list[float]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
