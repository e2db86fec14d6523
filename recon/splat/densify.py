"""How the set of splats changes: where new ones go, which ones end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch

from recon.kernels import layout
from recon.splat.lenses import Lenses
from recon.splat.options import SplatOptions
from recon.splat.state import Shapes, SplatState


class Densifier(Protocol):
    """Changes the set of splats between steps."""

    def update(self, state: SplatState, target: int, generator: torch.Generator) -> None:
        """Prune, then grow towards `target` splats, using the statistics since the last change."""
        ...


_OPACITY = slice(layout.ROW_OPACITY, layout.ROW_OPACITY + 1)


@dataclass
class ErrorSplitter:
    """Splits the splats that account for the most error, within a budget.

    The score of a splat is the absolute colour error, summed over all pixels of the window's views
    and weighted by how much the splat contributed there (Rota Bulo et al., "Revising Densification
    in Gaussian Splatting", 2024), so new splats go where the picture is wrong, and a budget decides
    how many (Mallick et al., "Taming 3DGS", 2024). A chosen splat is replaced by two halves along
    its longest axis. Splats that `lenses` finds misplaced end, like faint ones.
    """

    options: SplatOptions
    lenses: Lenses | None = None

    def update(self, state: SplatState, target: int, generator: torch.Generator) -> None:
        opacity = torch.sigmoid(state.columns(_OPACITY)[:, 0])
        # A sum is finite only where all of its terms are.
        finite = torch.isfinite(state.blocks.sum(1).view(-1)[: state.n])
        good = (opacity > self.options.prune_opacity) & finite
        if self.lenses is not None:
            means, log_scales = (
                state.columns(part) for part in (layout.ROW_MEAN, layout.ROW_LOG_SCALE)
            )
            good &= ~self.lenses.misplaced(means, log_scales)
        keep = torch.nonzero(good)[:, 0]
        if len(keep) == 0:
            keep = torch.nonzero(finite)[:, 0]
        # A window in which a splat was rarely visible says little about it: mean over its views.
        seen = state.stats.visible.clamp_min(1.0)
        score = (state.stats.error / seen)[keep]
        means = state.columns(layout.ROW_MEAN)[keep]
        log_scales = state.columns(layout.ROW_LOG_SCALE)[keep]
        # At most half of the splats split at once: halves of halves need new statistics.
        wanted = min(max(target - len(keep), 0), len(keep) // 2)
        wanted = min(wanted, int((score > 0).sum()))
        if wanted == 0:
            state.replace(keep, keep[:0], Shapes(means, log_scales))
            return
        # Weighted sampling without replacement by exponential keys (Efraimidis and Spirakis 2006).
        noise = torch.rand(len(score), generator=generator).clamp_min(1e-12).log()
        noise = noise.to(score.device)
        chosen = torch.topk(noise / score.clamp_min(1e-20), wanted).indices
        quats = state.columns(layout.ROW_QUAT)[keep[chosen]]
        lower, upper = split(Shapes(means[chosen], log_scales[chosen]), quats)
        means[chosen], log_scales[chosen] = lower.means, lower.log_scales
        state.replace(
            keep,
            keep[chosen],
            Shapes(
                torch.cat([means, upper.means]),
                torch.cat([log_scales, upper.log_scales]),
            ),
        )


# The halves of a Gaussian, at +-OFFSET standard deviations along its longest axis. Moments of the
# pair match the whole along that axis for SHRINK^2 + OFFSET^2 = 1.
_OFFSET = 0.7
_SHRINK = 0.714
_SHRINK_OTHERS = 0.9


def split(shapes: Shapes, quats: torch.Tensor) -> tuple[Shapes, Shapes]:
    """Two halves of each splat along its longest axis; quats (n, 4) wxyz of any length."""
    index = torch.arange(len(quats), device=quats.device)
    longest = shapes.log_scales.argmax(1)
    scale = shapes.log_scales.exp()[index, longest]
    axis = rotation_matrices(torch.nn.functional.normalize(quats, dim=1))[index, :, longest]
    log_scales = shapes.log_scales + math.log(_SHRINK_OTHERS)
    log_scales[index, longest] += math.log(_SHRINK / _SHRINK_OTHERS)
    offset = _OFFSET * scale[:, None] * axis
    return Shapes(shapes.means - offset, log_scales), Shapes(shapes.means + offset, log_scales)


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
