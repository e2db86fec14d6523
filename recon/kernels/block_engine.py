"""What our own engines share: a native engine, driven with tensors whose shapes are checked."""

from __future__ import annotations

from typing import Any

import torch

from recon.kernels.layout import AdamSettings, SplatStats, block_shape, checked_address
from recon.kernels.ops import PinholeView, RasterOutput


def native_view(native: Any, view: PinholeView) -> Any:
    """A camera as a compiled module takes it."""
    return native.View(
        view.width,
        view.height,
        view.fx,
        view.fy,
        view.cx,
        view.cy,
        list(view.rotation),
        list(view.translation),
    )


class BlockEngine:
    """See `recon.kernels.engine.SplatEngine`; parameters lie in blocks (`recon.kernels.layout`).

    Args:
        native: the compiled module, which has the types of arguments.
        engine: an engine of it.
        device: where all tensors are.
    """

    def __init__(self, native: Any, engine: Any, device: torch.device) -> None:
        self._native = native
        self._engine = engine
        self._device = device
        self._size = (0, 0)
        self._count = 0

    def _queue(self) -> tuple[int, ...]:
        """The last argument of native calls that queue work, where there is one."""
        return ()

    def _at(
        self,
        tensor: torch.Tensor | None,
        shape: tuple[int, ...],
        dtype: torch.dtype = torch.float32,
    ) -> int:
        return checked_address(tensor, shape, dtype, self._device.type)

    def _empty(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, device=self._device)

    def _read(self, color: int, alpha: int, depth: int) -> None:
        self._engine.read(color, alpha, depth, *self._queue())

    def output(self) -> RasterOutput:
        """Everything that the last forward rendered; depth_sum is 0 unless depth was asked for."""
        color = self._empty(*self._size, 3)
        alpha, depth = self._empty(*self._size), self._empty(*self._size)
        self._read(color.data_ptr(), alpha.data_ptr(), depth.data_ptr())
        return RasterOutput(color, alpha, depth)

    def image(self) -> torch.Tensor:
        """Colour (H, W, 3) of the last forward."""
        color = self._empty(*self._size, 3)
        self._read(color.data_ptr(), 0, 0)
        return color

    def _loss(self, target: torch.Tensor, weight: torch.Tensor | None, ssim_weight: float) -> Any:
        h, w = self._size
        return self._engine.loss(
            self._at(target, (3, h, w), torch.uint8),
            self._at(weight, (h, w), torch.uint8),
            ssim_weight,
            *self._queue(),
        )

    def loss_gradient(self) -> torch.Tensor:
        """(H, W, 3) gradient of the last loss in the image."""
        out = self._empty(*self._size, 3)
        self._engine.read_gradients(out.data_ptr(), *self._queue())
        return out

    def set_gradients(
        self,
        color: torch.Tensor,
        alpha: torch.Tensor | None = None,
        depth_sum: torch.Tensor | None = None,
    ) -> None:
        """Gradients of some loss in the images, (H, W, 3) and (H, W), in place of `loss`."""
        h, w = self._size
        self._engine.set_gradients(
            self._at(color, (h, w, 3)),
            self._at(alpha, (h, w)),
            self._at(depth_sum, (h, w)),
            *self._queue(),
        )

    def backward(self) -> None:
        """Rasterise backward."""
        self._engine.backward(*self._queue())

    def gradients(self, blocks: torch.Tensor) -> torch.Tensor:
        """Gradients of all parameters, as blocks."""
        shape = block_shape(self._count)
        out = self._empty(*shape)
        self._engine.gradients(self._at(blocks, shape), out.data_ptr(), *self._queue())
        return out

    def adam(
        self,
        blocks: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        step: int,
        settings: AdamSettings,
        stats: SplatStats | None = None,
    ) -> None:
        """Update blocks and Adam's moments in place for the visible splats."""
        shape = block_shape(self._count)
        parts = (stats.error, stats.gradient, stats.visible) if stats is not None else (None,) * 3
        self._engine.adam(
            self._at(blocks, shape),
            self._at(first, shape),
            self._at(second, shape),
            self._native.AdamOptions(
                list(settings.rates),
                settings.beta1,
                settings.beta2,
                settings.epsilon,
                step,
                settings.update_sh,
                settings.opacity_reg,
                settings.scale_reg,
            ),
            *(self._at(part, (self._count,)) for part in parts),
            *self._queue(),
        )

    def footprints(self) -> torch.Tensor:
        """(N, 16): mean 0-1, conic 2-4, log2 opacity 5, colour 6-8, depth 9, half extents 10-11;
        zero where a splat is not visible."""
        out = self._empty(self._count, 16)
        self._engine.read_footprints(out.data_ptr(), *self._queue())
        return out
