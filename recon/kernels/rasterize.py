"""The differentiable torch op over a native engine, for use outside of our trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch

from recon.kernels.layout import blocks_to_rows, differentiable_rows, rows_to_blocks
from recon.kernels.ops import PinholeView, RasterOptions, RasterOutput, SplatTensors

if TYPE_CHECKING:
    from recon.kernels.engine import SplatEngine

    class GradientEngine(SplatEngine, Protocol):
        """An engine that also takes gradients from outside and gives those of the parameters."""

        def set_gradients(
            self,
            color: torch.Tensor,
            alpha: torch.Tensor | None = None,
            depth_sum: torch.Tensor | None = None,
        ) -> None: ...

        def gradients(self, blocks: torch.Tensor) -> torch.Tensor: ...


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows, view, options, make_engine):
        engine = make_engine()
        blocks = rows_to_blocks(rows.detach())
        engine.forward(blocks, len(rows), view, options, depth=True)
        ctx.engine, ctx.blocks, ctx.count = engine, blocks, len(rows)
        out = engine.output()
        return out.color, out.alpha, out.depth_sum

    @staticmethod
    def backward(ctx, *grad_outputs):
        d_color, d_alpha, d_depth = (grad.contiguous() for grad in grad_outputs)
        ctx.engine.set_gradients(d_color, d_alpha, d_depth)
        ctx.engine.backward()
        grads = ctx.engine.gradients(ctx.blocks)
        return blocks_to_rows(grads, ctx.count), None, None, None


def rasterize(
    splats: SplatTensors,
    view: PinholeView,
    options: RasterOptions,
    device: torch.device,
    make_engine: Callable[[], GradientEngine],
) -> RasterOutput:
    """Render with gradients to all of `splats`, float32 on `device`; see `recon.kernels.ops`.

    Each call keeps an engine with its work arrays until its backward has run.
    """
    rows = differentiable_rows(splats, options, device)
    return RasterOutput(*_Rasterize.apply(rows, view, options, make_engine))
