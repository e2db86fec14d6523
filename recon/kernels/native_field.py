"""The native engine of the hash-grid field: training steps, queries and rendering.

See `recon.kernels.field_ops` for the semantics.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from recon.errors import BackendUnavailable, OptionError
from recon.kernels.block_engine import native_view
from recon.kernels.field_ops import (
    FEATURES,
    LEVELS,
    RECORD,
    WEIGHTS,
    FieldShape,
    March,
    StepResult,
    StepSettings,
)
from recon.kernels.layout import checked_address
from recon.kernels.ops import PinholeView

try:
    from recon.kernels import _native
except ImportError as error:
    raise BackendUnavailable(
        f"the native kernels are not built ({error})",
        remedy="install recon with a C++20 compiler present: pip install .",
    ) from error

assert (LEVELS, FEATURES, WEIGHTS) == (_native.LEVELS, _native.FEATURES, _native.WEIGHTS)
assert _native.RECORD == RECORD


@dataclass
class FieldWeights:
    """What rendering needs: table (entries, FEATURES) float16, mlp (WEIGHTS,) float32, occupied
    (grid^3 / 8,) uint8, one bit a cell, x fastest."""

    table: torch.Tensor
    mlp: torch.Tensor
    occupied: torch.Tensor

    def clone(self) -> FieldWeights:
        return FieldWeights(self.table.clone(), self.mlp.clone(), self.occupied.clone())


@dataclass
class FieldState:
    """What training changes, in place.

    Attributes:
        records: (entries, RECORD) float32: FEATURES parameters of an entry of the table, as many
            first and second moments, number of updates, padding.
        weights: the rounded table, the networks and the occupied cells.
        mlp_first, mlp_second: moments of the networks.
        density: (grid^3,) float32, what the occupancy grid remembers; under 0 where no training
            camera looks.
        exposure, exposure_first, exposure_second: (photos, 3) float32 log gains, or None.
    """

    records: torch.Tensor
    weights: FieldWeights
    mlp_first: torch.Tensor
    mlp_second: torch.Tensor
    density: torch.Tensor
    exposure: torch.Tensor | None = None
    exposure_first: torch.Tensor | None = None
    exposure_second: torch.Tensor | None = None


@dataclass(frozen=True)
class TrainImage:
    """rgba (H, W, 4) uint8, colours premultiplied; weight (H, W) uint8, 255 counts fully, or
    None."""

    view: PinholeView
    rgba: torch.Tensor
    weight: torch.Tensor | None = None


@dataclass(frozen=True)
class Rays:
    """Rays given from outside: origin, direction, background (N, 3), jitter (N,), target (N, 4)
    premultiplied colour and alpha, all float32; image (N,) int32."""

    origin: torch.Tensor
    direction: torch.Tensor
    jitter: torch.Tensor
    target: torch.Tensor
    background: torch.Tensor
    image: torch.Tensor


@dataclass(frozen=True)
class FieldGradients:
    """Gradients of table, mlp and exposure, and the colour (N, 3) of each ray."""

    table: torch.Tensor
    mlp: torch.Tensor
    exposure: torch.Tensor | None
    color: torch.Tensor


@dataclass
class FieldEngine:
    """Works on states and weights given with each call, all of one `shape`. Not for use by two
    threads at once.

    Args:
        shape: of the field.
        isa: instruction set, one of `native_cpu.instruction_sets()`; empty for the best.
    """

    shape: FieldShape
    isa: str = ""
    _engine: _native.FieldEngine = field(init=False, repr=False)
    _shape: _native.FieldShape = field(init=False, repr=False)
    _images: tuple[TrainImage, ...] = field(init=False, default=(), repr=False)

    def __post_init__(self) -> None:
        try:
            self._engine = _native.FieldEngine(self.isa)
        except ValueError as error:
            raise BackendUnavailable(str(error), remedy="see `recon doctor`") from error
        self.isa = self._engine.isa
        shape = self.shape
        self._shape = _native.FieldShape(
            list(shape.resolutions),
            shape.log2_table,
            shape.grid,
            shape.contracted,
            list(shape.centre),
            shape.half,
            shape.density_bias,
        )
        assert tuple(self._shape.offsets) == shape.offsets

    def use_levels(self, count: int) -> None:
        """From now on only the first `count` levels have features; those of the others are 0."""
        self._shape.active = count

    def set_images(self, images: tuple[TrainImage, ...]) -> None:
        """The photos that random rays come from."""
        self._images = images  # keeps the memory alive
        self._engine.set_images(
            [
                (
                    checked_address(i.rgba, (i.view.height, i.view.width, 4), torch.uint8),
                    checked_address(i.weight, (i.view.height, i.view.width), torch.uint8),
                    native_view(_native, i.view),
                )
                for i in images
            ]
        )

    def visible_density(self, near: float, *, carve: bool = False) -> torch.Tensor:
        """A first `FieldState.density`: 0 in cells that some training camera sees farther than
        `near` (box units), -1 elsewhere; with `carve` also -1 where a photo is transparent."""
        density = torch.empty(self.shape.grid**3)
        self._engine.mark_visible(self._shape, near, carve, density.data_ptr())
        return density

    def use_grid(self, weights: FieldWeights) -> None:
        """Take over the occupied cells; must be called before anything that marches."""
        self._engine.set_occupancy(self._shape, self._weights(weights)[2])

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
        is contracted) is more opaque than `threshold`, or than the mean over all seen cells."""
        table, mlp, bits = self._weights(state.weights)
        self._engine.update_grid(
            self._shape,
            table,
            mlp,
            checked_address(state.density, (self.shape.grid**3,), torch.float32),
            bits,
            _native.GridOptions(
                seed=seed,
                occupied_every=occupied_every,
                all_every=all_every,
                decay=decay,
                shortest=shortest,
                threshold=threshold,
            ),
        )

    def train_step(self, state: FieldState, march: March, settings: StepSettings) -> StepResult:
        """One step on random rays: forward, backward and update, in place."""
        if not self._images:
            raise OptionError("set_images must be called before a training step")
        return StepResult(
            *self._engine.train_step(
                self._shape, self._state(state), _march(march), _step(settings)
            )
        )

    def gradients(
        self, state: FieldState, march: March, settings: StepSettings, rays: Rays
    ) -> tuple[StepResult, FieldGradients]:
        """The same on given rays, without an update."""
        n = len(rays.origin)
        out = FieldGradients(
            table=torch.zeros(self.shape.entries, FEATURES),
            mlp=torch.zeros(WEIGHTS),
            exposure=None if state.exposure is None else torch.zeros_like(state.exposure),
            color=torch.zeros(n, 3),
        )
        result = self._engine.gradients(
            self._shape,
            self._state(state),
            _march(march),
            _step(settings),
            n,
            [
                checked_address(rays.origin, (n, 3), torch.float32),
                checked_address(rays.direction, (n, 3), torch.float32),
                checked_address(rays.jitter, (n,), torch.float32),
                checked_address(rays.target, (n, 4), torch.float32),
                checked_address(rays.background, (n, 3), torch.float32),
                checked_address(rays.image, (n,), torch.int32),
            ],
            [
                out.table.data_ptr(),
                out.mlp.data_ptr(),
                0 if out.exposure is None else out.exposure.data_ptr(),
                out.color.data_ptr(),
            ],
        )
        return StepResult(*result), out

    def query(
        self, weights: FieldWeights, points: torch.Tensor, directions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encoding (N, LEVELS * FEATURES), density (N,) per scene unit and colour (N, 3) at points
        (N, 3) in scene space seen along unit directions (N, 3), float32."""
        n = len(points)
        encoded, density = torch.empty(n, LEVELS * FEATURES), torch.empty(n)
        color = torch.empty(n, 3)
        table, mlp, _ = self._weights(weights)
        self._engine.query(
            self._shape,
            table,
            mlp,
            n,
            checked_address(points, (n, 3), torch.float32),
            checked_address(directions, (n, 3), torch.float32),
            encoded.data_ptr(),
            density.data_ptr(),
            color.data_ptr(),
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
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Colour (H, W, 3), alpha (H, W), expected z-depth (H, W) in scene units or None."""
        size = (view.height, view.width)
        color, alpha = torch.empty(*size, 3), torch.empty(size)
        z = torch.empty(size) if depth else None
        table, mlp, _ = self._weights(weights)
        self._engine.render(
            self._shape,
            table,
            mlp,
            _march(march),
            native_view(_native, view),
            list(background),
            color.data_ptr(),
            alpha.data_ptr(),
            0 if z is None else z.data_ptr(),
        )
        return color, alpha, z

    def timings(self, *, reset: bool = True) -> dict[str, float]:
        """Thread seconds spent in each stage since the last reset."""
        return self._engine.timings(reset)

    def _weights(self, weights: FieldWeights) -> tuple[int, int, int]:
        return (
            checked_address(weights.table, (self.shape.entries, FEATURES), torch.float16),
            checked_address(weights.mlp, (WEIGHTS,), torch.float32),
            checked_address(weights.occupied, (self.shape.grid**3 // 8,), torch.uint8),
        )

    def _state(self, s: FieldState) -> list[int]:
        half, mlp, _ = self._weights(s.weights)
        exposure = (len(self._images), 3)
        if s.exposure is not None and not self._images:
            exposure = (len(s.exposure), 3)
        return [
            checked_address(s.records, (self.shape.entries, RECORD), torch.float32),
            half,
            mlp,
            checked_address(s.mlp_first, (WEIGHTS,), torch.float32),
            checked_address(s.mlp_second, (WEIGHTS,), torch.float32),
            checked_address(s.exposure, exposure, torch.float32),
            checked_address(s.exposure_first, exposure, torch.float32),
            checked_address(s.exposure_second, exposure, torch.float32),
        ]


def _march(m: March) -> _native.MarchOptions:
    return _native.MarchOptions(
        near=m.near,
        far=m.far,
        shortest=m.shortest,
        cone=m.cone,
        min_weight=m.min_weight,
        min_transmittance=m.min_transmittance,
    )


def _step(s: StepSettings) -> _native.StepOptions:
    return _native.StepOptions(
        seed=s.seed,
        step=s.step,
        rays=s.rays,
        huber_delta=s.huber_delta,
        random_background=s.background is None,
        background=list(s.background or (0.0, 0.0, 0.0)),
        rates=[s.table_rate, s.mlp_rate, s.exposure_rate],
        adam=[s.beta1, s.beta2, s.epsilon],
        mlp_decay=s.mlp_decay,
        exposure_decay=s.exposure_decay,
    )
