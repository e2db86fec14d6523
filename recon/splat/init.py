"""The first splats, from the sparse cloud."""

from __future__ import annotations

import numpy as np
import torch

from recon.errors import TrainingError
from recon.kernels import layout
from recon.scene import PosedScene
from recon.splat.options import SplatOptions

_SH0 = 0.28209479177387814


def initial_rows(
    scene: PosedScene, options: SplatOptions, rng: np.random.Generator
) -> torch.Tensor:
    """One isotropic splat a point, as rows (N, ROWS).

    Its size is the root mean square distance to the three nearest points (Kerbl et al. 2023); with
    more points than `max_splats` a random subset serves.

    Raises:
        TrainingError: the scene has no points.
    """
    # Late: scipy takes a third of a second to import.
    from scipy.spatial import KDTree

    xyz, rgb = scene.points.xyz, scene.points.rgb
    if len(xyz) == 0:
        raise TrainingError(
            "the scene has no points to start from",
            remedy="run structure from motion again, with more overlap between photos",
        )
    if len(xyz) > options.max_splats:
        keep = np.sort(rng.choice(len(xyz), options.max_splats, replace=False))
        xyz, rgb = xyz[keep], rgb[keep]

    neighbours = min(4, len(xyz))
    distances = KDTree(xyz).query(xyz, k=neighbours)[0].reshape(len(xyz), neighbours)
    nearest = distances[:, 1:] if neighbours > 1 else np.full((len(xyz), 1), 0.1)
    spacing = np.sqrt((nearest**2).mean(1))
    # Isolated points would start as splats that cover everything, duplicates as invisible ones.
    spacing = np.clip(spacing, 1e-4, np.quantile(spacing, 0.99) * 2)

    rows = np.zeros((len(xyz), layout.ROWS), np.float32)
    rows[:, layout.ROW_MEAN] = xyz
    rows[:, layout.ROW_QUAT.start] = 1.0
    rows[:, layout.ROW_LOG_SCALE] = np.log(spacing)[:, None]
    opacity = options.init_opacity
    rows[:, layout.ROW_OPACITY] = np.log(opacity / (1 - opacity))
    sh0 = layout.ROW_SH.start
    rows[:, sh0 : sh0 + 3] = (rgb.astype(np.float32) / 255 - 0.5) / _SH0
    return torch.from_numpy(rows)
