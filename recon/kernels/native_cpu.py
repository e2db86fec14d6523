"""The native CPU engine in Python: blocks of parameters, one fused training step, and the
differentiable op for use outside our trainer.

Parameters live in blocks: a tensor (ceil(N / BLOCK), ROWS, BLOCK) float32, see
cuda_ext/cpu/engine.h: it makes a pass over all splats stream memory. `pack` and `unpack` convert.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from recon.errors import BackendUnavailable, OptionError
from recon.geometry import Camera
from recon.kernels.ops import PinholeView, RasterOptions, RasterOutput, SplatTensors

try:
    from recon.kernels import _native
except ImportError as error:
    raise BackendUnavailable(
        f"the native kernels are not built ({error})",
        remedy="install recon with a C++20 compiler present: pip install .",
    ) from error

BLOCK: int = _native.BLOCK
ROWS: int = _native.ROWS

ROW_MEAN = slice(0, 3)
ROW_QUAT = slice(3, 7)
ROW_LOG_SCALE = slice(7, 10)
ROW_OPACITY = 10
ROW_SH = slice(11, ROWS)
ROW_SH_REST = slice(14, ROWS)

set_thread_count = _native.set_thread_count
thread_count = _native.thread_count


def instruction_sets() -> tuple[str, ...]:
    """Names of the instruction sets that this CPU supports, best first."""
    return tuple(name for name, supported in _native.instruction_sets() if supported)


def rows_to_blocks(rows: torch.Tensor) -> torch.Tensor:
    """(N, ROWS) float32 to (ceil(N / BLOCK), ROWS, BLOCK), padded with zeros."""
    n = len(rows)
    blocks = -(-n // BLOCK)
    padded = torch.zeros(blocks * BLOCK, ROWS, dtype=torch.float32)
    padded[:n] = rows
    return padded.view(blocks, BLOCK, ROWS).transpose(1, 2).contiguous()


def blocks_to_rows(blocks: torch.Tensor, n: int) -> torch.Tensor:
    """The inverse of `rows_to_blocks`: (N, ROWS), contiguous."""
    return blocks.transpose(1, 2).reshape(-1, ROWS)[:n].contiguous()


def gather_splats(blocks: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Blocks whose splat i is splat `sources[i]` (M,) int64 of `blocks`, or zero where negative.

    Raises:
        OptionError: a source lies beyond the blocks.
    """
    if len(sources) and int(sources.max()) >= len(blocks) * BLOCK:
        raise OptionError(f"there is no splat {int(sources.max())} in {len(blocks)} blocks")
    out = torch.empty(-(-len(sources) // BLOCK), ROWS, BLOCK)
    _native.gather_splats(
        checked_address(blocks, tuple(blocks.shape), torch.float32),
        checked_address(sources, (len(sources),), torch.int64),
        len(sources),
        out.data_ptr(),
    )
    return out


def columns(blocks: torch.Tensor, n: int, rows: slice) -> torch.Tensor:
    """Some parameters of n splats, (n, number of rows), contiguous."""
    part = blocks[:, rows, :].transpose(1, 2)
    return part.reshape(-1, part.shape[2])[:n].contiguous()


def pack(splats: SplatTensors) -> torch.Tensor:
    """Splats as rows (N, ROWS); missing SH coefficients are zero."""
    n, k = splats.sh.shape[0], splats.sh.shape[1]
    rows = torch.zeros(n, ROWS, dtype=torch.float32)
    rows[:, ROW_MEAN] = splats.means
    rows[:, ROW_QUAT] = splats.quats
    rows[:, ROW_LOG_SCALE] = splats.log_scales
    rows[:, ROW_OPACITY] = splats.logit_opacities
    rows[:, 11 : 11 + 3 * k] = splats.sh.reshape(n, 3 * k)
    return rows


def unpack(rows: torch.Tensor, sh_degree: int = 3) -> SplatTensors:
    """(N, ROWS) to splats; views where possible."""
    k = (sh_degree + 1) ** 2
    return SplatTensors(
        means=rows[:, ROW_MEAN],
        quats=rows[:, ROW_QUAT],
        log_scales=rows[:, ROW_LOG_SCALE],
        logit_opacities=rows[:, ROW_OPACITY],
        sh=rows[:, 11 : 11 + 3 * k].reshape(-1, k, 3),
    )


def pinhole_view(camera: Camera) -> PinholeView:
    """A `Camera` as the plain numbers that backends take."""
    m = camera.cam_from_world
    return PinholeView(
        width=camera.width,
        height=camera.height,
        fx=camera.fx,
        fy=camera.fy,
        cx=camera.cx,
        cy=camera.cy,
        rotation=tuple(float(x) for x in m[:3, :3].reshape(-1)),
        translation=(float(m[0, 3]), float(m[1, 3]), float(m[2, 3])),
    )


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


def checked_address(tensor: torch.Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> int:
    """Address of a CPU tensor after checking what the native side cannot."""
    if tensor is None:
        return 0
    if tuple(tensor.shape) != shape or tensor.dtype != dtype:
        raise OptionError(
            f"expected a {dtype} tensor of shape {shape}, got {tensor.dtype} {tuple(tensor.shape)}"
        )
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        raise OptionError("expected a contiguous tensor in main memory")
    return tensor.data_ptr()


@dataclass(frozen=True)
class AdamSettings:
    """Fused Adam (Kingma and Ba 2015) over visible splats.

    Attributes:
        rates: ROWS learning rates.
        update_sh: also update the SH coefficients above degree 0.
        opacity_reg, scale_reg: weights of mean opacity and mean scale in the loss (visible splats).
    """

    rates: tuple[float, ...]
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-15
    update_sh: bool = True
    opacity_reg: float = 0.0
    scale_reg: float = 0.0


@dataclass
class SplatStats:
    """Sums for each splat over training steps; (N,) float32. See `SplatStats` in engine.h."""

    error: torch.Tensor
    gradient: torch.Tensor
    visible: torch.Tensor

    @classmethod
    def zeros(cls, n: int) -> SplatStats:
        return cls(*(torch.zeros(n) for _ in range(3)))


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

    def __post_init__(self) -> None:
        try:
            self._engine = _native.Engine(self.isa)
        except ValueError as error:
            raise BackendUnavailable(str(error), remedy="see `recon doctor`") from error
        self.isa = self._engine.isa

    def _blocks(self) -> tuple[int, int, int]:
        return (-(-self._count // BLOCK), ROWS, BLOCK)

    def forward(
        self,
        blocks: torch.Tensor,
        n: int,
        view: PinholeView,
        options: RasterOptions,
        *,
        depth: bool = False,
    ) -> None:
        """Render n splats given as blocks; see `recon.kernels.ops` for the semantics."""
        self._count = n
        self._size = (view.height, view.width)
        self._engine.forward(
            checked_address(blocks, self._blocks(), torch.float32),
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
        return self._engine.loss(
            checked_address(target, (3, h, w), torch.uint8),
            checked_address(weight, (h, w), torch.uint8),
            ssim_weight,
        )

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
        out = torch.empty(self._blocks())
        self._engine.gradients(
            checked_address(blocks, self._blocks(), torch.float32), out.data_ptr()
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
        shape = self._blocks()
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


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows, view, options, isa):
        engine = Engine(isa)
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


class NativeCpuBackend:
    """Differentiable splat rendering on the CPU, float32. Gradients flow to all of `SplatTensors`;
    each forward keeps its own work arrays until its backward has run."""

    name = "native_cpu"

    def __init__(self, isa: str = "") -> None:
        self._isa = isa

    def render(
        self, splats: SplatTensors, view: PinholeView, options: RasterOptions
    ) -> RasterOutput:
        """See `recon.kernels.ops`."""
        n, k = splats.sh.shape[0], splats.sh.shape[1]
        if (options.sh_degree + 1) ** 2 > k:
            raise OptionError(f"SH degree {options.sh_degree} asked of {k} coefficients")
        parts = [
            splats.means,
            splats.quats,
            splats.log_scales,
            splats.logit_opacities[:, None],
            splats.sh.reshape(n, 3 * k),
        ]
        if any(part.dtype != torch.float32 or part.device.type != "cpu" for part in parts):
            raise OptionError("the native CPU backend takes float32 tensors in main memory")
        if k < 16:
            parts.append(torch.zeros(n, 48 - 3 * k))
        color, alpha, depth = _Rasterize.apply(torch.cat(parts, 1), view, options, self._isa)
        return RasterOutput(color, alpha, depth)
