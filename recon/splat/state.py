"""The parameters under training, Adam's moments, and the statistics of the current window."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recon.kernels import layout, native_cpu
from recon.kernels.layout import SplatStats


@dataclass(frozen=True)
class Shapes:
    """What a split changes: means (N, 3) and log scales (N, 3)."""

    means: torch.Tensor
    log_scales: torch.Tensor


@dataclass
class SplatState:
    """n splats as blocks (see `recon.kernels.layout`), with moments of the same shape."""

    n: int
    blocks: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    stats: SplatStats

    @classmethod
    def from_rows(
        cls,
        rows: torch.Tensor,
        first: torch.Tensor | None = None,
        second: torch.Tensor | None = None,
    ) -> SplatState:
        """From parameters (N, ROWS) and moments of the same shape (zeros when None), on the device
        of the parameters."""
        blocks = layout.rows_to_blocks(rows)
        return cls(
            n=len(rows),
            blocks=blocks,
            first=torch.zeros_like(blocks) if first is None else layout.rows_to_blocks(first),
            second=(torch.zeros_like(blocks) if second is None else layout.rows_to_blocks(second)),
            stats=SplatStats.zeros(len(rows), rows.device),
        )

    def to(self, device: torch.device) -> SplatState:
        """The same on another device."""
        return SplatState(
            self.n,
            self.blocks.to(device),
            self.first.to(device),
            self.second.to(device),
            SplatStats(
                self.stats.error.to(device),
                self.stats.gradient.to(device),
                self.stats.visible.to(device),
            ),
        )

    def rows(self) -> torch.Tensor:
        """Parameters (N, ROWS), a copy."""
        return layout.blocks_to_rows(self.blocks, self.n)

    def columns(self, rows: slice) -> torch.Tensor:
        """Some parameters, (n, number of rows), a copy."""
        return layout.columns(self.blocks, self.n, rows)

    def replace(self, keep: torch.Tensor, parents: torch.Tensor, shapes: Shapes) -> None:
        """Keep the splats `keep` (indices) and append a copy of each of `parents` (indices).

        `shapes` has the means and scales of all of them, in that order; the rest is copied. Moments
        go with the splats that are kept and start at zero for the copies. All are put in Morton
        order, so that splats that are near in space are near in memory and are culled block by
        block. Statistics start anew.
        """
        order = morton_order(shapes.means)
        blocks = _gather(self.blocks, torch.cat([keep, parents])[order])
        moved = torch.cat([keep, torch.full_like(parents, -1)])[order]
        for values, rows in (
            (shapes.means, layout.ROW_MEAN),
            (shapes.log_scales, layout.ROW_LOG_SCALE),
        ):
            lanes = values.new_zeros(len(blocks) * layout.BLOCK, values.shape[1])
            lanes[: len(order)] = values[order]
            blocks[:, rows, :] = lanes.view(len(blocks), layout.BLOCK, -1).transpose(1, 2)
        self.n = len(order)
        self.blocks = blocks
        self.first = _gather(self.first, moved)
        self.second = _gather(self.second, moved)
        self.stats = SplatStats.zeros(self.n, blocks.device)


def _gather(blocks: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    on_cpu = blocks.device.type == "cpu"
    return (native_cpu if on_cpu else layout).gather_splats(blocks, sources)


def morton_order(means: torch.Tensor) -> torch.Tensor:
    """Indices that sort points (N, 3) along a Z-order curve of 2^20 cells a side.

    Coordinates beyond the 1st and 99th percentile are clamped: outliers must not coarsen the grid.
    """
    if len(means) < 2:
        return torch.arange(len(means), device=means.device)
    ordered = means.sort(0).values
    last = len(means) - 1
    lo, hi = ordered[round(0.01 * last)], ordered[round(0.99 * last)]
    unit = ((means - lo) / (hi - lo).clamp_min(1e-12)).clamp(0, 1)
    cells = (unit * (2**20 - 1)).to(torch.int64)
    code = torch.zeros(len(means), dtype=torch.int64, device=means.device)
    for axis in range(3):
        # Spread 20 bits so that two zero bits follow each.
        x = cells[:, axis]
        x = (x | x << 32) & 0x1F00000000FFFF
        x = (x | x << 16) & 0x1F0000FF0000FF
        x = (x | x << 8) & 0x100F00F00F00F00F
        x = (x | x << 4) & 0x10C30C30C30C30C3
        x = (x | x << 2) & 0x1249249249249249
        code |= x << axis
    return torch.argsort(code, stable=True)
