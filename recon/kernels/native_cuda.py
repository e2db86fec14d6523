"""The CUDA engine in Python: the same calls as `native_cpu.Engine`, on tensors of a GPU.

Nothing waits for the GPU but `output`, `image`, `footprints`, `counts` and `drain`. The tests run
this very code on the CPU: they pass the module `_host_cuda`, whose kernels run under the executor
of cuda_ext/host_exec.
"""

from __future__ import annotations

import importlib
from types import ModuleType

import torch

from recon.errors import BackendUnavailable, TrainingError
from recon.kernels.engine import StepTotals
from recon.kernels.layout import ROWS, AdamSettings, SplatStats, block_shape, checked_address
from recon.kernels.ops import PinholeView, RasterOptions, RasterOutput, SplatTensors
from recon.kernels.rasterize import rasterize

# Room for (tile, splat) pairs that an engine starts with; it grows with what views need.
FIRST_PAIRS = 1 << 18
# Tiles that a splat of a trained scene touches on average, for the estimate before training: a
# guess on the safe side of the few pixels that most splats are wide.
PAIRS_PER_SPLAT = 8

_MEMORY_REMEDY = "lower --max-splats or --resolution, or close what else uses the GPU"

_BUILD_REMEDY = "install a CUDA toolkit (nvcc) of version 12 or newer, then: pip install ."


def load_native() -> ModuleType:
    """The compiled module.

    Raises:
        BackendUnavailable: it was not built, or there is no GPU that it can use.
    """
    try:
        native = importlib.import_module("recon.kernels._native_cuda")
    except ImportError as error:
        raise BackendUnavailable(
            f"the CUDA kernels are not built ({error})", remedy=_BUILD_REMEDY
        ) from error
    problem = native.device_problem()
    if problem:
        raise BackendUnavailable(
            f"the CUDA kernels are built, but no GPU can be used: {problem}",
            remedy="install NVIDIA's driver (nvidia-smi must list the GPU), or use --device cpu",
        )
    if not torch.cuda.is_available():
        raise BackendUnavailable(
            "the CUDA kernels are built, but this torch has no CUDA",
            remedy="pip install --force-reinstall torch (a build with CUDA)",
        )
    return native


