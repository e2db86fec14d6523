"""Cameras as RealityCapture (RealityScan) exports them: internal/external camera parameters, CSV.

Lengths are shares of the longer side: the focal length of a film 36 mm wide, the principal point
from the middle. The camera turns by roll about y, pitch about x, then heading about -z, from
looking down with y to the north; z is up.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import FormatError
from recon.formats.lens import Lens
from recon.formats.rigid import pose_at

MAX_BYTES = 64 << 20
MAX_CAMERAS = 100_000
_COLUMNS = ("x", "y", "alt", "heading", "pitch", "roll", "f", "px", "py", "k1", "k2", "k3")
_NOT_HELD = ("k4", "t1", "t2")
_FILM_WIDTH = 36.0
_HEAD_LINES = 3
_OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0])
_REMEDY = (
    "export it again (Alignment > Registration > Internal/External camera parameters), or use "
    "--poses sfm"
)


@dataclass(frozen=True)
class RealityCamera:
    """One photo's camera.

    Attributes:
        cam_from_world: (4, 4) float64, rigid, OpenCV axes.
        focal: share of the photo's longer side.
        centre: (x, y) of the principal point from the middle, shares of the longer side.
        k: k1..k3, radial distortion.
    """

    cam_from_world: NDArray[np.float64]
    focal: float
    centre: tuple[float, float]
    k: tuple[float, float, float]

    def lens(self, width: int, height: int) -> Lens:
        """The lens of a photo of that size, which the file does not tell."""
        side = max(width, height)
        cx, cy = 0.5 * width + side * self.centre[0], 0.5 * height + side * self.centre[1]
        focal = side * self.focal
        return Lens(width, height, focal, focal, cx, cy, (*self.k, 0.0, 0.0, 0.0))


def is_realitycapture(path: Path) -> bool:
    """Whether the file's beginning looks like such an export."""
    try:
        with path.open("rb") as file:
            lines = [file.readline(4096) for _ in range(_HEAD_LINES)]
    except OSError:
        return False
    return any(line.lstrip(b"\xef\xbb\xbf").startswith(b"#name,") for line in lines)


def read_realitycapture(path: Path) -> dict[str, RealityCamera]:
    """Photo's file name -> camera.

    Raises:
        FormatError: malformed, with a distortion that cannot be undistorted, or values out of
            range.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError("larger than 64 MiB")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _table(csv.reader(file))
    except FormatError as error:
        raise FormatError(error.what, where=path, remedy=error.remedy or _REMEDY) from error
    except (OSError, ValueError, csv.Error) as error:
        raise FormatError(f"not readable ({error})", where=path, remedy=_REMEDY) from error


def _table(rows) -> dict[str, RealityCamera]:
    head = next((row for row in islice(rows, _HEAD_LINES) if row and row[0] == "#name"), None)
    if head is None or not set(_COLUMNS) <= set(head):
        raise FormatError("the columns of camera parameters are not all there")
    out: dict[str, RealityCamera] = {}
    for row in rows:
        if not row:
            continue
        if len(row) != len(head):
            raise FormatError(f"a row has {len(row)} columns, the head {len(head)}")
        named = dict(zip(head, row, strict=True))
        name = named["#name"]
        if not name or name in out:
            raise FormatError(f"the name {name!r} is empty or there twice")
        out[name] = _camera(name, named)
        if len(out) > MAX_CAMERAS:
            raise FormatError(f"more than {MAX_CAMERAS} cameras")
    return out


def _camera(name: str, row: dict[str, str]) -> RealityCamera:
    values = {column: float(row[column]) for column in _COLUMNS}
    other = [column for column in _NOT_HELD if float(row.get(column) or 0.0) != 0.0]
    if other:
        raise FormatError(
            f"{name} has a distortion with {', '.join(other)}, which recon does not read",
            remedy="align with the distortion model Brown3 and export again, or use --poses sfm",
        )
    if not all(map(math.isfinite, values.values())):
        raise FormatError(f"a parameter of {name} is not finite")
    heading, pitch, roll = (math.radians(values[key]) for key in ("heading", "pitch", "roll"))
    turn = _turn(2, -heading) @ _turn(0, pitch) @ _turn(1, roll)
    centre = np.array([values["x"], values["y"], values["alt"]])
    return RealityCamera(
        pose_at(turn @ _OPENCV_FROM_OPENGL, centre, name),
        values["f"] / _FILM_WIDTH,
        (values["px"], values["py"]),
        (values["k1"], values["k2"], values["k3"]),
    )


def _turn(axis: int, angle: float) -> NDArray[np.float64]:
    """Rotation matrix (3, 3) about a coordinate axis, counter-clockwise."""
    out = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[i, i] = out[j, j] = math.cos(angle)
    out[j, i], out[i, j] = math.sin(angle), -math.sin(angle)
    return out
