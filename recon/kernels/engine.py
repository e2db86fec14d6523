"""What the trainer needs of a backend: a stateful engine on a device, one view at a time.

`native_cpu`, `native_cuda` and `gsplat` implement it; the registry finds them by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from recon.kernels.layout import AdamSettings, SplatStats
    from recon.kernels.ops import (
        PinholeView,
        RasterOptions,
        RasterOutput,
        SplatTensors,
    )


@dataclass(frozen=True)
class StepTotals:
    """Sums over the steps since they were last asked for.

    Attributes:
        loss_sum: sum of the losses.
        losses: how many there were.
        skipped: steps that changed nothing, because a work buffer was too small; it has grown.
        nonfinite: splats whose gradient was not finite and was dropped.
    """

    loss_sum: float = 0.0
    losses: int = 0
    skipped: int = 0
    nonfinite: int = 0


class SplatEngine(Protocol):
    """Calls in order: `forward`, `loss`, `backward`, `adam`. On a GPU they only queue work, and
    `output` and `drain` wait. Tensors are on the backend's device; blocks as in
    `recon.kernels.layout`."""

    def forward(
        self,
        blocks: torch.Tensor,
        n: int,
        view: PinholeView,
        options: RasterOptions,
        *,
        depth: bool = False,
        training: bool = True,
    ) -> None: ...

    def output(self) -> RasterOutput: ...

    def loss(
        self, target: torch.Tensor, weight: torch.Tensor | None = None, ssim_weight: float = 0.2
    ) -> object:
        """target (3, H, W) uint8, weight (H, W) uint8 or None; the value is in `drain`."""
        ...

    def backward(self) -> None: ...

    def adam(
        self,
        blocks: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        step: int,
        settings: AdamSettings,
        stats: SplatStats | None = None,
    ) -> None: ...

    def drain(self) -> StepTotals:
        """The sums since the last call."""
        ...


class TrainingBackend(Protocol):
    """A backend that trains."""

    name: str
    device: torch.device

    def engine(self) -> SplatEngine: ...

    def require_memory(self, splats: int, width: int, height: int, photo_bytes: int) -> None:
        """Refuse a training that will not fit the device, before it begins.

        Args:
            splats: the most that there will be.
            width, height: of the largest image in pixels.
            photo_bytes: that the training photos take on the device.

        Raises:
            TrainingError: it will not fit.
        """
        ...

    def set_threads(self, threads: int) -> None:
        """CPU threads to use, 0 for one a core."""
        ...

    def render(
        self, splats: SplatTensors, view: PinholeView, options: RasterOptions
    ) -> RasterOutput: ...
