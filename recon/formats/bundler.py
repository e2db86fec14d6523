"""Cameras and points as Bundler writes them: `bundle.out`, and the list of its photos.

The format is that of the manual of Bundler v0.4 (Snavely 2010); RealityCapture, OpenMVG, MVE and
others write it too. Cameras look along -z with y up, the principal point lies in the middle, and
the radial distortion is OpenCV's.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import FormatError
from recon.formats.lens import Lens, WorldPoints
from recon.formats.rigid import all_near, pose_of

MAX_BYTES = 2 << 30
MAX_CAMERAS = 100_000
MAX_POINTS = 10_000_000
_MAX_LIST_BYTES = 32 << 20
_MAX_LINE = 16 << 20
_AXES = np.array([1.0, -1.0, -1.0])
_REMEDY = "export it again, or remove it so that recon computes the cameras itself"


@dataclass(frozen=True)
class BundlerCamera:
    """One photo's camera.

    Attributes:
        cam_from_world: (4, 4) float64, rigid, OpenCV axes.
        focal: in pixels of the photo.
        k1, k2: radial distortion.
    """

    cam_from_world: NDArray[np.float64]
    focal: float
    k1: float
    k2: float

    def lens(self, width: int, height: int) -> Lens:
        """The lens of a photo of that size, which the file does not tell."""
        k = (self.k1, self.k2, 0.0, 0.0, 0.0, 0.0)
        return Lens(width, height, self.focal, self.focal, width / 2, height / 2, k)


def read_bundler(path: Path, listing: Path) -> tuple[dict[str, BundlerCamera], WorldPoints]:
    """Photo name, as the list has it -> camera; and the points.

    Photos that Bundler could not place are left out.

    Args:
        path: `bundle.out`.
        listing: the photos' names, one a line, in the order of the cameras.

    Raises:
        FormatError: malformed, truncated, values out of range, or a list of another length.
    """
    try:
        names = _names(listing)
        if path.stat().st_size > MAX_BYTES:
            raise FormatError("larger than 2 GiB")
        with path.open("rb") as file:
            lines = _lines(file)
            counts = [int(word) for word in next(lines).split()]
            if len(counts) != 2 or counts[0] != len(names):
                raise FormatError(
                    f"lists {counts[0]} cameras, but {listing.name} names {len(names)} photos"
                )
            if not 0 <= counts[1] <= MAX_POINTS:
                raise FormatError(f"{counts[1]} points")
            cameras = {name: _camera(lines, name) for name in names}
            points = _points(lines, counts[1])
    except FormatError as error:
        raise FormatError(
            error.what, where=error.where or path, remedy=error.remedy or _REMEDY
        ) from error
    except (OSError, ValueError, IndexError, OverflowError, StopIteration, RuntimeError) as error:
        what = f"not a whole bundle file ({type(error).__name__}: {error})"
        raise FormatError(what, where=path, remedy=_REMEDY) from error
    return {name: camera for name, camera in cameras.items() if camera is not None}, points


def _names(listing: Path) -> list[str]:
    if listing.stat().st_size > _MAX_LIST_BYTES:
        raise FormatError("larger than 32 MiB", where=listing)
    text = listing.read_text(encoding="utf-8", errors="replace")
    # Bundler adds a zero and the focal length of EXIF, others do not.
    names = [_without_focal(line.strip()) for line in text.splitlines() if line.strip()]
    if len(names) > MAX_CAMERAS:
        raise FormatError(f"more than {MAX_CAMERAS} photos", where=listing)
    if len(set(names)) < len(names):
        raise FormatError("names a photo twice", where=listing)
    return names


def _without_focal(line: str) -> str:
    words = line.rsplit(maxsplit=2)
    return words[0] if len(words) == 3 and words[1] == "0" else line


def _lines(file) -> Iterator[bytes]:
    """Lines that are neither empty nor comments."""
    while line := file.readline(_MAX_LINE):
        if line.strip() and not line.startswith(b"#"):
            yield line


def _numbers(line: bytes, count: int) -> list[float]:
    words = line.split()
    if len(words) != count:
        raise FormatError(f"a line of {len(words)} numbers where {count} are expected")
    return [float(word) for word in words]


def _camera(lines: Iterator[bytes], name: str) -> BundlerCamera | None:
    focal, k1, k2 = _numbers(next(lines), 3)
    # Bundler's y and z point the other way.
    turn = _AXES[:, None] * np.array([_numbers(next(lines), 3) for _ in range(3)])
    shift = _AXES * np.array(_numbers(next(lines), 3))
    if focal == 0.0:
        return None  # was not placed
    if not 1e-6 < focal < 1e6 or not np.all(np.isfinite([k1, k2])):
        raise FormatError(f"the lens of {name!r} is not usable")
    return BundlerCamera(pose_of(turn, shift, name), focal, k1, k2)


def _points(lines: Iterator[bytes], count: int) -> WorldPoints:
    """The points; of the list of views only the length is read."""
    # Not lists: their numbers would take ten times the memory of the file.
    xyz, rgb, track = array("d"), array("B"), array("q")
    for _ in range(count):
        xyz.extend(_numbers(next(lines), 3))
        rgb.extend(min(255, max(0, round(value))) for value in _numbers(next(lines), 3))
        track.append(int(next(lines).split(maxsplit=1)[0]))
    places = np.array(xyz, dtype=np.float64).reshape(-1, 3)
    if not all_near(places):
        raise FormatError("a point is not finite, or farther away than anything")
    return WorldPoints(
        places,
        np.array(rgb, dtype=np.uint8).reshape(-1, 3),
        np.zeros(0),
        np.array(track, dtype=np.int64),
    )
