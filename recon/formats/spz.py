"""Splats as `.spz` (Niantic), version 2: about a tenth of a .ply, read by engines and web viewers.

One gzip stream: a header of 16 bytes, then columns of all splats, one after another: positions
(24-bit fixed point), opacities, colours, logarithms of scales, rotations, SH above degree 0.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import FormatError
from recon.formats.output import write_whole
from recon.formats.splat_cloud import SplatCloud
from recon.formats.splat_file import to_bytes

_MAGIC = 0x5053474E
_VERSION = 2
_FIXED_RANGE = 1 << 23
_MAX_FRACTION = 20
# Buckets of the SH bytes, coarse so that gzip finds repetitions: degree 1, and above.
_SH_BUCKETS = (8, 16)


def write_spz(path: Path, cloud: SplatCloud) -> None:
    """Write `cloud`, whose space has the axes right, up, back, to `path`, atomically.

    Positions keep as many fractional bits as the extent of the cloud allows.

    Raises:
        FormatError: a value is not finite, or positions are too far out for the format.
        OSError: the disk is full or the folder cannot be written to.
    """
    cloud.require_finite(path)
    degree = cloud.sh_degree
    bits = _fractional_bits(cloud.means, path)
    quats = cloud.unit_quats()
    quats = quats * np.where(quats[:, :1] < 0, -1.0, 1.0)
    opacities = 1.0 / (1.0 + np.exp(-cloud.logit_opacities.astype(np.float64)))
    columns = [
        struct.pack("<IIIBBBB", _MAGIC, _VERSION, len(cloud), degree, bits, 0, 0),
        _fixed24(cloud.means, bits),
        to_bytes(255 * opacities).tobytes(),
        to_bytes(255 * (0.15 * cloud.sh[:, 0] + 0.5)).tobytes(),
        to_bytes(16 * (cloud.log_scales + 10)).tobytes(),
        # w follows from the others, its sign was made positive.
        to_bytes(127.5 * quats[:, 1:] + 127.5).tobytes(),
        _sh_bytes(cloud.sh[:, 1:]).tobytes(),
    ]
    write_whole(path, gzip.compress(b"".join(columns), mtime=0))


def _fractional_bits(means: NDArray[np.float32], path: Path) -> int:
    reach = float(np.abs(means).max(initial=1e-6))
    bits = int(np.floor(np.log2((_FIXED_RANGE - 1) / reach)))
    if bits < 0:
        raise FormatError(
            f"a splat lies {reach:.3g} units from the origin, too far for .spz",
            where=path,
            remedy="export with --space normalised, or as .ply",
        )
    return min(bits, _MAX_FRACTION)


def _fixed24(means: NDArray[np.float32], bits: int) -> bytes:
    fixed = np.round(means.astype(np.float64) * (1 << bits)).astype("<i4")
    return np.ascontiguousarray(fixed).view(np.uint8).reshape(-1, 3, 4)[..., :3].tobytes()


def _sh_bytes(sh: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(N, K, 3) coefficients above degree 0 as bytes, coefficient by coefficient."""
    if sh.shape[1] == 0:
        return np.zeros((len(sh), 0, 3), np.uint8)
    bucket = np.full((sh.shape[1], 1), _SH_BUCKETS[1])
    bucket[:3] = _SH_BUCKETS[0]
    value = np.round(128 * sh.astype(np.float64)) + 128
    return np.clip((value + bucket // 2) // bucket * bucket, 0, 255).astype(np.uint8)
