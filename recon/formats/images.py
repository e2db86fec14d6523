"""Reading photos into arrays, at the size that a camera asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from recon.errors import FormatError

# Twice the largest phone sensor; Pillow's own limit only warns at half of this.
MAX_PIXELS = 400_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def load_rgb8(
    path: Path,
    width: int,
    height: int,
    background: tuple[float, float, float] | None = None,
) -> NDArray[np.uint8]:
    """Read an image as (height, width, 3) uint8 sRGB, area-averaged to the given size.

    Transparent pixels are composited, before resizing, on `background` (sRGB 0..1; black when
    None), so that edges mix colours as the renderer does.

    Raises:
        FormatError: the file cannot be decoded.
    """
    with _open(path) as image:
        if image.format == "JPEG":
            image.draft("RGB", (width, height))
        if _has_alpha(image):
            rgba = image.convert("RGBA")
            color = tuple(round(255 * c) for c in (background or (0.0, 0.0, 0.0)))
            base = Image.new("RGBA", rgba.size, (*color, 255))
            rgb = Image.alpha_composite(base, rgba).convert("RGB")
        else:
            rgb = image.convert("RGB")
        if rgb.size != (width, height):
            rgb = rgb.resize((width, height), Image.Resampling.BOX)
        return np.array(rgb, dtype=np.uint8)


def load_rgba8(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """Read an image as (height, width, 4) uint8: sRGB multiplied by alpha, and alpha (255 where the
    file has none), area-averaged to the given size.

    Raises:
        FormatError: the file cannot be decoded.
    """
    with _open(path) as image:
        if image.format == "JPEG":
            image.draft("RGB", (width, height))
        transparent = _has_alpha(image)
        # Pillow's "RGBa" is RGBA with colours multiplied by alpha.
        whole = image.convert("RGBA").convert("RGBa") if transparent else image.convert("RGB")
        if whole.size != (width, height):
            whole = whole.resize((width, height), Image.Resampling.BOX)
        out = np.full((height, width, 4), 255, np.uint8)
        out[..., : 4 if transparent else 3] = np.asarray(whole)
        return out


def load_mask8(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """Read a mask as (height, width) uint8, area-averaged to the given size.

    Raises:
        FormatError: the file cannot be decoded.
    """
    with _open(path) as image:
        return np.array(image.convert("L").resize((width, height), Image.Resampling.BOX))


def load_counted(path: Path, width: int, height: int) -> NDArray[np.bool_]:
    """Which pixels a mask lets count, (height, width) at the given size: those that no ignored
    pixel of the file falls into.

    Raises:
        FormatError: the file cannot be decoded.
    """
    with _open(path) as image:
        keep = image.convert("L").point(lambda value: 255 if value else 0)
        if keep.size != (width, height):
            keep = keep.resize((width, height), Image.Resampling.BOX)
        return np.asarray(keep) == 255


def _has_alpha(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """An image file; what goes wrong while it is decoded becomes a FormatError."""
    try:
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise FormatError(
            f"this image cannot be decoded ({error})",
            where=path,
            remedy="remove the file or replace it with a good copy",
        ) from error
    except Image.DecompressionBombError as error:
        raise FormatError(
            f"this image claims more than {MAX_PIXELS // 1_000_000} megapixels",
            where=path,
            remedy="shrink it first",
        ) from error
