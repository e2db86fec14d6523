"""Splats as .ply in the layout of the original 3DGS code, which every splat viewer reads.

`binary_little_endian`, one element `vertex`, all float32: x y z nx ny nz f_dc_0..2
f_rest_0..(3R-1) opacity scale_0..2 rot_0..3, where R = 0, 3, 8 or 15 is the number of SH
coefficients above degree 0. `f_rest` is channel-major: all of red, then green, then blue.
Opacity is a logit, scales are logarithms, rotations are wxyz.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from recon.errors import FormatError
from recon.formats.output import write_whole
from recon.formats.splat_cloud import SplatCloud, normalised_quats

MAX_HEADER_BYTES = 64 * 1024
# Finite stand-ins for an opacity of exactly 0 or 1 and a scale of exactly 0, which converters
# from 8-bit formats write as infinite logits and logarithms. Beyond what float32 can tell apart.
MAX_LOGIT = 30.0
MIN_LOG_SCALE = -30.0

_ROWS_PER_WRITE = 65536
_REMEDY = "export the splats again as an uncompressed 3DGS .ply"
_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "<i2",
    "int16": "<i2",
    "ushort": "<u2",
    "uint16": "<u2",
    "int": "<i4",
    "int32": "<i4",
    "uint": "<u4",
    "uint32": "<u4",
    "float": "<f4",
    "float32": "<f4",
    "double": "<f8",
    "float64": "<f8",
}


def write_splat_ply(path: Path, cloud: SplatCloud) -> None:
    """Write `cloud` to `path`, atomically; quaternions are normalised.

    Raises:
        FormatError: a value is not finite (nothing is written then).
        OSError: the disk is full or the folder cannot be written to; what was at `path` stays.
    """
    names = _property_names(cloud.sh.shape[1] - 1)
    header = "".join(
        [
            "ply\nformat binary_little_endian 1.0\n",
            f"element vertex {len(cloud)}\n",
            *(f"property float {name}\n" for name in names),
            "end_header\n",
        ]
    )
    cloud.require_finite(path)
    starts = range(0, len(cloud), _ROWS_PER_WRITE)
    rows = (_rows(cloud, slice(start, start + _ROWS_PER_WRITE)).tobytes() for start in starts)
    write_whole(path, itertools.chain([header.encode("ascii")], rows))


def read_splat_ply(path: Path) -> SplatCloud:
    """Read splats, in the space that the file is in.

    Properties may come in any order; missing normals and unknown extra properties are fine.
    Quaternions come back normalised, a zero one (it means nothing) as the identity.

    Raises:
        FormatError: missing, truncated, malformed, compressed, or with values that are no numbers.
    """
    try:
        with path.open("rb") as file:
            layout = _read_header(file, path)
            size = os.fstat(file.fileno()).st_size
            _check_size(layout, size - file.tell(), path)
            # Not mapped into memory: a file that shrinks meanwhile must not kill the process.
            table = np.fromfile(file, dtype=layout.dtype, count=layout.count)
    except OSError as error:
        raise FormatError(
            f"this file cannot be read ({error.strerror or error})", where=path
        ) from error
    if len(table) != layout.count:
        raise FormatError("the file was cut short while being read", where=path, remedy=_REMEDY)
    return _cloud_from_table(table, layout.sh_rest, path)


@dataclass(frozen=True)
class _Layout:
    """What a header says: rows, their dtype, SH coefficients above degree 0, what follows."""

    count: int
    dtype: np.dtype[np.void]
    sh_rest: int
    more_elements: bool


def _property_names(sh_rest: int) -> list[str]:
    return [
        *("x", "y", "z", "nx", "ny", "nz"),
        *(f"f_dc_{i}" for i in range(3)),
        *(f"f_rest_{i}" for i in range(3 * sh_rest)),
        "opacity",
        *(f"scale_{i}" for i in range(3)),
        *(f"rot_{i}" for i in range(4)),
    ]


def _rows(cloud: SplatCloud, part: slice) -> NDArray[np.float32]:
    """The splats of `part` as (n, properties) rows of the file."""
    means, sh = cloud.means[part], cloud.sh[part]
    columns = [
        means,
        np.zeros_like(means),
        sh[:, 0],
        sh[:, 1:].transpose(0, 2, 1).reshape(len(means), 3 * (sh.shape[1] - 1)),
        cloud.logit_opacities[part, None],
        cloud.log_scales[part],
        normalised_quats(cloud.quats[part]),
    ]
    return np.concatenate(columns, axis=1).astype("<f4")


def _read_header(file: BinaryIO, path: Path) -> _Layout:
    lines = _header_lines(file, path)
    count: int | None = None
    fields: list[tuple[str, str]] = []
    elements = 0
    for line in lines:
        words = line.split()
        keyword = words[0] if words else ""
        if keyword == "format":
            if words[1:] != ["binary_little_endian", "1.0"]:
                raise _bad(
                    path, f"its encoding is {' '.join(words[1:])!r}, not binary_little_endian"
                )
        elif keyword == "element":
            elements += 1
            if elements == 1:
                count = _vertex_count(words, path)
        elif keyword == "property" and elements == 1:
            fields.append(_property(words, path))
        elif keyword not in ("property", "comment", "obj_info", ""):
            raise _bad(path, f"its header has the unknown line {line[:60]!r}")
    if count is None:
        raise _bad(path, "it has no vertices")
    if "format" not in (line.split(maxsplit=1)[0] for line in lines if line.strip()):
        raise _bad(path, "its header does not name the encoding")
    names = [name for name, _ in fields]
    if len(set(names)) != len(names):
        raise _bad(path, "a property is named twice")
    return _Layout(count, np.dtype(fields), _sh_rest(names, path), elements > 1)


def _header_lines(file: BinaryIO, path: Path) -> list[str]:
    """The lines between "ply" and "end_header"; leaves `file` at the first byte of data."""
    if file.readline(16).rstrip(b"\r\n") != b"ply":
        raise _bad(path, "it does not begin with 'ply'")
    lines: list[str] = []
    left = MAX_HEADER_BYTES
    while left > 0:
        raw = file.readline(left)
        left -= len(raw)
        if not raw.endswith(b"\n"):
            break
        line = raw.decode("ascii", errors="replace").strip()
        if line == "end_header":
            return lines
        lines.append(line)
    raise _bad(path, "its header has no end")


def _vertex_count(words: list[str], path: Path) -> int:
    if words[1:2] == ["chunk"]:
        raise _bad(path, "it is a compressed .ply, which is not supported")
    # Twelve digits: more than any disk holds, and far from slow conversions of huge numbers.
    if len(words) != 3 or words[1] != "vertex" or not words[2].isascii():
        raise _bad(path, "its first element is not 'vertex'")
    if not words[2].isdigit() or len(words[2]) > 12:
        raise _bad(path, f"{words[2][:20]!r} is not a number of splats")
    return int(words[2])


def _property(words: list[str], path: Path) -> tuple[str, str]:
    if len(words) != 3 or words[1] not in _TYPES:
        raise _bad(path, f"the property {' '.join(words[1:])[:60]!r} is not supported")
    return words[2], _TYPES[words[1]]


def _sh_rest(names: list[str], path: Path) -> int:
    """SH coefficients a channel above degree 0; checks that all needed properties are there."""
    rest = sum(name.startswith("f_rest_") for name in names)
    if rest not in (0, 9, 24, 45):
        raise _bad(path, f"{rest} properties f_rest_* are no whole SH degree from 0 to 3")
    needed = set(_property_names(rest // 3)) - {"nx", "ny", "nz"}
    missing = sorted(needed - set(names))
    if missing:
        few = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise _bad(path, f"these are points, not splats: it lacks the properties {few}")
    return rest // 3


def _check_size(layout: _Layout, available: int, path: Path) -> None:
    needed = layout.count * layout.dtype.itemsize
    if available < needed:
        raise FormatError(
            f"the file is cut short: {layout.count:,} splats need {needed:,} bytes, "
            f"there are {available:,}",
            where=path,
            remedy="copy or export it again",
        )
    if available > needed and not layout.more_elements:
        raise _bad(path, f"{available - needed:,} bytes follow after the last splat")


def _cloud_from_table(table: NDArray[np.void], sh_rest: int, path: Path) -> SplatCloud:
    def columns(*names: str) -> NDArray[np.float32]:
        out = np.empty((len(table), len(names)), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for i, name in enumerate(names):
                out[:, i] = table[name]
        return out

    n = len(table)
    sh = np.empty((n, sh_rest + 1, 3), np.float32)
    sh[:, 0] = columns("f_dc_0", "f_dc_1", "f_dc_2")
    rest = columns(*(f"f_rest_{i}" for i in range(3 * sh_rest)))
    sh[:, 1:] = rest.reshape(n, 3, sh_rest).transpose(0, 2, 1)
    opacity = columns("opacity")[:, 0]
    log_scales = columns("scale_0", "scale_1", "scale_2")
    opacity[np.isposinf(opacity)] = MAX_LOGIT
    opacity[np.isneginf(opacity)] = -MAX_LOGIT
    log_scales[np.isneginf(log_scales)] = MIN_LOG_SCALE
    means = columns("x", "y", "z")
    quats = columns("rot_0", "rot_1", "rot_2", "rot_3")
    parts = {
        "positions": means,
        "rotations": quats,
        "scales": log_scales,
        "opacities": opacity,
        "colours": sh,
    }
    for what, values in parts.items():
        if not np.isfinite(values).all():
            raise _bad(path, f"it has {what} that are no finite numbers")
    return SplatCloud(means, normalised_quats(quats), log_scales, opacity, sh)


def _bad(path: Path, why: str) -> FormatError:
    return FormatError(f"this is not a 3DGS .ply: {why}", where=path, remedy=_REMEDY)
