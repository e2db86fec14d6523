"""A raw photo as a camera writes it, for want of a real one: an uncompressed DNG."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL = 1, 2, 3, 4, 5, 10
_SIZES = {_BYTE: 1, _ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _SRATIONAL: 8}
_XYZ_TO_SRGB = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)
"""In ten-thousandths: the sensor's colours are linear sRGB."""


def write_dng(path: Path, rgb: np.ndarray, *, orientation: int = 1, focal_35mm: int = 0) -> None:
    """Write what a sensor with the pattern RG/GB would have seen.

    Args:
        path: of the file.
        rgb: (H, W, 3) linear intensities 0..1, as the sensor lies; even sides.
        orientation: of EXIF.
        focal_35mm: of EXIF; 0 to leave it out.
    """
    height, width, _ = rgb.shape
    mosaic = np.empty((height, width))
    mosaic[0::2, 0::2] = rgb[0::2, 0::2, 0]
    mosaic[0::2, 1::2] = rgb[0::2, 1::2, 1]
    mosaic[1::2, 0::2] = rgb[1::2, 0::2, 1]
    mosaic[1::2, 1::2] = rgb[1::2, 1::2, 2]
    pixels = np.clip(mosaic * 65535 + 0.5, 0, 65535).astype("<u2").tobytes()
    start = 8
    exif_at = start + len(pixels)
    exif = _directory(exif_at, [(0xA405, _SHORT, [focal_35mm])] if focal_35mm else [])
    entries = [
        (254, _LONG, [0]),
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [16]),
        (259, _SHORT, [1]),
        (262, _SHORT, [32803]),  # a colour filter array
        (271, _ASCII, b"MAKER\0"),
        (272, _ASCII, b"Model R\0"),
        (273, _LONG, [start]),
        (274, _SHORT, [orientation]),
        (277, _SHORT, [1]),
        (278, _LONG, [height]),
        (279, _LONG, [len(pixels)]),
        (33421, _SHORT, [2, 2]),
        (33422, _BYTE, bytes([0, 1, 1, 2])),
        (34665, _LONG, [exif_at]),
        (50706, _BYTE, bytes([1, 4, 0, 0])),
        (50708, _ASCII, b"MAKER Model R\0"),
        (50717, _LONG, [65535]),
        (50721, _SRATIONAL, [part for value in _XYZ_TO_SRGB for part in (value, 10000)]),
        (50728, _RATIONAL, [1, 1] * 3),
        (50778, _SHORT, [21]),  # daylight of 6500 K
    ]
    main = _directory(exif_at + len(exif), entries)
    header = struct.pack("<2sHI", b"II", 42, exif_at + len(exif))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + pixels + exif + main)


def _directory(at: int, entries: list[tuple[int, int, bytes | list[int]]]) -> bytes:
    """A TIFF directory that will lie at an offset, with the values that do not fit into it."""
    rows, rest = b"", b""
    end = at + 2 + 12 * len(entries) + 4
    for tag, kind, values in entries:
        if isinstance(values, bytes):
            data = values
        else:
            letter = {_SHORT: "H", _LONG: "I", _RATIONAL: "I", _SRATIONAL: "i"}[kind]
            data = struct.pack(f"<{len(values)}{letter}", *values)
        count = len(data) // _SIZES[kind]
        if len(data) <= 4:
            where = data.ljust(4, b"\0")
        else:
            where = struct.pack("<I", end + len(rest))
            rest += data + b"\0" * (len(data) % 2)
        rows += struct.pack("<HHI", tag, kind, count) + where
    return struct.pack("<H", len(entries)) + rows + b"\0" * 4 + rest
