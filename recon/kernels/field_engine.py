"""What the engines of the hash-grid field share: a native engine, driven with tensors.

See `recon.kernels.field_ops` for the semantics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from recon.errors import OptionError
from recon.kernels.block_engine import native_view
from recon.kernels.engine import StepTotals
from recon.kernels.field_ops import (
    FEATURES,
    LEVELS,
    PHOTO_TILE,
    RECORD,
    WEIGHTS,
    FieldShape,
    March,
    StepResult,
    StepSettings,
    photo_tiles,
)
from recon.kernels.field_tensors import (
    FieldGradients,
    FieldState,
    FieldWeights,
    Rays,
    TrainImage,
)
from recon.kernels.layout import checked_address
from recon.kernels.ops import PinholeView


class NativeFieldEngine(ABC):
    """Works on states and weights given with each call, all of one `shape` and on `device`. Not for
    use by two threads at once.

    Args:
        native: the compiled module, which has the types of arguments.
        engine: an engine of it.
        shape: of the field.
        device: where all tensors are.

    Attributes:
        lag: how many steps later `train_step` gives the result of a step.
    """

    lag: int = 0

    def __init__(self, native: Any, engine: Any, shape: FieldShape, device: torch.device) -> None:
        assert (native.LEVELS, native.FEATURES, native.WEIGHTS) == (LEVELS, FEATURES, WEIGHTS)
        assert (native.RECORD, native.PHOTO_TILE) == (RECORD, PHOTO_TILE)
        self.shape = shape
        self.device = device
        self._native = native
        self._engine = engine
        self._images: tuple[TrainImage, ...] = ()
        self._shape = native.FieldShape(
            list(shape.resolutions),
            shape.log2_table,
            shape.grid,
            shape.contracted,
            list(shape.centre),
            shape.half,
            shape.density_bias,
        )
        assert tuple(self._shape.offsets) == shape.offsets

    def _queue(self) -> tuple[int, ...]:
        """The last argument of native calls that queue work, where there is one."""
        return ()

    def _at(self, tensor: torch.Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> int:
        return checked_address(tensor, shape, dtype, self.device.type)

    def _empty(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, device=self.device)

    def _zeros(self, *shape: int) -> torch.Tensor:
        return torch.zeros(shape, device=self.device)

    def set_images(self, images: tuple[TrainImage, ...]) -> None:
        """The photos that random rays come from, in main memory."""
        images = tuple(
            TrainImage(
                i.view,
                i.rgba.to(self.device),
                None if i.weight is None else i.weight.to(self.device),
                None if i.share is None else i.share.to(self.device),
            )
            for i in images
        )
        self._images = images  # keeps the memory alive
        self._engine.set_images(
            [
                (
                    self._at(i.rgba, (i.view.height, i.view.width, 4), torch.uint8),
                    self._at(i.weight, (i.view.height, i.view.width), torch.uint8),
                    self._at(i.share, (photo_tiles(i.view.width, i.view.height),), torch.uint32),
                    native_view(self._native, i.view),
                )
                for i in images
            ],
            *self._queue(),
        )

    @abstractmethod
    def require_memory(self, rays: int, batch: int, photo_bytes: int) -> None:
        """Refuse a training that will not fit the device, before it begins.

        Args:
            rays: the most of a step.
            batch: the most samples with colour and gradients that a step aims at.
            photo_bytes: of the training photos.

        Raises:
            TrainingError: it will not fit.
        """

    @abstractmethod
    def visible_density(self, near: float, *, carve: bool = False) -> torch.Tensor:
        """A first `FieldState.density`: 0 in cells that some training camera sees farther than
        `near` (box units), -1 elsewhere; with `carve` also -1 where a photo is transparent."""

    def use_grid(self, weights: FieldWeights) -> None:
        """Take over the occupied cells; must be called before anything that marches."""
        self._engine.set_occupancy(self._shape, self._weights(weights)[2], *self._queue())

    def update_grid(
        self,
        state: FieldState,
        *,
        seed: int,
        occupied_every: int,
        all_every: int,
        decay: float,
        shortest: float,
        threshold: float,
    ) -> None:
        """Look again at one in `occupied_every` occupied cells and one in `all_every` of all, and
        use the outcome. A cell is occupied when a step of length `shortest` (stretched where space
        is contracted) is more opaque than `threshold`, or than half the mean over all seen cells,
        all with steps of equal length."""
        table, mlp, bits = self._weights(state.weights)
        self._engine.update_grid(
            self._shape,
            table,
            mlp,
            self._at(state.density, (self.shape.grid**3,), torch.float32),
            bits,
            self._native.GridOptions(
                seed=seed,
                occupied_every=occupied_every,
                all_every=all_every,
                decay=decay,
                shortest=shortest,
                threshold=threshold,
            ),
            *self._queue(),
        )

    @abstractmethod
    def train_step(
        self, state: FieldState, march: March, settings: StepSettings
    ) -> StepResult | None:
        """One step on random rays: forward, backward and update, in place.

        Returns:
            The result of the step `lag` steps before, or None while there is none. On a GPU the
            step itself is only queued.
        """

    @abstractmethod
    def finish_steps(self) -> list[StepResult]:
        """The results that `train_step` still owes, oldest first; waits for them."""

    @abstractmethod
    def drain(self) -> StepTotals:
        """Sums over the training steps since the last call; waits for them."""

    @property
    @abstractmethod
    def room(self) -> tuple[int, int] | None:
        """How many samples and live samples a step may have; None where there is no limit."""

    @abstractmethod
    def set_room(self, room: tuple[int, int] | None) -> None:
        """Room as it was in another engine, so that the same steps find enough; None for as it
        is."""

    @abstractmethod
    def make_room(self, result: StepResult) -> None:
        """More room from the next step on, where a step had little or none to spare."""

    def _native_step(self, state: FieldState, march: March, settings: StepSettings) -> Any:
        if not self._images:
            raise OptionError("set_images must be called before a training step")
        return self._engine.train_step(
            self._shape,
            self._state(state),
            _march(self._native, march),
            _step(self._native, settings),
            *self._queue(),
        )

    @abstractmethod
    def _result(self, values: Any) -> StepResult:
        """From what a native call returns."""

    def gradients(
        self, state: FieldState, march: March, settings: StepSettings, rays: Rays
    ) -> tuple[StepResult, FieldGradients]:
        """The same on given rays, without an update."""
        n = len(rays.origin)
        out = FieldGradients(
            table=self._zeros(self.shape.entries, FEATURES),
            mlp=self._zeros(WEIGHTS),
            exposure=None if state.exposure is None else torch.zeros_like(state.exposure),
            color=self._zeros(n, 3),
        )
        result = self._engine.gradients(
            self._shape,
            self._state(state),
            _march(self._native, march),
            _step(self._native, settings),
            n,
            [
                self._at(rays.origin, (n, 3), torch.float32),
                self._at(rays.direction, (n, 3), torch.float32),
                self._at(rays.jitter, (n,), torch.float32),
                self._at(rays.target, (n, 4), torch.float32),
                self._at(rays.background, (n, 3), torch.float32),
                self._at(rays.image, (n,), torch.int32),
            ],
            [
                out.table.data_ptr(),
                out.mlp.data_ptr(),
                0 if out.exposure is None else out.exposure.data_ptr(),
                out.color.data_ptr(),
            ],
            *self._queue(),
        )
        return self._result(result), out

    def query(
        self, weights: FieldWeights, points: torch.Tensor, directions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encoding (N, LEVELS * FEATURES), density (N,) per scene unit and colour (N, 3) at points
        (N, 3) in scene space seen along unit directions (N, 3), float32."""
        n = len(points)
        encoded, density = self._empty(n, LEVELS * FEATURES), self._empty(n)
        color = self._empty(n, 3)
        table, mlp, _ = self._weights(weights)
        self._engine.query(
            self._shape,
            table,
            mlp,
            n,
            self._at(points, (n, 3), torch.float32),
            self._at(directions, (n, 3), torch.float32),
            encoded.data_ptr(),
            density.data_ptr(),
            color.data_ptr(),
            *self._queue(),
        )
        return encoded, density, color

    def render(
        self,
        weights: FieldWeights,
        march: March,
        view: PinholeView,
        background: tuple[float, float, float],
        *,
        depth: bool = False,
        near: float = 0.0,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Colour (H, W, 3), alpha (H, W), expected z-depth (H, W) in scene units or None; without
        samples at a z-depth less than `near`, in scene units too."""
        size = (view.height, view.width)
        color, alpha = self._empty(*size, 3), self._empty(*size)
        z = self._empty(*size) if depth else None
        table, mlp, _ = self._weights(weights)
        self._engine.render(
            self._shape,
            table,
            mlp,
            _march(self._native, march),
            native_view(self._native, view),
            near,
            list(background),
            color.data_ptr(),
            alpha.data_ptr(),
            0 if z is None else z.data_ptr(),
            *self._queue(),
        )
        return color, alpha, z

    def _weights(self, weights: FieldWeights) -> tuple[int, int, int]:
        return (
            self._at(weights.table, (self.shape.entries, FEATURES), torch.float16),
            self._at(weights.mlp, (WEIGHTS,), torch.float32),
            self._at(weights.occupied, (self.shape.grid**3 // 8,), torch.uint8),
        )

    def _state(self, s: FieldState) -> list[int]:
        half, mlp, _ = self._weights(s.weights)
        exposure = (len(self._images), 3)
        if s.exposure is not None and not self._images:
            exposure = (len(s.exposure), 3)
        return [
            self._at(s.records, (self.shape.entries, RECORD), torch.float32),
            half,
            mlp,
            self._at(s.mlp_first, (WEIGHTS,), torch.float32),
            self._at(s.mlp_second, (WEIGHTS,), torch.float32),
            self._at(s.exposure, exposure, torch.float32),
            self._at(s.exposure_first, exposure, torch.float32),
            self._at(s.exposure_second, exposure, torch.float32),
        ]


def _march(native: Any, m: March) -> Any:
    return native.MarchOptions(
        near=m.near,
        far=m.far,
        shortest=m.shortest,
        cone=m.cone,
        min_weight=m.min_weight,
        min_transmittance=m.min_transmittance,
        phase=m.phase,
    )


def _step(native: Any, s: StepSettings) -> Any:
    return native.StepOptions(
        seed=s.seed,
        step=s.step,
        rays=s.rays,
        huber_delta=s.huber_delta,
        distortion=s.distortion,
        spread=s.spread,
        random_background=s.background is None,
        background=list(s.background or (0.0, 0.0, 0.0)),
        rates=[s.table_rate, s.mlp_rate, s.exposure_rate],
        adam=[s.beta1, s.beta2, s.epsilon],
        mlp_decay=s.mlp_decay,
        exposure_decay=s.exposure_decay,
    )
