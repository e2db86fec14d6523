"""Decoding photos upright, and the working copies that feature extraction reads.

COLMAP never opens the user's files: it sees JPEG copies that we decoded, turned upright and
shrank. So HEIC, 16-bit, alpha and EXIF orientation are dealt with in one place.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from recon.capture.raw import develop, is_raw
from recon.capture.types import Photo
from recon.errors import FormatError

_NOTE = "recon"
_MASK_LEVEL = 128


def work_size(photo: Photo, long_side: int) -> tuple[int, int]:
    """(width, height) in pixels of a working copy; never larger than the photo."""
    scale = min(1.0, long_side / max(photo.width, photo.height))
    return max(1, round(photo.width * scale)), max(1, round(photo.height * scale))


def open_upright(photo: Photo, at_least: tuple[int, int] | None = None) -> Image.Image:
    """Decode a photo as 8-bit RGB or, where it has alpha, RGBA, turned upright.

    Args:
        photo: as scanned.
        at_least: (width, height) upright below which the caller does not need the pixels; a
            JPEG or raw photo is then decoded at a reduced scale, which is several times faster.

    Raises:
        FormatError: the file has changed since it was scanned and no longer decodes.
    """
    try:
        if is_raw(photo.path):
            return develop(photo.path, (photo.width, photo.height), at_least)
        with Image.open(photo.path) as image:
            if at_least is not None:
                swap = photo.orientation >= 5
                image.draft("RGB", (at_least[1], at_least[0]) if swap else at_least)
            image.load()
            upright = _turned(image, photo.orientation)
            if upright.mode.startswith("I;16") or upright.mode == "I":
                # Pillow clips 16-bit to 8 bits instead of scaling it.
                grey = np.asarray(upright, dtype=np.float32) / 257.0
                upright = Image.fromarray(np.clip(grey + 0.5, 0, 255).astype(np.uint8))
            return upright.convert("RGBA" if photo.has_alpha else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(
            f"this photo no longer decodes ({error})",
            where=photo.path,
            remedy="was it changed or removed? Run again; photos that do not decode are skipped",
        ) from error


def open_mask(photo: Photo) -> Image.Image | None:
    """The photo's mask, upright: 0 where pixels must not count, 255 elsewhere; None without one.

    Raises:
        FormatError: the file has changed since it was scanned and no longer decodes.
    """
    if photo.mask is None:
        return None
    try:
        with Image.open(photo.mask.path) as image:
            grey = _turned(image.convert("L"), photo.mask.orientation)
            return grey.point([0] * _MASK_LEVEL + [255] * (256 - _MASK_LEVEL))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(
            f"this mask no longer decodes ({error})",
            where=photo.mask.path,
            remedy="was it changed or removed? Run again",
        ) from error


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def on_background(image: Image.Image, background: tuple[float, float, float] | None) -> Image.Image:
    """RGB of an RGB or RGBA image, composited on `background` (sRGB 0..1, black if None)."""
    if image.mode != "RGBA":
        return image
    color = tuple(round(255 * c) for c in (background or (0.0, 0.0, 0.0)))
    base = Image.new("RGBA", image.size, (*color, 255))
    return Image.alpha_composite(base, image).convert("RGB")


def write_work_copy(
    photo: Photo,
    path: Path,
    size: tuple[int, int],
    background: tuple[float, float, float] | None,
) -> None:
    """Write the working copy, a JPEG of `size` (width, height); atomic.

    At this quality SIFT finds the same as in a PNG, which takes ten times as long to write.
    """
    image = on_background(open_upright(photo, at_least=size), background)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    _save(image, path, format="JPEG", quality=98, subsampling=0)


def write_work_mask(photo: Photo, path: Path, size: tuple[int, int]) -> None:
    """Write the mask of a working copy of `size` (width, height): all white without a mask."""
    mask = open_mask(photo) or Image.new("L", size, 255)
    # The nearest pixel: features on a border are to stay on its own side.
    save_png(mask.resize(size, Image.Resampling.NEAREST), path)


def save_png(image: Image.Image, path: Path, note: str = "") -> None:
    """Write a PNG atomically; lightly compressed, since time matters more than space here.

    Args:
        image: RGB, RGBA or grey.
        path: of the file.
        note: kept in the file for `png_note`.
    """
    info = PngInfo()
    info.add_text(_NOTE, note)
    _save(image, path, format="PNG", compress_level=1, pnginfo=info)


def png_note(path: Path) -> str | None:
    """The note that `save_png` left in a file; None if there is no such file or note."""
    try:
        with Image.open(path) as image:
            note = image.info.get(_NOTE)
    except (OSError, ValueError, SyntaxError):
        return None
    return note if isinstance(note, str) else None


def _save(image: Image.Image, path: Path, **how: Any) -> None:
    partial = path.with_name(f".{path.name}.part")
    try:
        image.save(partial, **how)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def rgba_array(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W, 3 or 4) uint8 of an RGB or RGBA image."""
    return np.asarray(image, dtype=np.uint8)
