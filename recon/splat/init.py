"""The first splats, from the sparse cloud and a dense one."""

from __future__ import annotations

import numpy as np
import torch

from recon.dense import DenseOptions
from recon.errors import TrainingError
from recon.kernels import layout
from recon.scene import PosedScene, SparsePoints
from recon.splat.options import SplatOptions

_SH0 = 0.28209479177387814
_SHORT = 60.0  # seconds of training


def initial_rows(
    points: SparsePoints, options: SplatOptions, rng: np.random.Generator
) -> torch.Tensor:
    """One isotropic splat a point, as rows (N, ROWS).

    Its size is the root mean square distance to the three nearest points (Kerbl et al. 2023); with
    more points than `max_splats` a random subset serves.

    Raises:
        TrainingError: the scene has no points.
    """
    # Late: scipy takes a third of a second to import.
    from scipy.spatial import KDTree

    points = _some(points, options.max_splats, rng)
    xyz, rgb = points.xyz, points.rgb
    if len(xyz) == 0:
        raise TrainingError(
            "the scene has no points to start from",
            remedy="run structure from motion again, with more overlap between photos",
        )

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


def dense_effort(options: SplatOptions) -> DenseOptions:
    """How much work goes into the dense cloud: less where training has little time."""
    budget = options.time_budget
    if budget is not None and budget < _SHORT:
        return DenseOptions(long_side=160, photos=30)
    return DenseOptions()


def start_points(
    scene: PosedScene, dense: SparsePoints, options: SplatOptions, rng: np.random.Generator
) -> SparsePoints:
    """The scene's sparse points, and so many of the dense ones at random that both make up the
    share of splats to start with.

    The cloud of photos with alpha is a hull around the object, not points on it: of that, no more
    are taken than are missing.
    """
    sparse = scene.points
    wanted = round(options.dense_share * options.max_splats)
    if scene.background is not None:
        sparse = _some(sparse, wanted - len(dense), rng)
    dense = _some(dense, wanted - len(sparse), rng)
    return SparsePoints(
        np.concatenate([sparse.xyz, dense.xyz]), np.concatenate([sparse.rgb, dense.rgb])
    )


def _some(points: SparsePoints, count: int, rng: np.random.Generator) -> SparsePoints:
    """At most `count` of the points, in their order."""
    if count >= len(points):
        return points
    chosen = np.sort(rng.choice(len(points), max(count, 0), replace=False))
    return SparsePoints(points.xyz[chosen], points.rgb[chosen])
