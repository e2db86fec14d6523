"""What a client asks the scheduler for, and what it gets."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal

from recon.geometry import Camera
from recon.model import RenderOutput

ClientId = Hashable


@dataclass(frozen=True)
class Layer:
    """One thing to render for a frame.

    Attributes:
        key: names the model and mode; measurements of cost are kept by it.
        camera: at full resolution.
        render: makes the picture; called on the scheduler's thread at several sizes.
        bands: rows can be rendered on their own with an equal result (true of ray marching; a
            splat's projection depends on the image's bounds).
        quick: makes it sooner, and a little less exact, for a first look or a camera that moves;
            None where `render` does.
    """

    key: Hashable
    camera: Camera
    render: Callable[[Camera], RenderOutput]
    bands: bool = False
    quick: Callable[[Camera], RenderOutput] | None = None

    @property
    def pixels(self) -> int:
        return self.camera.width * self.camera.height


@dataclass(frozen=True)
class Frame:
    """A finished picture of a request.

    Attributes:
        outputs: one for each layer, at `scale` of its camera's size.
        final: nothing better will follow.
        seconds: rendering time of this step, all layers, delivery excluded.
        pixels: rendered in this step.
    """

    outputs: tuple[RenderOutput, ...]
    scale: float
    final: bool
    seconds: float
    pixels: int


@dataclass(frozen=True)
class Request:
    """What one client wants to see.

    Attributes:
        layers: what to render; may be empty (a frame without outputs is delivered).
        deliver: takes each frame, on the scheduler's thread; its time counts as render time.
        on_error: takes what went wrong; the request is dropped.
        haste: "moving": a quick frame first, refinement only after the camera has rested;
            "still": refinement begins at once; "final": only the full frame is wanted.
    """

    layers: tuple[Layer, ...]
    deliver: Callable[[Frame], None]
    on_error: Callable[[Exception], None]
    haste: Literal["moving", "still", "final"] = "still"


@dataclass(frozen=True)
class Pace:
    """How the scheduler paces itself; seconds.

    Attributes:
        moving: frame time aimed at while the camera moves.
        slow: frame time allowed then for pictures of up to `LEGIBLE` of the size: fewer pictures
            tell more than ones that are too small to tell anything.
        rest: a full frame predicted to take no longer is rendered without an intermediate one.
        settle: how long without a newer request counts as rest.
        band: time aimed at for one band of a picture refined in bands.
        busy: share of the time that rendering for one moving camera may take.
    """

    moving: float = 0.045
    slow: float = 0.09
    rest: float = 0.2
    settle: float = 0.12
    band: float = 0.2
    busy: float = 0.8


def scaled(camera: Camera, scale: float) -> Camera:
    """The camera at a scale of its size, at least 8 pixels a side."""
    if scale == 1.0:
        return camera
    return camera.resized(
        max(min(8, camera.width), round(camera.width * scale)),
        max(min(8, camera.height), round(camera.height * scale)),
    )
