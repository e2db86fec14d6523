"""CUDA kernels of recon."""

from collections.abc import Sequence

class OutOfDeviceMemory(Exception):
    pass

BLOCK: int = 16

ROWS: int = 59

TILE: int = 16

NEAR: float = 0.01

BLUR: float = 0.3

CLAMP_FOV: float = 0.15

COMPENSATION_FLOOR: float = 2.5e-05

ALPHA_MIN: float = 0.00392156862745098

ALPHA_MAX: float = 0.999

T_MIN: float = 0.002

class View:
    def __init__(
        self,
        arg0: int,
        arg1: int,
        arg2: float,
        arg3: float,
        arg4: float,
        arg5: float,
        arg6: Sequence[float],
        arg7: Sequence[float],
        /,
    ) -> None: ...

class RenderOptions:
    def __init__(
        self, arg0: float, arg1: float, arg2: float, arg3: int, arg4: bool, arg5: bool, /
    ) -> None: ...

class AdamOptions:
    def __init__(
        self,
        arg0: Sequence[float],
        arg1: float,
        arg2: float,
        arg3: float,
        arg4: int,
        arg5: bool,
        arg6: float,
        arg7: float,
        /,
    ) -> None: ...

LEVELS: int = 8

FEATURES: int = 4

HIDDEN: int = 64

GEOMETRY: int = 16

SPHERE: int = 16

COLOR_OUT: int = 8

RECORD: int = 16

PHOTO_TILE: int = 8

WEIGHTS: int = 9728

class FieldShape:
    def __init__(
        self,
        resolution: Sequence[int],
        log2_table: int,
        grid: int,
        contracted: bool,
        centre: Sequence[float],
        half: float,
        density_bias: float,
    ) -> None: ...
    @property
    def half(self) -> float: ...
    @property
    def grid(self) -> int: ...
    @property
    def contracted(self) -> bool: ...
    @property
    def offsets(self) -> list[int]: ...
    @property
    def dense(self) -> list[bool]: ...

class MarchOptions:
    def __init__(
        self,
        near: float,
        far: float,
        shortest: float,
        cone: float,
        min_weight: float,
        min_transmittance: float,
        phase: float,
    ) -> None: ...

class StepOptions:
    def __init__(
        self,
        seed: int,
        step: int,
        rays: int,
        huber_delta: float,
        distortion: float,
        spread: float,
        random_background: bool,
        background: Sequence[float],
        rates: Sequence[float],
        adam: Sequence[float],
        mlp_decay: float,
        exposure_decay: float,
    ) -> None: ...

class GridOptions:
    def __init__(
        self,
        seed: int,
        occupied_every: int,
        all_every: int,
        decay: float,
        shortest: float,
        threshold: float,
    ) -> None: ...

STEPS_AHEAD: int = 4

def field_engine_bytes(rays: int, samples: int, live: int, entries: int, grid: int) -> int: ...

class FieldEngine:
    def __init__(self, samples: int) -> None: ...
    def set_images(self, arg0: Sequence[tuple[int, int, int, View]], arg1: int, /) -> None: ...
    def set_occupancy(self, arg0: FieldShape, arg1: int, arg2: int, /) -> None: ...
    def update_grid(
        self,
        arg0: FieldShape,
        arg1: int,
        arg2: int,
        arg3: int,
        arg4: int,
        arg5: GridOptions,
        arg6: int,
        /,
    ) -> None: ...
    def train_step(
        self,
        arg0: FieldShape,
        arg1: Sequence[int],
        arg2: MarchOptions,
        arg3: StepOptions,
        arg4: int,
        /,
    ) -> None: ...
    def take_result(self) -> tuple[float, float, int, int, int, bool]: ...
    def drain(self, arg: int, /) -> tuple[float, int, int]: ...
    def set_room(self, arg0: int, arg1: int, /) -> None: ...
    def make_room(self, arg0: int, arg1: int, /) -> None: ...
    def room(self) -> tuple[int, int]: ...
    def gradients(
        self,
        arg0: FieldShape,
        arg1: Sequence[int],
        arg2: MarchOptions,
        arg3: StepOptions,
        arg4: int,
        arg5: Sequence[int],
        arg6: Sequence[int],
        arg7: int,
        /,
    ) -> tuple[float, float, int, int, int, bool]: ...
    def query(
        self,
        arg0: FieldShape,
        arg1: int,
        arg2: int,
        arg3: int,
        arg4: int,
        arg5: int,
        arg6: int,
        arg7: int,
        arg8: int,
        arg9: int,
        /,
    ) -> None: ...
    def render(
        self,
        arg0: FieldShape,
        arg1: int,
        arg2: int,
        arg3: MarchOptions,
        arg4: View,
        arg5: float,
        arg6: Sequence[float],
        arg7: int,
        arg8: int,
        arg9: int,
        arg10: int,
        /,
    ) -> None: ...
    def allocated(self) -> int: ...

def device_count() -> int: ...
def device_problem() -> str: ...
def device_name(arg: int, /) -> str: ...
def memory() -> tuple[int, int]: ...
def engine_bytes(arg0: int, arg1: int, arg2: int, arg3: int, arg4: bool, arg5: bool, /) -> int: ...

class Engine:
    def __init__(self, arg: int, /) -> None: ...
    def forward(
        self, arg0: int, arg1: int, arg2: View, arg3: RenderOptions, arg4: bool, arg5: int, /
    ) -> None: ...
    def read(self, arg0: int, arg1: int, arg2: int, arg3: int, /) -> None: ...
    def loss(self, arg0: int, arg1: int, arg2: float, arg3: int, /) -> None: ...
    def set_gradients(self, arg0: int, arg1: int, arg2: int, arg3: int, /) -> None: ...
    def read_gradients(self, arg0: int, arg1: int, /) -> None: ...
    def backward(self, arg: int, /) -> None: ...
    def gradients(self, arg0: int, arg1: int, arg2: int, /) -> None: ...
    def adam(
        self,
        arg0: int,
        arg1: int,
        arg2: int,
        arg3: AdamOptions,
        arg4: int,
        arg5: int,
        arg6: int,
        arg7: int,
        /,
    ) -> None: ...
    def read_footprints(self, arg0: int, arg1: int, /) -> None: ...
    def counts(self, arg: int, /) -> tuple[int, int]: ...
    def drain(self, arg: int, /) -> tuple[float, float, int, int, int]: ...
    def pair_capacity(self) -> int: ...
    def allocated(self) -> int: ...
