"""The CUDA engine in Python: the same calls as `native_cpu.Engine`, on tensors of a GPU.

Nothing waits for the GPU but `output`, `image`, `footprints`, `counts` and `drain`. The tests run
this very code on the CPU: they pass the module `_host_cuda`, whose kernels run under the executor
of cuda_ext/host_exec.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, cast

import torch

from recon.errors import BackendUnavailable
from recon.kernels.block_engine import BlockEngine, native_view
from recon.kernels.engine import StepTotals
from recon.kernels.layout import ROWS, block_shape
from recon.kernels.memory import GuardedEngine, give_back_cache, require_free
from recon.kernels.ops import PinholeView, RasterOptions, RasterOutput, SplatTensors
from recon.kernels.rasterize import rasterize

if TYPE_CHECKING:
    from recon.kernels import _native_cuda  # pyright: ignore[reportMissingModuleSource]

# Room for (tile, splat) pairs that an engine starts with; it grows with what views need.
FIRST_PAIRS = 1 << 18
# Tiles that a splat of a trained scene touches on average, for the estimate before training: a
# guess on the safe side of the few pixels that most splats are wide.
PAIRS_PER_SPLAT = 8

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


def stream_of(device: torch.device) -> int:
    """Handle of torch's current stream; 0 for the CPU, where the tests run."""
    return torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0


class Engine(BlockEngine):
    """See `recon.kernels.engine.SplatEngine`. Not for use by two threads at once.

    Args:
        native: `load_native()`, or `_host_cuda` in tests.
        device: where all tensors are.
        pairs: room for (tile, splat) pairs at first.
    """

    _engine: _native_cuda.Engine

    def __init__(self, native: ModuleType, device: torch.device, pairs: int = FIRST_PAIRS) -> None:
        engine = GuardedEngine(native.Engine(pairs), native.OutOfDeviceMemory, device)
        super().__init__(native, cast("_native_cuda.Engine", engine), device)
        self._held: torch.Tensor | None = None

    def _queue(self) -> tuple[int, ...]:
        return (stream_of(self._device),)

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
        native_options = self._native.RenderOptions(
            *options.background, options.sh_degree, options.antialias, depth
        )
        self._engine.forward(
            self._at(blocks, block_shape(n)),
            n,
            native_view(self._native, view),
            native_options,
            training,
            *self._queue(),
        )

    def loss(
        self, target: torch.Tensor, weight: torch.Tensor | None = None, ssim_weight: float = 0.2
    ) -> None:
        """(1 - ssim_weight) L1 + ssim_weight (1 - SSIM) against target (3, H, W) uint8.

        `weight` (H, W) uint8: 255 where a pixel counts fully, 0 where it does not. The value stays
        on the device until `drain`.
        """
        self._loss(target, weight, ssim_weight)

    @property
    def counts(self) -> tuple[int, int]:
        """Visible splats and (tile, splat) pairs of the last forward."""
        return self._engine.counts(*self._queue())

    def drain(self) -> StepTotals:
        """See `SplatEngine`."""
        loss_sum, _, losses, skipped, nonfinite = self._engine.drain(*self._queue())
        return StepTotals(loss_sum, losses, skipped, nonfinite)

    @property
    def allocated(self) -> int:
        """Bytes of device memory that the engine holds."""
        return self._engine.allocated()


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
        give_back_cache(self.device)
        what = f"training {splats:,} splats at {width}x{height}"
        require_free(what, need, self._native.memory()[0])

    def set_threads(self, threads: int) -> None:
        """Nothing to set on a GPU."""

    def render(
        self, splats: SplatTensors, view: PinholeView, options: RasterOptions
    ) -> RasterOutput:
        """See `recon.kernels.ops`."""
        return rasterize(splats, view, options, self.device, self.engine)
