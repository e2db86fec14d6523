"""The native CPU engine in Python: one fused training step, and the differentiable op for use
outside our trainer. Parameters lie in blocks: see `recon.kernels.layout`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from recon.errors import BackendUnavailable, OptionError
from recon.kernels.block_engine import BlockEngine, native_view
from recon.kernels.engine import StepTotals
from recon.kernels.layout import BLOCK, AdamSettings, SplatStats, block_shape, checked_address
from recon.kernels.ops import PinholeView, RasterOptions, RasterOutput, SplatTensors
from recon.kernels.rasterize import rasterize

try:
    from recon.kernels import _native
except ImportError as error:
    raise BackendUnavailable(
        f"the native kernels are not built ({error})",
        remedy="install recon with a C++20 compiler present: pip install .",
    ) from error

_CPU = torch.device("cpu")

set_thread_count = _native.set_thread_count
thread_count = _native.thread_count


def instruction_sets() -> tuple[str, ...]:
    """Names of the instruction sets that this CPU supports, best first."""
    return tuple(name for name, supported in _native.instruction_sets() if supported)


def gather_splats(blocks: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Blocks whose splat i is splat `sources[i]` (M,) int64 of `blocks`, or zero where negative.

    Raises:
        OptionError: a source lies beyond the blocks.
    """
    if len(sources) and int(sources.max()) >= len(blocks) * BLOCK:
        raise OptionError(f"there is no splat {int(sources.max())} in {len(blocks)} blocks")
    out = torch.empty(block_shape(len(sources)))
    _native.gather_splats(
        checked_address(blocks, tuple(blocks.shape), torch.float32),
        checked_address(sources, (len(sources),), torch.int64),
        len(sources),
        out.data_ptr(),
    )
    return out


def plane_sweep(
    reference: NDArray[np.float32],
    others: Sequence[tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]],
    planes: tuple[int, float, float],
    out: tuple[NDArray[np.float32], NDArray[np.float32]],
    isa: str = "",
) -> None:
    """See `recon.dense.sweep.plane_sweep`.

    Args:
        reference: grey (H, W).
        others: grey (H', W'), homography (3, 3) and epipole (3,) of each.
        planes: how many, the first inverse depth and the step.
        out: inverse depth and score, (H, W), written.

    Raises:
        OptionError: an array has another shape or type, or is not contiguous.
    """
    for array in (reference, *(grey for grey, _, _ in others), *out):
        if array.dtype != np.float32 or array.ndim != 2 or not array.flags.c_contiguous:
            raise OptionError("plane sweeping takes contiguous float32 images")
    if any(array.shape != reference.shape for array in out) or min(reference.shape) < 2:
        raise OptionError("depth and score have the size of the photo, at least 2x2")
    if not others or planes[0] < 1:
        raise OptionError("plane sweeping needs another photo and a plane")

    def described(grey: NDArray[np.float32]) -> tuple[int, int, int]:
        return grey.ctypes.data, grey.shape[1], grey.shape[0]

    count, first, step = planes
    inverse_depth, score = out
    _native.plane_sweep(
        described(reference),
        [(described(grey), a.ravel().tolist(), b.tolist()) for grey, a, b in others],
        count,
        first,
        step,
        inverse_depth.ctypes.data,
        score.ctypes.data,
        isa,
    )


class Engine(BlockEngine):
    """One view at a time: `forward`, then `loss` or `set_gradients`, then `backward`, then
    `gradients` or `adam`. Work arrays are kept between calls. Not for use by two threads at once.

    Args:
        isa: instruction set, one of `instruction_sets()`; empty for the best.

    Raises:
        BackendUnavailable: this CPU or this build has no such instruction set.
    """

    def __init__(self, isa: str = "") -> None:
        try:
            engine = _native.Engine(isa)
        except ValueError as error:
            raise BackendUnavailable(str(error), remedy="see `recon doctor`") from error
        super().__init__(_native, engine, _CPU)
        self.isa: str = engine.isa
        self._loss_sum = 0.0
        self._losses = self._nonfinite = 0

    def forward(
        self,
        blocks: torch.Tensor,
        n: int,
        view: PinholeView,
        options: RasterOptions,
        *,
        depth: bool = False,
        training: bool = True,
    ) -> None:
        """Render n splats given as blocks; see `recon.kernels.ops` for the semantics."""
        del training  # backward needs nothing that forward does not have anyway
        self._count = n
        self._size = (view.height, view.width)
        self._engine.forward(
            self._at(blocks, block_shape(n)),
            n,
            native_view(_native, view),
            _native.RenderOptions(*options.background, options.sh_degree, options.antialias, depth),
        )

    def loss(
        self, target: torch.Tensor, weight: torch.Tensor | None = None, ssim_weight: float = 0.2
    ) -> float:
        """(1 - ssim_weight) L1 + ssim_weight (1 - SSIM) against target (3, H, W) uint8.

        `weight` (H, W) uint8: 255 where a pixel counts fully, 0 where it does not.
        """
        value: float = self._loss(target, weight, ssim_weight)
        self._loss_sum += value
        self._losses += 1
        return value

    def adam(
        self,
        blocks: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        step: int,
        settings: AdamSettings,
        stats: SplatStats | None = None,
    ) -> None:
        """See `BlockEngine`; also counts the gradients that were dropped."""
        super().adam(blocks, first, second, step, settings, stats)
        self._nonfinite += self.counts[2]

    def drain(self) -> StepTotals:
        """See `recon.kernels.engine.SplatEngine`."""
        totals = StepTotals(self._loss_sum, self._losses, 0, self._nonfinite)
        self._loss_sum, self._losses, self._nonfinite = 0.0, 0, 0
        return totals

    @property
    def counts(self) -> tuple[int, int, int]:
        """Visible splats, (tile, splat) pairs, splats whose gradient was dropped as not finite."""
        return self._engine.counts()

    def work(self) -> tuple[int, int]:
        """(pixel, splat) lanes that the last view visits, and those of them that count: inside the
        ellipse alpha >= ALPHA_MIN and in front of saturation."""
        return self._engine.work()

    def ceilings(self) -> tuple[float, float]:
        """GFLOP/s of multiply-adds and GB/s of a triad on this machine, measured now."""
        return self._engine.ceilings()

    def timings(self, *, reset: bool = True) -> dict[str, float]:
        """Seconds spent in each stage since the last reset."""
        return self._engine.timings(reset)


class NativeCpuBackend:
    """Differentiable splat rendering on the CPU, float32. Gradients flow to all of `SplatTensors`;
    each forward keeps its own work arrays until its backward has run."""

    name = "native_cpu"
    device = _CPU

    def __init__(self, isa: str = "") -> None:
        self._isa = isa

    def engine(self) -> Engine:
        """A new engine, with work arrays of its own."""
        return Engine(self._isa)

    def require_memory(self, splats: int, width: int, height: int, photo_bytes: int) -> None:
        """Nothing to refuse: the forecast of a run says what main memory it takes."""

    def set_threads(self, threads: int) -> None:
        """CPU threads to use, 0 for one a core."""
        set_thread_count(threads)

    def render(
        self, splats: SplatTensors, view: PinholeView, options: RasterOptions
    ) -> RasterOutput:
        """See `recon.kernels.ops`."""
        return rasterize(splats, view, options, self.device, self.engine)
