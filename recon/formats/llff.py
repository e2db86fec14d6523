"""LLFF's `poses_bounds.npy`: poses, size and focal length for photos in sorted order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import FormatError
from recon.formats.lens import Lens
from recon.formats.rigid import require_rigid

MAX_BYTES = 64 << 20
_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<>]f[48])', 'fortran_order': (?P<order>True|False), "
    rb"'shape': \((?P<rows>\d{1,7}), 17\), \}\s*$"
)
_TOLERANCE = 1e-2
_REMEDY = "make the file again, or remove it so that recon computes the poses itself"


@dataclass(frozen=True)
class LlffPose:
    """One photo's camera.

    Attributes:
        cam_from_world: (4, 4) float64, rigid, OpenCV axes.
        width, height, focal: in pixels of the photo that LLFF used, perhaps larger than ours.
    """

    cam_from_world: NDArray[np.float64]
    width: int
    height: int
    focal: float

    def lens(self, width: int, height: int) -> Lens:
        """The pinhole lens, principal point in the centre, on the real image size in pixels."""
        scale_x, scale_y = width / self.width, height / self.height
        return Lens(
            width, height, self.focal * scale_x, self.focal * scale_y, width / 2, height / 2
        )


def read_llff(path: Path) -> tuple[LlffPose, ...]:
    """Read the poses in file order, which is the sorted order of the photos' names.

    Raises:
        FormatError: not an N x 17 array of finite numbers, or poses that are not rotations.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError("larger than 64 MiB", where=path, remedy=_REMEDY)
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"cannot be read ({error})", where=path, remedy=_REMEDY) from error
    table = _table(path, data)
    if not np.all(np.isfinite(table)):
        raise FormatError("holds values that are not finite numbers", where=path, remedy=_REMEDY)
    return tuple(_pose(path, number, row) for number, row in enumerate(table, start=1))


def _table(path: Path, data: bytes) -> NDArray[np.float64]:
    """The (N, 17) array of a .npy file.

    `np.load` evaluates the header as Python and raises almost anything on a broken one; the
    few headers that LLFF writes are matched literally instead.
    """
    if data[:6] != b"\x93NUMPY" or data[6:7] not in (b"\x01", b"\x02"):
        raise FormatError("not a numpy file", where=path, remedy=_REMEDY)
    length_bytes = 2 if data[6] == 1 else 4
    start = 8 + length_bytes + int.from_bytes(data[8 : 8 + length_bytes], "little")
    match = _HEADER.match(data[8 + length_bytes : start])
    if match is None:
        raise FormatError(
            "expected an N x 17 array of floating-point numbers", where=path, remedy=_REMEDY
        )
    dtype = np.dtype(match["dtype"].decode())
    rows = int(match["rows"])
    if len(data) - start != rows * 17 * dtype.itemsize:
        raise FormatError("the file is not as long as it says", where=path, remedy=_REMEDY)
    table = np.frombuffer(data, dtype, offset=start).astype(np.float64)
    return table.reshape(17, rows).T if match["order"] == b"True" else table.reshape(rows, 17)


def _pose(path: Path, number: int, row: NDArray[np.float64]) -> LlffPose:
    block = row[:15].reshape(3, 5)
    height, width, focal = block[:, 4].tolist()
    # The file's axes are (down, right, backwards); OpenCV's are (right, down, forwards).
    rotation = np.stack([block[:, 1], block[:, 0], -block[:, 2]], axis=1)
    sane_size = 1 <= width <= 100_000 and 1 <= height <= 100_000 and 0 < focal < 1e8
    if not sane_size:
        raise FormatError("the size or focal length is not usable", where=path, remedy=_REMEDY)
    try:
        require_rigid(rotation, block[:, 3], f"photo {number}", _TOLERANCE)
    except FormatError as error:
        raise FormatError(error.what, where=path, remedy=_REMEDY) from error
    pose = np.eye(4)
    pose[:3, :3] = rotation.T
    pose[:3, 3] = -rotation.T @ block[:, 3]
    return LlffPose(pose, round(width), round(height), focal)
