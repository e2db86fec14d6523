"""Raw files of cameras, developed all alike. Needs rawpy (LibRaw): the extra `raw`."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from recon.capture.exif import ExifFacts, facts_of

RAW_EXTENSIONS = frozenset(
    {".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"}
)
GET_RAW = "raw files need one more package: pip install 'recon-3d[raw]'"

MAX_RAW_PIXELS = 160_000_000
"""More than the largest camera has (151); developing takes about 15 bytes of memory for each."""

_MAX_BYTES = 1 << 30
_MAX_PREVIEW = 64 << 20

# LibRaw needs several times the photo's size: one at a time, whatever the number of threads.
_one_at_a_time = threading.Lock()


def is_raw(path: Path) -> bool:
    """Whether a file is a raw file by its name."""
    return path.suffix.lower() in RAW_EXTENSIONS


def can_read_raw() -> bool:
    """Whether rawpy is installed."""
    return find_spec("rawpy") is not None


def read_raw(path: Path) -> tuple[Image.Image, tuple[int, int], ExifFacts]:
    """A raw photo at half its size, its full size (width, height), both upright, and its EXIF.

    Raises:
        OSError: it cannot be developed, or is larger than any camera makes them.
    """
    import rawpy

    with _one_at_a_time, _opened(path) as raw:
        sizes = raw.sizes
        size = (sizes.iwidth, sizes.iheight)
        if sizes.flip & 4:
            size = size[::-1]
        small = _developed(raw, half=True)
        try:
            thumb = raw.extract_thumb()
            preview = thumb.data if thumb.format == rawpy.ThumbFormat.JPEG else b""
        except rawpy.LibRawError:
            preview = b""
    if max(abs(full - 2 * half) for full, half in zip(size, small.size, strict=True)) > 4:
        # Pixels that are not square, or a sensor that stands on a corner.
        with _one_at_a_time, _opened(path) as raw:
            size = _developed(raw, half=False).size
    return small, size, _exif(path, preview, size)


def develop(path: Path, size: tuple[int, int], at_least: tuple[int, int] | None) -> Image.Image:
    """A raw photo as 8-bit sRGB, upright: at half its `size` where that is `at_least` as asked.

    White balance is what the camera noted down, brightness is left as it was exposed: so photos
    of one scene come out alike, and as different as the light was.

    Raises:
        OSError: it cannot be developed.
    """
    half = at_least is not None and all(s >= 2 * a for s, a in zip(size, at_least, strict=True))
    with _one_at_a_time, _opened(path) as raw:
        return _developed(raw, half=half)


def _opened(path: Path) -> Any:
    """LibRaw's view of a file of which only the head is read yet."""
    import rawpy

    if path.stat().st_size > _MAX_BYTES:
        raise OSError(f"larger than {_MAX_BYTES >> 20} MiB")
    try:
        raw = rawpy.imread(str(path))
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        raise OSError(_words(error)) from error
    pixels = raw.sizes.raw_width * raw.sizes.raw_height
    if not 0 < pixels <= MAX_RAW_PIXELS:
        raw.close()
        raise OSError(
            f"{pixels / 1e6:.0f} megapixels; at most {MAX_RAW_PIXELS // 1_000_000} are read"
        )
    return raw


def _developed(raw: Any, *, half: bool) -> Image.Image:
    import rawpy

    try:
        pixels = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, half_size=half, output_bps=8
        )
    except (rawpy.LibRawError, rawpy.NotSupportedError, ValueError, MemoryError) as error:
        raise OSError(_words(error)) from error
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise OSError("not a colour photo")
    return Image.fromarray(pixels)


def _exif(path: Path, preview: bytes, size: tuple[int, int]) -> ExifFacts:
    """From the file itself, which most often is a TIFF, else from its JPEG preview.

    The orientation is LibRaw's business.
    """
    try:
        with path.open("rb") as file:
            tags = Image.Exif()
            tags.load_from_fp(file)
            facts = facts_of(tags, size, upright=True)
    except Exception:  # Pillow raises almost anything on what is no TIFF
        facts = ExifFacts()
    if facts != ExifFacts() or not 0 < len(preview) <= _MAX_PREVIEW:
        return facts
    try:
        with Image.open(BytesIO(preview)) as image:
            return facts_of(image.getexif(), size, upright=True)
    except Exception:  # likewise
        return facts


def _words(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return text or type(error).__name__
