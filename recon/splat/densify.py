"""How the set of splats changes: where new ones go, which ones end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from recon.kernels import native_cpu
from recon.splat.options import SplatOptions
from recon.splat.state import SplatState


class Densifier(Protocol):
    """Changes the set of splats between steps."""

    def update(self, state: SplatState, target: int, generator: torch.Generator) -> None:
        """Prune, then grow towards `target` splats, using the statistics since the last change."""
        ...


@dataclass
class ErrorSplitter:
    """Splits the splats that account for the most error, within a budget.

    The score of a splat is the absolute colour error, summed over all pixels of the window's views
    and weighted by how much the splat contributed there (Rota Bulo et al., "Revising Densification
    in Gaussian Splatting", 2024), so new splats go where the picture is wrong, and a budget decides
    how many (Mallick et al., "Taming 3DGS", 2024). A chosen splat is replaced by two halves along
    its longest axis.
    """

    options: SplatOptions

    def update(self, state: SplatState, target: int, generator: torch.Generator) -> None:
        rows = state.rows()
        opacity = torch.sigmoid(rows[:, native_cpu.ROW_OPACITY])
        finite = torch.isfinite(rows).all(1)
        keep = torch.nonzero((opacity > self.options.prune_opacity) & finite)[:, 0]
        if len(keep) == 0:
            keep = torch.nonzero(finite)[:, 0]
        # A window in which a splat was rarely visible says little about it: mean over its views.
        seen = state.stats.visible.clamp_min(1.0)
        score = (state.stats.error / seen)[keep]
        rows = rows[keep]
        # At most half of the splats split at once: halves of halves need new statistics.
        wanted = min(max(target - len(keep), 0), len(keep) // 2)
        wanted = min(wanted, int((score > 0).sum()))
        if wanted == 0:
            state.replace(keep, rows, rows[:0])
            return
        # Weighted sampling without replacement by exponential keys (Efraimidis and Spirakis 2006).
        noise = torch.rand(len(score), generator=generator).clamp_min(1e-12).log()
        chosen = torch.topk(noise / score.clamp_min(1e-20), wanted).indices
        lower, upper = split(rows[chosen])
        rows[chosen] = lower
        state.replace(keep, rows, upper)


# The halves of a Gaussian, at +-OFFSET standard deviations along its longest axis. Moments of the
# pair match the whole along that axis for SHRINK^2 + OFFSET^2 = 1.
_OFFSET = 0.7
_SHRINK = 0.714
_SHRINK_OTHERS = 0.9


def split(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two halves of each splat (n, ROWS) along its longest axis."""
    quats = torch.nn.functional.normalize(rows[:, native_cpu.ROW_QUAT], dim=1)
    longest = rows[:, native_cpu.ROW_LOG_SCALE].argmax(1)
    index = torch.arange(len(rows))
    scale = rows[:, native_cpu.ROW_LOG_SCALE].exp()[index, longest]
    axis = rotation_matrices(quats)[index, :, longest]
    children = rows.clone()
    scales = children[:, native_cpu.ROW_LOG_SCALE]
    scales += torch.log(torch.tensor(_SHRINK_OTHERS))
    scales[index, longest] += torch.log(torch.tensor(_SHRINK / _SHRINK_OTHERS))
    offset = _OFFSET * scale[:, None] * axis
    lower, upper = children.clone(), children
    lower[:, native_cpu.ROW_MEAN] -= offset
    upper[:, native_cpu.ROW_MEAN] += offset
    return lower, upper


def rotation_matrices(quats: torch.Tensor) -> torch.Tensor:
    """(N, 3, 3) of unit quaternions (N, 4), wxyz."""
    w, x, y, z = quats.unbind(1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        dim=1,
    ).view(-1, 3, 3)
