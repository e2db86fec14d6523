"""The protocols that tie methods to everything else.

A method (splats, NeRF) is a `RadianceModel` that renders and a `Trainer` that makes one. The
command line, evaluation, report, viewer and benchmarks know only what stands here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from recon.geometry import Camera


@dataclass(frozen=True)
class RenderOptions:
    """How to render.

    Attributes:
        background: sRGB 0..1 colour behind the model.
        sh_degree: highest SH degree used, None for all that the model has.
        depth: also compute the depth image (costs a little).
        near: what lies nearer than this, as z-depth in scene units, is left out; a method may
            have a larger bound of its own, and may know no other.
        quick: for a picture in motion: a method may be a little less exact where that is faster.
        still: for a picture that is kept or measured: a method may take several times longer
            where that is better. Not with `quick`.
    """

    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sh_degree: int | None = None
    depth: bool = False
    near: float = 0.0
    quick: bool = False
    still: bool = False


@dataclass(frozen=True)
class RenderOutput:
    """A rendered view.

    Attributes:
        color: (H, W, 3) float32, sRGB 0..1 (not clamped), composited on the background.
        alpha: (H, W) float32, 0..1.
        depth: (H, W) float32, expected z-depth along the camera axis in scene units,
            sum(w z) / alpha (0 where alpha is 0); None when it was not asked for.
    """

    color: NDArray[np.float32]
    alpha: NDArray[np.float32]
    depth: NDArray[np.float32] | None = None


@runtime_checkable
class RadianceModel(Protocol):
    """Anything that can be looked at from a camera in normalised space."""

    @property
    def method(self) -> str:
        """Name of the method, the key in eval.json: "splat", "nerf", ..."""
        ...

    @property
    def size(self) -> int:
        """Number of primitives (splats) or of parameters (fields)."""
        ...

    def render(self, camera: Camera, options: RenderOptions = ...) -> RenderOutput: ...

    def save(self, path: Path) -> None:
        """Write to `path` atomically, in the method's own checkpoint format."""
        ...


@dataclass(frozen=True)
class StepEvent:
    """Progress of training; sent a few times a second, not for each step.

    Attributes:
        step, total_steps: steps done and planned (the plan may change under a time budget).
        seconds: training time so far, resumed parts included, evaluation excluded.
        steps_per_second: recent rate.
        loss: recent mean of the training loss.
        size: splats or parameters now.
        width, height: resolution of the step's image.
        eta_seconds: estimated training time left.
    """

    step: int
    total_steps: int
    seconds: float
    steps_per_second: float
    loss: float
    size: int
    width: int
    height: int
    eta_seconds: float


@dataclass(frozen=True)
class EvalEvent:
    """Held-out quality during training: mean PSNR (dB) over a few or all test views."""

    step: int
    seconds: float
    psnr: float
    views: int


@dataclass(frozen=True)
class CheckpointEvent:
    """A checkpoint was written."""

    step: int
    seconds: float
    path: Path


@dataclass(frozen=True)
class NoticeEvent:
    """Something that the person should know, in plain words."""

    step: int
    text: str


@dataclass(frozen=True)
class FinishedEvent:
    """Training ended. `reason`: "done", "time" (budget used up) or "stopped" (asked to)."""

    step: int
    seconds: float
    reason: str


TrainEvent = StepEvent | EvalEvent | CheckpointEvent | NoticeEvent | FinishedEvent


@runtime_checkable
class Trainer(Protocol):
    """Trains one model. Prints nothing; everything to be known is in the events."""

    def run(self) -> Iterator[TrainEvent]:
        """Train to the end; may be consumed from any one thread."""
        ...

    def stop(self) -> None:
        """Ask `run` to write a checkpoint and finish after the current step. Thread-safe."""
        ...

    def snapshot(self) -> RadianceModel:
        """A copy of the model as it is now, safe to render while training goes on."""
        ...
