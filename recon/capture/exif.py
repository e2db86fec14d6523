"""Orientation, focal length and camera name from EXIF."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from PIL import Image

_ORIENTATION, _MAKE, _MODEL = 0x0112, 0x010F, 0x0110
_EXIF_IFD, _FOCAL_MM, _FOCAL_35MM = 0x8769, 0x920A, 0xA405
_PLANE_X, _PLANE_Y, _PLANE_UNIT, _PIXEL_X = 0xA20E, 0xA20F, 0xA210, 0xA002
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_DIAGONAL_35MM = math.hypot(36.0, 24.0)

# Focal lengths beyond these shares of the longer side are a mistake in the tags.
_FOCAL_SHARE = (0.3, 8.0)


@dataclass(frozen=True)
class ExifFacts:
    """What recon uses of a photo's EXIF.

    Attributes:
        orientation: 1..8; 1 where absent or not valid.
        focal: pixels of the stored image, None where it cannot be derived.
        camera: "MAKE MODEL", "" where unknown.
    """

    orientation: int = 1
    focal: float | None = None
    camera: str = ""


def read_exif(image: Image.Image) -> ExifFacts:
    """EXIF facts of an opened image; never fails, broken tags count as absent."""
    try:
        tags = image.getexif()
        more = tags.get_ifd(_EXIF_IFD)
    except Exception:  # Pillow raises almost anything on malformed EXIF, which we can do without
        return ExifFacts()
    orientation: Any = tags.get(_ORIENTATION)
    names = (_text(tags.get(_MAKE)), _text(tags.get(_MODEL)))
    return ExifFacts(
        orientation=int(orientation) if orientation in range(1, 9) else 1,
        focal=_focal(more, *image.size),
        camera=" ".join(name for name in names if name)[:100],
    )


def _focal(tags: dict[int, Any], width: int, height: int) -> float | None:
    """Focal length in pixels of a `width` x `height` image.

    The 35 mm equivalent compares diagonals (CIPA DCG-001), which serves 3:2 and 4:3 alike.
    """
    longest = max(width, height)
    equivalent = _positive(tags.get(_FOCAL_35MM))
    focal_mm = _positive(tags.get(_FOCAL_MM))
    density = _positive(tags.get(_PLANE_X))
    unit = _MM_PER_UNIT.get(tags.get(_PLANE_UNIT, 2))
    focal = None
    if equivalent:
        focal = equivalent / _DIAGONAL_35MM * math.hypot(width, height)
    elif focal_mm and density and unit:
        # The density counts pixels of the sensor's image; this file may have been shrunk.
        stored = _positive(tags.get(_PIXEL_X)) or width
        focal = focal_mm / unit * density * width / stored
    if focal is None or not _FOCAL_SHARE[0] * longest < focal < _FOCAL_SHARE[1] * longest:
        return None
    return focal


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _text(value: Any) -> str:
    return value.strip("\0 \t\r\n") if isinstance(value, str) else ""
