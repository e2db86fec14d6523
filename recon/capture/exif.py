"""Orientation, focal length, camera name, place and what is up, from EXIF."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

from PIL import Image

from recon.capture.gravity import Direction, turned, up_of_apple

_ORIENTATION, _MAKE, _MODEL = 0x0112, 0x010F, 0x0110
_EXIF_IFD, _FOCAL_MM, _FOCAL_35MM = 0x8769, 0x920A, 0xA405
_MAKER_NOTE, _LENS = 0x927C, 0xA434
_PLANE_X, _PLANE_Y, _PLANE_UNIT, _PIXEL_X = 0xA20E, 0xA20F, 0xA210, 0xA002
_GPS_IFD, _LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 0x8825, 1, 2, 3, 4
_ALTITUDE_REF, _ALTITUDE = 5, 6
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_DIAGONAL_35MM = math.hypot(36.0, 24.0)

# Broken tags count as absent: nobody needs to hear of them.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

# Focal lengths beyond these shares of the longer side are a mistake in the tags.
_FOCAL_SHARE = (0.3, 8.0)


@dataclass(frozen=True)
class ExifFacts:
    """What recon uses of a photo's EXIF.

    Attributes:
        orientation: 1..8; 1 where absent or not valid.
        focal: pixels of the stored image, None where it cannot be derived.
        camera: "MAKE MODEL", "" where unknown.
        gps: latitude and longitude in degrees, altitude in metres (0 where unknown).
        up: the unit vector against gravity in the upright photo: right, down, into the picture.
    """

    orientation: int = 1
    focal: float | None = None
    camera: str = ""
    gps: tuple[float, float, float] | None = None
    up: Direction | None = None


def read_exif(image: Image.Image) -> ExifFacts:
    """EXIF facts of an opened image; never fails, broken tags count as absent."""
    try:
        return facts_of(image.getexif(), image.size)
    except Exception:  # Pillow raises almost anything on malformed EXIF, which we can do without
        return ExifFacts()


def facts_of(tags: Image.Exif, size: tuple[int, int], *, upright: bool = False) -> ExifFacts:
    """EXIF facts of a photo of `size` (width, height) pixels; `upright` if it was turned already.

    Broken tags count as absent.
    """
    try:
        more = tags.get_ifd(_EXIF_IFD)
        place = tags.get_ifd(_GPS_IFD)
    except Exception:  # as above
        return ExifFacts()
    orientation: Any = tags.get(_ORIENTATION)
    orientation = int(orientation) if orientation in range(1, 9) else 1
    names = (_text(tags.get(_MAKE)), _text(tags.get(_MODEL)))
    up = up_of_apple(more.get(_MAKER_NOTE), _text(more.get(_LENS)))
    return ExifFacts(
        orientation=1 if upright else orientation,
        focal=_focal(more, *size),
        camera=" ".join(name for name in names if name)[:100],
        gps=_gps(place),
        up=None if up is None else turned(up, orientation),
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


def _gps(tags: dict[int, Any]) -> tuple[float, float, float] | None:
    latitude = _degrees(tags.get(_LATITUDE), tags.get(_LATITUDE_REF) == "S")
    longitude = _degrees(tags.get(_LONGITUDE), tags.get(_LONGITUDE_REF) == "W")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    if latitude == 0.0 and longitude == 0.0:
        return None  # what phones write when they do not know
    altitude = _positive(tags.get(_ALTITUDE)) or 0.0
    below = tags.get(_ALTITUDE_REF) in (1, b"\x01")
    return latitude, longitude, min(altitude, 20_000.0) * (-1.0 if below else 1.0)


def _degrees(parts: Any, negative: bool) -> float | None:
    """Of degrees, minutes and seconds."""
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    value = degrees + minutes / 60.0 + seconds / 3600.0
    return None if not math.isfinite(value) else -value if negative else value


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _text(value: Any) -> str:
    return value.strip("\0 \t\r\n") if isinstance(value, str) else ""
