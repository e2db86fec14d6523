"""Coloured points as .ply: what MeshLab, CloudCompare, Blender and nerfstudio read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.formats.output import write_whole

_ROW = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])


def write_points_ply(path: Path, xyz: ArrayLike, rgb: NDArray[np.uint8]) -> None:
    """Write points (N, 3) with colours (N, 3), binary, atomically.

    Raises:
        OSError: the disk is full or the folder cannot be written to.
    """
    table = np.zeros(len(rgb), _ROW)
    table["xyz"] = xyz
    table["rgb"] = rgb
    header = "".join(
        [
            "ply\nformat binary_little_endian 1.0\n",
            f"element vertex {len(table)}\n",
            *(f"property float {axis}\n" for axis in "xyz"),
            *(f"property uchar {color}\n" for color in ("red", "green", "blue")),
            "end_header\n",
        ]
    )
    write_whole(path, header.encode("ascii") + table.tobytes())
