"""Depth maps of many photos, held against each other, as one cloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.dense.pairs import project, ranked_neighbours
from recon.dense.sweep import DepthMap, GreyView, Planes, plane_sweep, projection
from recon.formats.images import load_mask8, load_rgb8, load_rgba8
from recon.scene import PosedScene, SparsePoints, View


@dataclass(frozen=True)
class DenseOptions:
    """How much work is put into it.

    Attributes:
        long_side: of the photos as they are compared, pixels.
        views: photos that get a depth map, spread over all.
        neighbours: photos that each is compared with.
        max_planes: depths that are tried; fewer where pixels move less than one each.
        min_score: least mean correlation of a point, -1..1.
        threads: that load photos.
    """

    long_side: int = 320
    views: int = 48
    neighbours: int = 4
    max_planes: int = 128
    min_score: float = 0.6
    threads: int = 1


# The sparse cloud's range of depths in a view, widened: surfaces without corners lie beyond it.
_NEARER, _FARTHER, _QUANTILE = 0.7, 1.5, 0.01
_MIN_POINTS = 20
_MIN_PLANES = 32
_OPAQUE = 128
# Two maps agree on a point where they are this many planes apart at most.
_AGREEMENT = 1.5


@dataclass(frozen=True)
class _Reference:
    index: int
    planes: Planes
    depth: DepthMap


def dense_points(
    scene: PosedScene,
    options: DenseOptions,
    stop: Callable[[], bool] = lambda: False,
) -> SparsePoints:
    """Points on textured surfaces that at least two depth maps agree on; from the training views.

    There are none where the scene has no sparse points, which tell where to look, or no two photos
    that see the same of them.

    Args:
        stop: asked between photos; when it says so, there are few points or none.
    """
    views = scene.train_views
    photos = _load(scene, views, options)
    cameras = [photo.view.camera for photo in photos]
    xyz = scene.points.xyz.astype(np.float64)
    count = min(options.views, len(views))
    chosen = np.unique(np.linspace(0, len(views) - 1, count).round().astype(int)).tolist()
    ranked = {index: ranked_neighbours(cameras, xyz, index) for index in chosen}
    references: dict[int, _Reference] = {}
    for index in chosen:
        if stop():
            break
        others = ranked[index][: options.neighbours]
        planes = _planes(photos, xyz, index, others, options.max_planes)
        if planes is not None:
            depth = plane_sweep(photos[index].view, [photos[i].view for i in others], planes)
            references[index] = _Reference(index, planes, depth)
    parts = [
        _agreed(
            reference,
            photos,
            [references[i] for i in ranked[reference.index] if i in references],
            options,
        )
        for reference in references.values()
    ]
    if not parts:
        return SparsePoints(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    return SparsePoints(
        np.concatenate([part.xyz for part in parts]), np.concatenate([part.rgb for part in parts])
    )


@dataclass(frozen=True)
class _Photo:
    view: GreyView
    rgb: NDArray[np.uint8]
    counts: NDArray[np.bool_] | None  # pixels that may become points, None for all


def _load(scene: PosedScene, views: Sequence[View], options: DenseOptions) -> list[_Photo]:
    def load(view: View) -> _Photo:
        camera = view.camera.fit_long_side(options.long_side)
        size = camera.width, camera.height
        rgb = load_rgb8(view.image_path, *size, scene.background)
        counts = None
        if view.mask_path is not None:
            counts = load_mask8(view.mask_path, *size) >= _OPAQUE
        if scene.background is not None:
            opaque = load_rgba8(view.image_path, *size)[..., 3] >= _OPAQUE
            counts = opaque if counts is None else counts & opaque
        grey = (rgb @ np.array([0.299, 0.587, 0.114], np.float32)) / np.float32(255)
        return _Photo(GreyView(camera, np.ascontiguousarray(grey, np.float32)), rgb, counts)

    with ThreadPoolExecutor(max(1, options.threads)) as pool:
        return list(pool.map(load, views))


def _planes(
    photos: Sequence[_Photo],
    xyz: NDArray[np.float64],
    index: int,
    others: Sequence[int],
    max_planes: int,
) -> Planes | None:
    """The depths at which to look for what photo `index` shows; None where nothing tells."""
    camera = photos[index].view.camera
    seen = project(camera, xyz)
    depths = seen.depth[seen.inside]
    if len(depths) < _MIN_POINTS or not others:
        return None
    near, far = np.quantile(depths, [_QUANTILE, 1 - _QUANTILE])
    first, last = 1 / (far * _FARTHER), 1 / (near * _NEARER)
    # Between planes, what is seen should move by about a pixel.
    middle = np.array([camera.width / 2, camera.height / 2, 1.0])
    moves: list[float] = []
    for other in others:
        homography, epipole = projection(camera, photos[other].view.camera)
        ends = [homography @ middle + w * epipole for w in (first, last)]
        if all(end[2] > 1e-6 for end in ends):
            moves.append(float(np.hypot(*(ends[0][:2] / ends[0][2] - ends[1][:2] / ends[1][2]))))
    wanted = max(moves, default=float(max_planes))
    count = int(np.clip(np.ceil(wanted), _MIN_PLANES, max_planes))
    return Planes(count, float(first), float((last - first) / (count - 1)))


def _agreed(
    reference: _Reference,
    photos: Sequence[_Photo],
    others: Sequence[_Reference],
    options: DenseOptions,
) -> SparsePoints:
    """The points of a depth map that another one has too."""
    photo = photos[reference.index]
    camera, depth = photo.view.camera, reference.depth
    good = depth.score >= options.min_score
    if photo.counts is not None:
        good &= photo.counts
    y, x = np.nonzero(good)
    z = 1 / depth.inverse_depth[y, x].astype(np.float64)
    in_cam = np.stack(
        [(x + 0.5 - camera.cx) / camera.fx * z, (y + 0.5 - camera.cy) / camera.fy * z, z], 1
    )
    rotation, translation = camera.cam_from_world[:3, :3], camera.cam_from_world[:3, 3]
    xyz = np.einsum("nj,ji->ni", in_cam - translation, rotation)
    confirmed = np.zeros(len(xyz), bool)
    for other in others[: options.neighbours]:
        seen = project(photos[other.index].view.camera, xyz)
        column, row = seen.uv[seen.inside].astype(int).T
        theirs = other.depth.inverse_depth[row, column]
        step = max(other.planes.step, reference.planes.step)
        near = np.abs(theirs - 1 / seen.depth[seen.inside]) < _AGREEMENT * step
        confirmed[np.flatnonzero(seen.inside)[near]] = True
    return SparsePoints(xyz[confirmed].astype(np.float32), photo.rgb[y[confirmed], x[confirmed]])