class Engine:
    """See `recon.kernels.engine.SplatEngine`. Not for use by two threads at once.

    Args:
        native: `load_native()`, or `_host_cuda` in tests.
        device: where all tensors are.
        pairs: room for (tile, splat) pairs at first.
    """

    def __init__(self, native: ModuleType, device: torch.device, pairs: int = FIRST_PAIRS) -> None:
        self._native = native
        self._device = device
        self._engine = native.Engine(pairs)
        self._held: torch.Tensor | None = None
        self._size = (0, 0)
        self._count = 0

    def _stream(self) -> int:
        if self._device.type != "cuda":
            return 0
        return torch.cuda.current_stream(self._device).cuda_stream

    def _at(
        self,
        tensor: torch.Tensor | None,
        shape: tuple[int, ...],
        dtype: torch.dtype = torch.float32,
    ) -> int:
        return checked_address(tensor, shape, dtype, self._device.type)

    def _empty(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, device=self._device)

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
        """Render n splats given as blocks; see `recon.kernels.ops` for the semantics.

        `training` keeps what `backward` needs. `blocks` must not change until `output` is read.

        Raises:
            TrainingError: the GPU has too little memory for it.
        """
        self._count = n
        self._held = blocks  # read again by `output` where there was no room for all pairs
        self._size = (view.height, view.width)
        native_view = self._native.View(
            view.width,
            view.height,
            view.fx,
            view.fy,
            view.cx,
            view.cy,
            list(view.rotation),
            list(view.translation),
        )
        native_options = self._native.RenderOptions(
            *options.background, options.sh_degree, options.antialias, depth
        )
        try:
            self._engine.forward(
                self._at(blocks, block_shape(n)),
                n,
                native_view,
                native_options,
                training,
                self._stream(),
            )
        except self._native.OutOfDeviceMemory as error:
            raise _out_of_memory(error) from error

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

    def _read(self, color: int, alpha: int, depth: int) -> None:
        try:
            self._engine.read(color, alpha, depth, self._stream())
        except self._native.OutOfDeviceMemory as error:
            raise _out_of_memory(error) from error

    def loss(
        self, target: torch.Tensor, weight: torch.Tensor | None = None, ssim_weight: float = 0.2
    ) -> None:
        """(1 - ssim_weight) L1 + ssim_weight (1 - SSIM) against target (3, H, W) uint8.

        `weight` (H, W) uint8: 255 where a pixel counts fully, 0 where it does not. The value stays
        on the device until `drain`.
        """
        h, w = self._size
        self._engine.loss(
            self._at(target, (3, h, w), torch.uint8),
            self._at(weight, (h, w), torch.uint8),
            ssim_weight,
            self._stream(),
        )

    def loss_gradient(self) -> torch.Tensor:
        """(H, W, 3) gradient of the last loss in the image."""
        out = self._empty(*self._size, 3)
        self._engine.read_gradients(out.data_ptr(), self._stream())
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
            self._at(color, (h, w, 3)),
            self._at(alpha, (h, w)),
            self._at(depth_sum, (h, w)),
            self._stream(),
        )

    def backward(self) -> None:
        """Rasterise backward."""
        self._engine.backward(self._stream())

    def gradients(self, blocks: torch.Tensor) -> torch.Tensor:
        """Gradients of all parameters, as blocks."""
        shape = block_shape(self._count)
        out = self._empty(*shape)
        self._engine.gradients(self._at(blocks, shape), out.data_ptr(), self._stream())
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
            self._stream(),
        )

    def footprints(self) -> torch.Tensor:
        """(N, 16) as `native_cpu.Engine.footprints`."""
        out = self._empty(self._count, 16)
        self._engine.read_footprints(out.data_ptr(), self._stream())
        return out

    @property
    def counts(self) -> tuple[int, int]:
        """Visible splats and (tile, splat) pairs of the last forward."""
        return self._engine.counts(self._stream())

    def drain(self) -> StepTotals:
        """See `SplatEngine`."""
        loss_sum, _, losses, skipped, nonfinite = self._engine.drain(self._stream())
        return StepTotals(loss_sum, losses, skipped, nonfinite)

    @property
    def allocated(self) -> int:
        """Bytes of device memory that the engine holds."""
        return self._engine.allocated()


def _out_of_memory(error: Exception) -> TrainingError:
    return TrainingError(
        f"the GPU has too little memory: {error}",
        remedy=_MEMORY_REMEDY,
    )


class NativeCudaBackend:
    """Our own kernels on an NVIDIA GPU; see `recon.kernels.engine.TrainingBackend`.

    Raises:
        BackendUnavailable: not built, no GPU, or a torch without CUDA.
    """

    name = "native_cuda"

    def __init__(
        self, native: ModuleType | None = None, device: torch.device | None = None
    ) -> None:
        self._native = native or load_native()
        self.device = device or torch.device("cuda")

    def engine(self) -> Engine:
        """A new engine, with work arrays of its own."""
        return Engine(self._native, self.device)

    def require_memory(self, splats: int, width: int, height: int, photo_bytes: int) -> None:
        """See `recon.kernels.engine.TrainingBackend`."""
        pairs = max(FIRST_PAIRS, PAIRS_PER_SPLAT * splats)
        work = self._native.engine_bytes(splats, pairs, width, height, False, True)
        # Parameters and two moments, twice while the set of splats changes.
        need = work + photo_bytes + 2 * 3 * 4 * ROWS * splats
        free = self._native.memory()[0]
        if need > free:
            raise TrainingError(
                f"training {splats:,} splats at {width}x{height} takes about {need / 1e9:.1f} GB of"
                f" GPU memory, of which {free / 1e9:.1f} GB are free",
                remedy=_MEMORY_REMEDY,
            )

    def set_threads(self, threads: int) -> None:
        """Nothing to set on a GPU."""

    def render(
        self, splats: SplatTensors, view: PinholeView, options: RasterOptions
    ) -> RasterOutput:
        """See `recon.kernels.ops`."""
        return rasterize(splats, view, options, self.device, self.engine)
