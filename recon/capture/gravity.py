"""What is up, from the maker note of Apple's phones: EXIF itself has no tag for it."""

from __future__ import annotations

import math
import struct

Direction = tuple[float, float, float]

_HEAD = b"Apple iOS\0"
_ORDER_AT, _ENTRIES_AT, _ENTRY_SIZE = 12, 14, 12
_MOST_ENTRIES = 256
_ACCELERATION, _SIGNED_RATIONAL = 0x0008, 10
_AT_REST = 0.2
"""A phone that is shaken measures more, or less, than one g."""

# Where (x, y, z) of the photo as stored is found in that of the upright photo, with its sign.
_TURNED = {
    1: ((0, 1), (1, 1)),
    2: ((0, -1), (1, 1)),
    3: ((0, -1), (1, -1)),
    4: ((0, 1), (1, -1)),
    5: ((1, 1), (0, 1)),
    6: ((1, -1), (0, 1)),
    7: ((1, -1), (0, -1)),
    8: ((1, 1), (0, -1)),
}


def up_of_apple(note: object, lens: str) -> Direction | None:
    """The unit vector against gravity, in the camera's axes of the photo as stored.

    The note holds a TIFF directory whose offsets count from its own start; entry 8 is the
    acceleration in g along the phone's left, bottom and back (as ExifTool's documentation has
    it): at rest, minus what holds the phone up against gravity. The sensor of the cameras on the
    back lies on its side: the photo's right is the phone's bottom.

    Args:
        note: the bytes of EXIF's maker note, or whatever stands in their place.
        lens: EXIF's name of the lens; cameras on the front are mounted in another way.

    Returns:
        (right, down, into the picture); None where that is not known.
    """
    if not isinstance(note, bytes) or not note.startswith(_HEAD) or "front" in lens.lower():
        return None
    order = {b"MM": ">", b"II": "<"}.get(note[_ORDER_AT:_ENTRIES_AT])
    if order is None or len(note) < _ENTRIES_AT + 2:
        return None
    (count,) = struct.unpack_from(f"{order}H", note, _ENTRIES_AT)
    for index in range(min(count, _MOST_ENTRIES)):
        at = _ENTRIES_AT + 2 + index * _ENTRY_SIZE
        if at + _ENTRY_SIZE > len(note):
            return None
        tag, kind, number, offset = struct.unpack_from(f"{order}HHII", note, at)
        if tag != _ACCELERATION:
            continue
        if kind != _SIGNED_RATIONAL or number != 3 or offset + 24 > len(note):
            return None
        parts = struct.unpack_from(f"{order}6i", note, offset)
        if 0 in parts[1::2]:
            return None
        x, y, z = (a / b for a, b in zip(parts[::2], parts[1::2], strict=True))
        size = math.sqrt(x * x + y * y + z * z)
        return None if abs(size - 1.0) > _AT_REST else (y / size, x / size, z / size)
    return None


def turned(direction: Direction, orientation: int) -> Direction:
    """A direction in the axes of the photo as stored, in those of the upright photo.

    Args:
        direction: (right, down, into the picture).
        orientation: EXIF's, 1..8.
    """
    (i, right), (j, down) = _TURNED[orientation]
    return right * direction[i], down * direction[j], direction[2]
