"""Where a render is wrong, in several ways: the error pane, and the maps of the comparison page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from recon.metrics import (
    ERROR_FULL_SCALE,
    FLIP_PACKAGE,
    Mask,
    error_colors,
    flip_installed,
    flip_map,
    veil,
)
from recon.viewer.images import Rgb8

ErrorKind = Literal["Absolute", "Lighter, darker", "FLIP"]
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)

MEANINGS: dict[ErrorKind, str] = {
    "Absolute": f"mean over the channels, brightest from {ERROR_FULL_SCALE:.0%} on",
    "Lighter, darker": "red where the render is too light, blue where too dark",
    "FLIP": "what the eye would notice when switching between the two",
}
SCALE_ENDS: dict[ErrorKind, tuple[str, str]] = {
    "Absolute": ("equal", f"{ERROR_FULL_SCALE:.0%} of the range and more"),
    "Lighter, darker": (
        f"darker by {ERROR_FULL_SCALE:.0%} and more",
        f"lighter by {ERROR_FULL_SCALE:.0%} and more",
    ),
    "FLIP": ("equal", "as different as can be"),
}
"""What the first and the last colour mean."""

ABOUT_ERRORS = ". ".join(f"{kind}: {meaning}" for kind, meaning in MEANINGS.items())

_SIGNED_STOPS = np.array([[33, 102, 172], [255, 255, 255], [178, 24, 43]], np.float32)
"""Too dark, equal, too light."""


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """One way of showing where a render is wrong.

    Attributes:
        title: what is shown, without the method.
        places: (H, W) float32, 0..1: where each pixel lies on the colours of its kind.
        mean: FLIP of all that counts; None for the others, whose means PSNR tells.
        counted: (H, W), False where the photo's mask leaves pixels out; None when it has none.
    """

    kind: ErrorKind
    title: str
    places: NDArray[np.float32]
    mean: float | None = None
    counted: Mask | None = None

    @cached_property
    def picture(self) -> Rgb8:
        """(H, W, 3), in colours; made once: dragging shows it many times."""
        return veil(self._colours(), self.counted, keep=0)

    def _colours(self) -> Rgb8:
        if self.kind != "Lighter, darker":
            return error_colors(self.places)
        # Not by a table of 256 colours: it would have no place for "equal", which is white.
        at = np.linspace(0, 1, len(_SIGNED_STOPS))
        channels = [np.interp(self.places, at, _SIGNED_STOPS[:, c]) for c in range(3)]
        return (np.stack(channels, axis=-1) + 0.5).astype(np.uint8)


def map_error(kind: ErrorKind, image: Rgb8, truth: Rgb8, counted: Mask | None = None) -> ErrorMap:
    """The error of `image` against `truth`, (H, W, 3) both, where pixels are `counted`.

    Raises:
        BackendUnavailable: FLIP was asked for and is not installed.
    """
    if counted is not None:
        # What does not count must not show beyond its border either: FLIP looks at neighbours.
        image = np.where(counted[..., None], image, truth)
    if kind == "FLIP":
        values = flip_map(image, truth)
        within = values if counted is None else values[counted]
        mean = float(within.mean()) if within.size else 0.0
        return ErrorMap(kind, f"FLIP {mean:.3f}", values, mean, counted)
    difference = (image.astype(np.float32) - truth) / np.float32(255 * ERROR_FULL_SCALE)
    if kind == "Absolute":
        places = np.abs(difference).mean(axis=-1)
        title = f"error, to {ERROR_FULL_SCALE:.0%}"
        return ErrorMap(kind, title, np.minimum(places, 1), counted=counted)
    places = 0.5 + 0.5 * np.clip(difference.mean(axis=-1), -1, 1)
    return ErrorMap(kind, f"lighter, darker, to {ERROR_FULL_SCALE:.0%}", places, counted=counted)


def colour_stops(kind: ErrorKind) -> list[list[int]]:
    """Colours at even distances from place 0 to 1; those between lie on straight lines."""
    if kind == "Lighter, darker":
        return _SIGNED_STOPS.astype(int).tolist()
    return error_colors(np.linspace(0, 1, 8)).tolist()


def available_kinds() -> tuple[ErrorKind, ...]:
    """The ways that work here."""
    return ERROR_KINDS if flip_installed() else ERROR_KINDS[:-1]


def about_missing() -> str:
    """How to get what is not there; empty when all is."""
    return "" if flip_installed() else f". For FLIP: pip install {FLIP_PACKAGE}"
