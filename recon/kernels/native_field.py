"""The hash-grid field on the CPU: training steps, queries and rendering.

See `recon.kernels.field_ops` for the semantics.
"""

from __future__ import annotations

from typing import Any

import torch

from recon.errors import BackendUnavailable
from recon.kernels.engine import StepTotals
from recon.kernels.field_engine import NativeFieldEngine
from recon.kernels.field_ops import FieldShape, March, StepResult, StepSettings
from recon.kernels.field_tensors import FieldState

try:
    from recon.kernels import _native
except ImportError as error:
    raise BackendUnavailable(
        f"the native kernels are not built ({error})",
        remedy="install recon with a C++20 compiler present: pip install .",
    ) from error


class FieldEngine(NativeFieldEngine):
    """See `NativeFieldEngine`.

    Args:
        shape: of the field.
        isa: instruction set, one of `native_cpu.instruction_sets()`; empty for the best.

    Raises:
        BackendUnavailable: this CPU or this build has no such instruction set.
    """

    def __init__(self, shape: FieldShape, isa: str = "") -> None:
        try:
            engine = _native.FieldEngine(isa)
        except ValueError as error:
            raise BackendUnavailable(str(error), remedy="see `recon doctor`") from error
        super().__init__(_native, engine, shape, torch.device("cpu"))
        self.isa: str = engine.isa
        self._loss_sum, self._losses = 0.0, 0

    def train_step(self, state: FieldState, march: March, settings: StepSettings) -> StepResult:
        """See `NativeFieldEngine`; the result is that of this very step."""
        result = self._result(self._native_step(state, march, settings))
        self._loss_sum += result.loss
        self._losses += 1
        return result

    def _result(self, values: Any) -> StepResult:
        loss, error, marched, live = values
        return StepResult(loss, error, marched, live, evaluated=marched)

    def finish_steps(self) -> list[StepResult]:
        """See `NativeFieldEngine`: none."""
        return []

    def drain(self) -> StepTotals:
        """See `NativeFieldEngine`."""
        totals = StepTotals(self._loss_sum, self._losses)
        self._loss_sum, self._losses = 0.0, 0
        return totals

    @property
    def room(self) -> None:
        """See `NativeFieldEngine`: there is no limit."""
        return None

    def set_room(self, room: tuple[int, int] | None) -> None:
        """Nothing to set: see `room`."""

    def make_room(self, result: StepResult) -> None:
        """Nothing to do: see `room`."""

    def require_memory(self, rays: int, batch: int, photo_bytes: int) -> None:
        """Nothing to refuse: the forecast of a run says what main memory it takes."""

    def visible_density(self, near: float, *, carve: bool = False) -> torch.Tensor:
        """See `NativeFieldEngine`."""
        density = torch.empty(self.shape.grid**3)
        self._engine.mark_visible(self._shape, near, carve, density.data_ptr())
        return density

    def timings(self, *, reset: bool = True) -> dict[str, float]:
        """Thread seconds spent in each stage since the last reset."""
        return self._engine.timings(reset)
