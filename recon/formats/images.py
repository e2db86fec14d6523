"""Reading photos into arrays, at the size that a camera asks for."""

from __future__ import annotations

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
    try:
        with Image.open(path) as image:
            if image.format == "JPEG":
                image.draft("RGB", (width, height))
            if "A" in image.getbands() or "transparency" in image.info:
                rgba = image.convert("RGBA")
                color = tuple(round(255 * c) for c in (background or (0.0, 0.0, 0.0)))
                base = Image.new("RGBA", rgba.size, (*color, 255))
                rgb = Image.alpha_composite(base, rgba).convert("RGB")
            else:
                rgb = image.convert("RGB")
            if rgb.size != (width, height):
                rgb = rgb.resize((width, height), Image.Resampling.BOX)
            return np.array(rgb, dtype=np.uint8)
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
