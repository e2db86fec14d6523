"""The first state of a field."""

from __future__ import annotations

import math

import numpy as np
import torch

from recon.kernels.field_ops import FEATURES, LAYERS, RECORD, FieldShape
from recon.kernels.field_tensors import FieldState, FieldWeights

_TABLE_SPREAD = 1e-4
_CHANNELS = 3


def initial_state(
    shape: FieldShape, seed: int, density: torch.Tensor, photos: int | None
) -> FieldState:
    """Tables uniform in +-1e-4 (Mueller et al. 2022), layers after Glorot and Bengio 2010.

    Args:
        density: `FieldState.density`, under 0 in cells that never count.
        photos: number of photos with an exposure of their own, or None for no exposures.
    """
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(shape.entries, FEATURES, generator=generator)
    table = (2 * table - 1) * _TABLE_SPREAD
    parts = []
    for name, (inputs, outputs) in LAYERS.items():
        used = _CHANNELS if name == "color3" else outputs
        weights = 2 * torch.rand(inputs, outputs, generator=generator) - 1
        weights *= math.sqrt(6 / (inputs + used))
        weights[:, used:] = 0
        parts.append(weights.reshape(-1))
    mlp = torch.cat(parts)
    exposure = None if photos is None else torch.zeros(photos, _CHANNELS)
    zeros = torch.zeros_like
    return FieldState(
        records=torch.nn.functional.pad(table, (0, RECORD - FEATURES)),
        weights=FieldWeights(table.half(), mlp, all_occupied(density)),
        mlp_first=zeros(mlp),
        mlp_second=zeros(mlp),
        density=density,
        exposure=exposure,
        exposure_first=None if exposure is None else zeros(exposure),
        exposure_second=None if exposure is None else zeros(exposure),
    )


def all_occupied(density: torch.Tensor) -> torch.Tensor:
    """Occupancy bits with every cell set that may count."""
    return torch.from_numpy(np.packbits(density.numpy() >= 0, bitorder="little"))
