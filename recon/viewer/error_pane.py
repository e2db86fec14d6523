"""The pane that shows where a render is wrong, in several ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from recon.metrics import (
    ERROR_FULL_SCALE,
    FLIP_PACKAGE,
    error_colors,
    error_map,
    flip_installed,
    flip_map,
)
from recon.viewer.images import Rgb8

ErrorKind = Literal["Absolute", "Lighter, darker", "FLIP"]
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)

ABOUT_ERRORS = (
    f"Absolute: mean over the channels, brightest from {ERROR_FULL_SCALE:.0%} on. Lighter, darker: "
    "red where the render is too light, blue where too dark. FLIP: what the eye would notice when "
    "switching between the two"
)


@dataclass(frozen=True)
class ErrorPicture:
    """What one way of showing errors makes of a render.

    Attributes:
        title: what is shown, without the method.
        image: (H, W, 3).
        mean: FLIP of the whole view; None for the others, whose means PSNR tells.
    """

    title: str
    image: Rgb8
    mean: float | None = None


def error_picture(kind: ErrorKind, image: Rgb8, truth: Rgb8) -> ErrorPicture:
    """The error of `image` against `truth`, (H, W, 3) both.

    Raises:
        BackendUnavailable: FLIP was asked for and is not installed.
    """
    if kind == "FLIP":
        values = flip_map(image, truth)
        mean = float(values.mean())
        return ErrorPicture(f"FLIP {mean:.3f}", error_colors(values), mean)
    if kind == "Absolute":
        return ErrorPicture(f"error, to {ERROR_FULL_SCALE:.0%}", error_map(image, truth))
    return ErrorPicture(f"lighter, darker, to {ERROR_FULL_SCALE:.0%}", _signed(image, truth))


def available_kinds() -> tuple[ErrorKind, ...]:
    """The ways that work here."""
    return ERROR_KINDS if flip_installed() else ERROR_KINDS[:-1]


def about_missing() -> str:
    """How to get what is not there; empty when all is."""
    return "" if flip_installed() else f". For FLIP: pip install {FLIP_PACKAGE}"


def _signed(image: Rgb8, truth: Rgb8) -> Rgb8:
    """Red where the image is lighter than the truth, blue where darker, white where equal."""
    difference = (image.astype(np.float32) - truth).mean(axis=-1) / (255 * ERROR_FULL_SCALE)
    x = np.clip(difference, -1, 1)[..., None]
    red, blue = np.array([178, 24, 43], np.float32), np.array([33, 102, 172], np.float32)
    colour = np.where(x > 0, red, blue)
    return (255 + np.abs(x) * (colour - 255) + 0.5).astype(np.uint8)
