"""Depth maps of many photos, held against each other, as one cloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.dense.pairs import ranked_neighbours
from recon.dense.sweep import DepthMap, GreyView, Planes, plane_sweep, projection
from recon.geometry import Camera
from recon.scene import SparsePoints


@dataclass(frozen=True)
class DenseOptions:
    """How much work is put into it.

    Attributes:
        long_side: of the photos as they are compared, pixels.
        photos: how many are used, spread over all.
        neighbours: photos that each is compared with.
        max_planes: depths that are tried; fewer where pixels move less than one each.
        min_score: least mean correlation of a point, -1..1.
    """

    long_side: int = 200
    photos: int = 60
    neighbours: int = 4
    max_planes: int = 80
    min_score: float = 0.6


@dataclass(frozen=True)
class DensePhoto:
    """A photo to look for points in.

    Attributes:
        camera: of the size of the picture.
        rgb: (H, W, 3) uint8.
        counts: (H, W), which pixels may become points; None for all.
    """

    camera: Camera
    rgb: NDArray[np.uint8]
    counts: NDArray[np.bool_] | None = None

    def grey(self) -> GreyView:
        """As it is compared."""
        grey = self.rgb @ np.array([0.299, 0.587, 0.114], np.float32) / np.float32(255)
        return GreyView(self.camera, np.ascontiguousarray(grey, np.float32))


# The sparse cloud's range of depths in a view, widened: surfaces without corners lie beyond it.
_NEARER, _FARTHER, _QUANTILE = 0.7, 1.5, 0.01
_MIN_POINTS = 20
_MIN_PLANES = 32
# Two maps agree on a point where they are this many planes apart at most.
_AGREEMENT = 1.5


@dataclass(frozen=True)
class _Mapped:
    index: int
    others: Sequence[int]
    planes: Planes
    depth: DepthMap


def dense_points(
    photos: Sequence[DensePhoto],
    sparse: NDArray[np.float32],
    options: DenseOptions,
    stop: Callable[[], bool] = lambda: False,
) -> SparsePoints:
    """Points on textured surfaces that at least two depth maps agree on, in the cameras' space.

    There are none where no sparse points (N, 3) tell where to look, or no two photos see the same
    of them.

    Args:
        stop: asked between photos; when it says so, there are few points or none.
    """
    cameras = [photo.camera for photo in photos]
    views = [photo.grey() for photo in photos]
    xyz = sparse.astype(np.float64)
    maps: dict[int, _Mapped] = {}
    for index in range(len(photos)):
        if stop():
            break
        others = ranked_neighbours(cameras, xyz, index)[: options.neighbours]
        planes = _planes(cameras, xyz, index, others, options.max_planes)
        if planes is not None:
            depth = plane_sweep(views[index], [views[i] for i in others], planes)
            maps[index] = _Mapped(index, others, planes, depth)
    parts = [
        _agreed(own, photos, [maps[i] for i in own.others if i in maps], options.min_score)
        for own in maps.values()
    ]
    if not parts:
        return SparsePoints(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    return SparsePoints(
        np.concatenate([part.xyz for part in parts]), np.concatenate([part.rgb for part in parts])
    )


def _planes(
    cameras: Sequence[Camera],
    xyz: NDArray[np.float64],
    index: int,
    others: Sequence[int],
    max_planes: int,
) -> Planes | None:
    """The depths at which to look for what photo `index` shows; None where nothing tells."""
    camera = cameras[index]
    seen = camera.project(xyz)
    depths = seen.depth[seen.inside]
    if len(depths) < _MIN_POINTS or not others:
        return None
    near, far = np.quantile(depths, [_QUANTILE, 1 - _QUANTILE])
    first, last = 1 / (far * _FARTHER), 1 / (near * _NEARER)
    # Between planes, what is seen should move by about a pixel.
    middle = np.array([camera.width / 2, camera.height / 2, 1.0])
    moves: list[float] = []
    for other in others:
        homography, epipole = projection(camera, cameras[other])
        ends = [homography @ middle + w * epipole for w in (first, last)]
        if all(end[2] > 1e-6 for end in ends):
            moves.append(float(np.hypot(*(ends[0][:2] / ends[0][2] - ends[1][:2] / ends[1][2]))))
    wanted = max(moves, default=float(max_planes))
    count = int(np.clip(np.ceil(wanted), _MIN_PLANES, max_planes))
    return Planes(count, float(first), float((last - first) / (count - 1)))


def _agreed(
    reference: _Mapped,
    photos: Sequence[DensePhoto],
    others: Sequence[_Mapped],
    min_score: float,
) -> SparsePoints:
    """The points of a depth map that another one has too."""
    photo = photos[reference.index]
    camera, depth = photo.camera, reference.depth
    good = depth.score >= min_score
    if photo.counts is not None:
        good &= photo.counts
    y, x = np.nonzero(good)
    pixels = np.stack([x, y], 1) + 0.5
    xyz = camera.unproject(pixels, 1 / depth.inverse_depth[y, x].astype(np.float64))
    confirmed = np.zeros(len(xyz), bool)
    for other in others:
        seen = photos[other.index].camera.project(xyz)
        column, row = seen.uv[seen.inside].astype(int).T
        theirs = other.depth.inverse_depth[row, column]
        step = max(other.planes.step, reference.planes.step)
        near = np.abs(theirs - 1 / seen.depth[seen.inside]) < _AGREEMENT * step
        confirmed[np.flatnonzero(seen.inside)[near]] = True
    return SparsePoints(xyz[confirmed].astype(np.float32), photo.rgb[y[confirmed], x[confirmed]])
