"""Splats as `.splat`, the bare 32-byte records of web viewers (antimatter15/splat).

A record: position 3 x float32, standard deviations 3 x float32 (linear), colour and opacity
4 x uint8, rotation wxyz 4 x uint8 as 128 + 128 q. No header, and no colour that depends on the
direction. Records come in the order of importance, so that a viewer may show a part.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.formats.output import write_whole
from recon.formats.splat_cloud import SplatCloud

SH_C0 = 0.28209479177387814
"""Value of the constant spherical harmonic."""

_RECORD = np.dtype(
    [("position", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)]
)


def write_splat_file(path: Path, cloud: SplatCloud) -> None:
    """Write `cloud` to `path`, atomically.

    Raises:
        FormatError: a value is not finite (nothing is written then).
        OSError: the disk is full or the folder cannot be written to.
    """
    cloud.require_finite(path)
    opacities = 1.0 / (1.0 + np.exp(-cloud.logit_opacities.astype(np.float64)))
    volume = np.exp(cloud.log_scales.astype(np.float64).sum(axis=1))
    order = np.argsort(-opacities * volume, kind="stable")
    table = np.zeros(len(cloud), _RECORD)
    table["position"] = cloud.means[order]
    table["scales"] = np.exp(cloud.log_scales[order])
    rgb = 0.5 + SH_C0 * cloud.sh[order, 0]
    table["rgba"] = to_bytes(255 * np.concatenate([rgb, opacities[order, None]], axis=1))
    table["quat"] = to_bytes(128 + 128 * cloud.unit_quats()[order])
    write_whole(path, table.tobytes())


def to_bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Rounded to the nearest of 0..255."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
