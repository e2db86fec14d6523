"""Native CPU kernels of recon."""

from collections.abc import Sequence

from recon.kernels._native import oracle as oracle

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

def instruction_sets() -> list[tuple[str, bool]]: ...
def thread_count() -> int: ...
def set_thread_count(arg: int, /) -> None: ...
def gather_splats(arg0: int, arg1: int, arg2: int, arg3: int, /) -> None: ...

class Engine:
    def __init__(self, isa: str = "") -> None: ...
    @property
    def isa(self) -> str: ...
    def forward(self, arg0: int, arg1: int, arg2: View, arg3: RenderOptions, /) -> None: ...
    def read(self, arg0: int, arg1: int, arg2: int, /) -> None: ...
    def loss(self, arg0: int, arg1: int, arg2: float, /) -> float: ...
    def set_gradients(self, arg0: int, arg1: int, arg2: int, /) -> None: ...
    def read_gradients(self, arg: int, /) -> None: ...
    def backward(self) -> None: ...
    def gradients(self, arg0: int, arg1: int, /) -> None: ...
    def adam(
        self, arg0: int, arg1: int, arg2: int, arg3: AdamOptions, arg4: int, arg5: int, arg6: int, /
    ) -> None: ...
    def read_footprints(self, arg: int, /) -> None: ...
    def work(self) -> tuple[int, int]: ...
    def ceilings(self) -> tuple[float, float]: ...
    def counts(self) -> tuple[int, int, int]: ...
    def timings(self, arg: bool, /) -> dict: ...

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

class FieldEngine:
    def __init__(self, isa: str = "") -> None: ...
    @property
    def isa(self) -> str: ...
    def set_images(self, arg: Sequence[tuple[int, int, int, View]], /) -> None: ...
    def mark_visible(self, arg0: FieldShape, arg1: float, arg2: bool, arg3: int, /) -> None: ...
    def set_occupancy(self, arg0: FieldShape, arg1: int, /) -> None: ...
    def update_grid(
        self, arg0: FieldShape, arg1: int, arg2: int, arg3: int, arg4: int, arg5: GridOptions, /
    ) -> None: ...
    def train_step(
        self, arg0: FieldShape, arg1: Sequence[int], arg2: MarchOptions, arg3: StepOptions, /
    ) -> tuple[float, float, int, int]: ...
    def gradients(
        self,
        arg0: FieldShape,
        arg1: Sequence[int],
        arg2: MarchOptions,
        arg3: StepOptions,
        arg4: int,
        arg5: Sequence[int],
        arg6: Sequence[int],
        /,
    ) -> tuple[float, float, int, int]: ...
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
        /,
    ) -> None: ...
    def timings(self, arg: bool, /) -> dict: ...

def plane_sweep(
    reference: tuple[int, int, int],
    neighbours: Sequence[tuple[tuple[int, int, int], Sequence[float], Sequence[float]]],
    planes: int,
    first: float,
    step: float,
    inverse_depth: int,
    score: int,
    isa: str = "",
) -> None: ...
