"""The native CPU engine in Python: one fused training step, and the differentiable op for use
outside our trainer. Parameters lie in blocks: see `recon.kernels.layout`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from recon.errors import BackendUnavailable, OptionError
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


def native_view(view: PinholeView) -> _native.View:
    return _native.View(
        view.width,
        view.height,
        view.fx,
        view.fy,
        view.cx,
        view.cy,
        list(view.rotation),
        list(view.translation),
    )


@dataclass
class Engine:
    """One view at a time: `forward`, then `loss` or `set_gradients`, then `backward`, then
    `gradients` or `adam`. Work arrays are kept between calls. Not for use by two threads at once.

    Args:
        isa: instruction set, one of `instruction_sets()`; empty for the best.
    """

    isa: str = ""
    _engine: _native.Engine = field(init=False, repr=False)
    _size: tuple[int, int] = field(init=False, default=(0, 0))
    _count: int = field(init=False, default=0)
    _loss_sum: float = field(init=False, default=0.0)
    _losses: int = field(init=False, default=0)
    _nonfinite: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        try:
            self._engine = _native.Engine(self.isa)
        except ValueError as error:
            raise BackendUnavailable(str(error), remedy="see `recon doctor`") from error
        self.isa = self._engine.isa

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
            checked_address(blocks, block_shape(self._count), torch.float32),
            n,
            native_view(view),
            _native.RenderOptions(*options.background, options.sh_degree, options.antialias, depth),
        )

    def image(self) -> torch.Tensor:
        """Colour (H, W, 3) of the last forward."""
        color = torch.empty(*self._size, 3)
        self._engine.read(color.data_ptr(), 0, 0)
        return color

    def output(self) -> RasterOutput:
        """Everything that the last forward rendered; depth_sum is 0 unless depth was asked for."""
        color = torch.empty(*self._size, 3)
        alpha, depth = torch.empty(self._size), torch.empty(self._size)
        self._engine.read(color.data_ptr(), alpha.data_ptr(), depth.data_ptr())
        return RasterOutput(color, alpha, depth)

    def loss(
        self, target: torch.Tensor, weight: torch.Tensor | None = None, ssim_weight: float = 0.2
    ) -> float:
        """(1 - ssim_weight) L1 + ssim_weight (1 - SSIM) against target (3, H, W) uint8.

        `weight` (H, W) uint8: 255 where a pixel counts fully, 0 where it does not.
        """
        h, w = self._size
        value = self._engine.loss(
            checked_address(target, (3, h, w), torch.uint8),
            checked_address(weight, (h, w), torch.uint8),
            ssim_weight,
        )
        self._loss_sum += value
        self._losses += 1
        return value

    def loss_gradient(self) -> torch.Tensor:
        """(H, W, 3) gradient of the last loss in the image."""
        out = torch.empty(*self._size, 3)
        self._engine.read_gradients(out.data_ptr())
        return out

    def set_gradients(
        self,
        color: torch.Tensor,
        alpha: torch.Tensor | None = None,
        depth_sum: torch.Tensor | None = None,
    ) -> None:
        """Gradients of some loss in the images, in place of `loss`."""
        h, w = self._size
        self._engine.set_gradients(
            checked_address(color, (h, w, 3), torch.float32),
            checked_address(alpha, (h, w), torch.float32),
            checked_address(depth_sum, (h, w), torch.float32),
        )

    def backward(self) -> None:
        """Rasterise backward."""
        self._engine.backward()

    def gradients(self, blocks: torch.Tensor) -> torch.Tensor:
        """Gradients of all parameters, as blocks."""
        out = torch.empty(block_shape(self._count))
        self._engine.gradients(
            checked_address(blocks, block_shape(self._count), torch.float32), out.data_ptr()
        )
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
            checked_address(blocks, shape, torch.float32),
            checked_address(first, shape, torch.float32),
            checked_address(second, shape, torch.float32),
            _native.AdamOptions(
                list(settings.rates),
                settings.beta1,
                settings.beta2,
                settings.epsilon,
                step,
                settings.update_sh,
                settings.opacity_reg,
                settings.scale_reg,
            ),
            *(checked_address(part, (self._count,), torch.float32) for part in parts),
        )
        self._nonfinite += self.counts[2]

    def drain(self) -> StepTotals:
        """See `recon.kernels.engine.SplatEngine`."""
        totals = StepTotals(self._loss_sum, self._losses, 0, self._nonfinite)
        self._loss_sum, self._losses, self._nonfinite = 0.0, 0, 0
        return totals

    def footprints(self) -> torch.Tensor:
        """(N, 16): mean 0-1, conic 2-4, log2 opacity 5, colour 6-8, depth 9, half extents 10-11;
        zero where a splat is not visible."""
        out = torch.empty(self._count, 16)
        self._engine.read_footprints(out.data_ptr())
        return out

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
    device = torch.device("cpu")

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
