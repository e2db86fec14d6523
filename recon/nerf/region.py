"""Where a scene lies: the box that the field is fine in, and where rays begin and end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.scene import PosedScene

# Of the cloud's points: the rest may be outliers. A scene on a transparent background has no
# outliers to speak of, and nothing outside of the box can be shown.
_OBJECT_QUANTILE, _SCENE_QUANTILE = 0.002, 0.03
_OBJECT_PAD, _SCENE_PAD = 1.15, 1.15
# Rays begin at this part of the distance of the nearest points that photos show.
_NEAR = 0.5
_NEAR_QUANTILE = 0.01
# How far rays go in an unbounded scene, box units: beyond, space is squeezed to nothing.
_FAR = 50.0


@dataclass(frozen=True)
class Region:
    """centre, half: of the box, scene units. near, far: of rays, box units. bounded: whether
    nothing lies outside of the box."""

    centre: tuple[float, float, float]
    half: float
    near: float
    far: float
    bounded: bool


def scene_region(scene: PosedScene) -> Region:
    """The region of a scene, from its cloud and its cameras.

    A scene with a background colour (photos with alpha) is an object in a box. Without points the
    box is the one around the cameras.
    """
    bounded = scene.background is not None
    centres = np.array([v.camera.centre for v in scene.views])
    points = np.asarray(scene.points.xyz, np.float64)
    if len(points) < 8:
        points, bounded = np.concatenate([centres - 1.0, centres + 1.0]), False
    edge = _OBJECT_QUANTILE if bounded else _SCENE_QUANTILE
    lo, hi = np.quantile(points, [edge, 1 - edge], axis=0)
    centre = (lo + hi) / 2
    half = float(max((hi - lo).max() / 2 * (_OBJECT_PAD if bounded else _SCENE_PAD), 1e-6))
    distances = np.linalg.norm(centres - centre, axis=1) / half
    far = float(distances.max() + 2.0) if bounded else _FAR
    return Region(
        centre=(float(centre[0]), float(centre[1]), float(centre[2])),
        half=half,
        near=_nearest(scene, points) * _NEAR / half,
        far=far,
        bounded=bounded,
    )


def _nearest(scene: PosedScene, points: np.ndarray) -> float:
    """Distance of the nearest things that cameras see; 0 when they see no points."""
    seen = (view.camera.project(points) for view in scene.train_views)
    shown = (s.depth[s.inside] for s in seen)
    return min((float(np.quantile(d, _NEAR_QUANTILE)) for d in shown if len(d)), default=0.0)
