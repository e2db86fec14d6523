"""The tensors that engines of the hash-grid field work on. See `recon.kernels.field_ops` for the
semantics."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recon.kernels.ops import PinholeView


@dataclass
class FieldWeights:
    """What rendering needs: table (entries, FEATURES) float16, mlp (WEIGHTS,) float32, occupied
    (grid^3 / 8,) uint8, one bit a cell, x fastest."""

    table: torch.Tensor
    mlp: torch.Tensor
    occupied: torch.Tensor

    def clone(self) -> FieldWeights:
        return FieldWeights(self.table.clone(), self.mlp.clone(), self.occupied.clone())

    def to(self, device: torch.device) -> FieldWeights:
        """The same on a device; shared where it is there already."""
        return FieldWeights(*(part.to(device) for part in (self.table, self.mlp, self.occupied)))


@dataclass
class FieldState:
    """What training changes, in place.

    Attributes:
        records: (entries, RECORD) float32: FEATURES parameters of an entry of the table, as many
            first and second moments, number of updates, padding.
        weights: the rounded table, the networks and the occupied cells.
        mlp_first, mlp_second: moments of the networks.
        density: (grid^3,) float32, what the occupancy grid remembers; under 0 where no training
            camera looks.
        exposure, exposure_first, exposure_second: (photos, 3) float32 log gains, or None.
    """

    records: torch.Tensor
    weights: FieldWeights
    mlp_first: torch.Tensor
    mlp_second: torch.Tensor
    density: torch.Tensor
    exposure: torch.Tensor | None = None
    exposure_first: torch.Tensor | None = None
    exposure_second: torch.Tensor | None = None

    def to(self, device: torch.device) -> FieldState:
        """The same on a device; shared where it is there already."""

        def optional(part: torch.Tensor | None) -> torch.Tensor | None:
            return None if part is None else part.to(device)

        return FieldState(
            records=self.records.to(device),
            weights=self.weights.to(device),
            mlp_first=self.mlp_first.to(device),
            mlp_second=self.mlp_second.to(device),
            density=self.density.to(device),
            exposure=optional(self.exposure),
            exposure_first=optional(self.exposure_first),
            exposure_second=optional(self.exposure_second),
        )


@dataclass(frozen=True)
class TrainImage:
    """A photo that rays come from.

    Attributes:
        rgba: (H, W, 4) uint8, colours premultiplied.
        weight: (H, W) uint8, 255 counts fully, or None.
        share: (tiles,) uint32, what part of the photo's rays, times 2^32, falls into a tile
            (`PHOTO_TILE` pixels a side, row by row) or one before it, the last one 2^32 - 1; a ray
            counts by the inverse of its tile's part. None for the same part to each pixel.
    """

    view: PinholeView
    rgba: torch.Tensor
    weight: torch.Tensor | None = None
    share: torch.Tensor | None = None


@dataclass(frozen=True)
class Rays:
    """Rays given from outside: origin, direction, background (N, 3), jitter (N,), target (N, 4)
    premultiplied colour and alpha, all float32; image (N,) int32."""

    origin: torch.Tensor
    direction: torch.Tensor
    jitter: torch.Tensor
    target: torch.Tensor
    background: torch.Tensor
    image: torch.Tensor


@dataclass(frozen=True)
class FieldGradients:
    """Gradients of table, mlp and exposure, and the colour (N, 3) of each ray."""

    table: torch.Tensor
    mlp: torch.Tensor
    exposure: torch.Tensor | None
    color: torch.Tensor
