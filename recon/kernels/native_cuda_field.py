"""The hash-grid field on a GPU: the same calls as `native_field.FieldEngine`, on tensors there.

Nothing waits for the GPU but `drain`, `finish_steps`, `gradients`, `render`, what grows the work
memory, and `train_step` for a step that lies `lag` steps back. The tests run this very code on the
CPU, with the module `_host_cuda` (see `recon.kernels.native_cuda`).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from recon.kernels import native_field
from recon.kernels.engine import StepTotals
from recon.kernels.field_engine import NativeFieldEngine
from recon.kernels.field_ops import (
    RECORD,
    WEIGHTS,
    FieldShape,
    March,
    StepResult,
    StepSettings,
)
from recon.kernels.field_tensors import FieldState, TrainImage
from recon.kernels.memory import GuardedEngine, give_back_cache, require_free
from recon.kernels.native_cuda import load_native, stream_of

# Room for samples that an engine starts with; it grows with what batches need.
FIRST_SAMPLES = 1 << 18
# Samples with colour and gradients for each one that a batch aims at, and samples on rays for each
# of those, for the estimate before training: guesses on the safe side.
_LIVE_MARGIN, _SAMPLES_PER_LIVE = 2, 6


class FieldEngine(NativeFieldEngine):
    """See `NativeFieldEngine`.

    Args:
        shape: of the field.
        native: `load_native()`, or `_host_cuda` in tests.
        device: where all tensors are.
        samples: room for samples at first.

    Raises:
        BackendUnavailable: the CUDA kernels are not built, there is no GPU, or torch lacks CUDA.
    """

    def __init__(
        self,
        shape: FieldShape,
        native: ModuleType | None = None,
        device: torch.device | None = None,
        samples: int = FIRST_SAMPLES,
    ) -> None:
        native = native or load_native()
        device = device or torch.device("cuda")
        engine = GuardedEngine(native.FieldEngine(samples), native.OutOfDeviceMemory, device)
        super().__init__(native, engine, shape, device)
        self.lag = native.STEPS_AHEAD
        self._under_way = 0
        self._photos: tuple[TrainImage, ...] = ()

    def _queue(self) -> tuple[int, ...]:
        return (stream_of(self.device),)

    def set_images(self, images: tuple[TrainImage, ...]) -> None:
        """See `NativeFieldEngine`; they are copied to the GPU."""
        super().set_images(images)
        self._photos = images

    def train_step(
        self, state: FieldState, march: March, settings: StepSettings
    ) -> StepResult | None:
        """See `NativeFieldEngine`.

        Raises:
            TrainingError: the GPU has too little memory for it.
        """
        self._native_step(state, march, settings)
        self._under_way += 1
        return self._take() if self._under_way > self.lag else None

    def finish_steps(self) -> list[StepResult]:
        """See `NativeFieldEngine`."""
        return [self._take() for _ in range(self._under_way)]

    def _take(self) -> StepResult:
        self._under_way -= 1
        return self._result(self._engine.take_result())

    def _result(self, values: Any) -> StepResult:
        return StepResult(*values)

    def drain(self) -> StepTotals:
        """See `NativeFieldEngine`."""
        return StepTotals(*self._engine.drain(*self._queue()))

    @property
    def room(self) -> tuple[int, int]:
        """See `NativeFieldEngine`."""
        return self._engine.room()

    def set_room(self, room: tuple[int, int] | None) -> None:
        """See `NativeFieldEngine`."""
        if room is not None:
            self._engine.set_room(*room)

    def make_room(self, result: StepResult) -> None:
        """See `NativeFieldEngine`."""
        self._engine.make_room(result.evaluated, result.live)

    def visible_density(self, near: float, *, carve: bool = False) -> torch.Tensor:
        """See `NativeFieldEngine`. Done once in a training, by the CPU kernels."""
        engine = native_field.FieldEngine(self.shape)
        engine.set_images(self._photos)
        return engine.visible_density(near, carve=carve).to(self.device)

    def require_memory(self, rays: int, batch: int, photo_bytes: int) -> None:
        """See `NativeFieldEngine`."""
        live = _LIVE_MARGIN * batch
        work = self._native.field_engine_bytes(
            rays, _SAMPLES_PER_LIVE * live, live, self.shape.entries, self.shape.grid
        )
        # Records and the rounded table, networks with moments, the grid's densities and bits.
        state = self.shape.entries * (4 * RECORD + 8) + 12 * WEIGHTS + self.shape.grid**3 * 33 // 8
        give_back_cache(self.device)
        what = f"training a field of {self.shape.entries:,} entries with {batch:,} samples a step"
        require_free(what, work + state + photo_bytes, self._native.memory()[0])

    @property
    def allocated(self) -> int:
        """Bytes of GPU memory that the engine holds."""
        return self._engine.allocated()
