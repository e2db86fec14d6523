"""Splats in another space."""

from __future__ import annotations

import numpy as np
import torch

from recon.formats.splat_cloud import SplatCloud
from recon.geometry import Sim3, quat_from_rotation
from recon.kernels.reference import sh_basis


def moved(cloud: SplatCloud, target_from_source: Sim3) -> SplatCloud:
    """The same splats in the target space: seen from a camera moved along, they look the same.

    Positions, sizes and rotations follow the similarity, and colours turn with its rotation.
    """
    rotation = target_from_source.rotation
    turn = sh_rotation(rotation)[: cloud.sh.shape[1], : cloud.sh.shape[1]]
    return SplatCloud(
        means=target_from_source.apply(cloud.means).astype(np.float32),
        quats=_product(quat_from_rotation(rotation), cloud.unit_quats().astype(np.float64)),
        log_scales=(cloud.log_scales + np.log(target_from_source.scale)).astype(np.float32),
        logit_opacities=cloud.logit_opacities,
        sh=np.ascontiguousarray(np.einsum("kj,njc->nkc", turn, cloud.sh).astype(np.float32)),
    )


def sh_rotation(rotation: np.ndarray) -> np.ndarray:
    """(16, 16) matrix M of a rotation (3, 3): coefficients M @ c at R d give what c gives at d.

    Each degree turns within itself, so the upper left parts serve lower degrees. The matrix of a
    degree follows from values at enough directions: exact but for rounding.
    """
    i = np.arange(64)
    height = 1 - (2 * i + 1) / len(i)
    ring, turn = np.sqrt(1 - height**2), np.pi * (3.0 - np.sqrt(5.0)) * i
    directions = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    before, after = _basis(directions), _basis(directions @ rotation.T)
    out = np.zeros((16, 16))
    for degree in range(4):
        part = slice(degree**2, (degree + 1) ** 2)
        # after @ (M c) = before @ c for all c.
        out[part, part] = np.linalg.lstsq(after[:, part], before[:, part], rcond=None)[0]
    return out


def _basis(directions: np.ndarray) -> np.ndarray:
    return sh_basis(torch.from_numpy(directions), 3).numpy()


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, 4) float32 quaternions wxyz: `first` (4,) after each of `second` (N, 4)."""
    w, x, y, z = first
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return np.ascontiguousarray((second @ left.T).astype(np.float32))
