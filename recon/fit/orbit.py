"""A flight around a scene that stays where photos were taken: elsewhere a model shows fog."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.errors import OptionError
from recon.geometry import Camera, look_at
from recon.scene import PosedScene

F64 = NDArray[np.float64]

# A gap in the ring of cameras wider than this is not flown across.
_WIDEST_GAP = np.radians(100.0)
# Share of the covered arc that is left out at either end.
_MARGIN = 0.08
_POWER = 12
_SMOOTHING = np.radians(25.0)


def orbit_cameras(scene: PosedScene, frames: int, width: int, height: int) -> tuple[Camera, ...]:
    """`frames` cameras on a closed path, in normalised space (+Z is up).

    Where photos go all the way round it is a full circle; where they do not, a swing to and fro
    over the arc that they cover. Elevation and distance follow those of the photos near by.

    Raises:
        OptionError: fewer than two photos have cameras, or fewer than one frame is asked for.
    """
    if len(scene.views) < 2:
        raise OptionError("a flight needs at least two photos with cameras")
    if frames < 1:
        raise OptionError("--frames must be at least 1")
    focus = focus_point(scene)
    offsets = np.stack([view.camera.centre for view in scene.views]) - focus
    angles = np.arctan2(offsets[:, 1], offsets[:, 0])
    distances = np.linalg.norm(offsets, axis=1)
    elevations = np.arcsin(offsets[:, 2] / np.maximum(distances, 1e-12))
    lens = _lens(scene, width, height)
    cameras = []
    for angle in _path_angles(angles, frames):
        weights = np.exp(-0.5 * (_wrapped(angles - angle) / _SMOOTHING) ** 2) + 1e-9
        # A high power mean: nearly as far away as the farthest photos near by, which show most.
        distance = np.average(distances**_POWER, weights=weights) ** (1.0 / _POWER)
        elevation = np.average(elevations, weights=weights)
        flat = np.cos(elevation)
        direction = [flat * np.cos(angle), flat * np.sin(angle), np.sin(elevation)]
        eye = focus + distance * np.array(direction)
        cameras.append(lens.at(look_at(eye, focus, [0.0, 0.0, 1.0])))
    return tuple(cameras)


def focus_point(scene: PosedScene) -> F64:
    """(3,) the point nearest to all optical axes, kept in front of the cameras.

    Nearly parallel axes have no such point; it then lies at the median depth of the sparse
    points, or at unit distance, in front of the mean camera.
    """
    centres = np.stack([view.camera.centre for view in scene.views])
    axes = np.stack([view.camera.cam_from_world[2, :3] for view in scene.views])
    projectors = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    normal = projectors.sum(axis=0)
    if np.linalg.cond(normal) < 1e3:
        point = np.linalg.solve(normal, np.einsum("nij,nj->i", projectors, centres))
        depths = np.einsum("nj,nj->n", axes, point - centres)
        if np.median(depths) > 0:
            return point
    forward = axes.mean(axis=0)
    forward = forward / np.linalg.norm(forward)
    depth = 1.0
    if len(scene.points):
        along = (scene.points.xyz - centres.mean(axis=0)) @ forward
        in_front = along[along > 0]
        depth = float(np.median(in_front)) if len(in_front) else depth
    return centres.mean(axis=0) + depth * forward


def _path_angles(angles: F64, frames: int) -> F64:
    """(frames,) azimuths of a closed path over the directions that cameras cover."""
    ordered = np.sort(angles % (2 * np.pi))
    gaps = np.diff(np.append(ordered, ordered[0] + 2 * np.pi))
    widest = int(np.argmax(gaps))
    phase = np.arange(frames) / frames
    if gaps[widest] < _WIDEST_GAP:
        return ordered[0] + 2 * np.pi * phase
    start = ordered[(widest + 1) % len(ordered)]
    arc = 2 * np.pi - gaps[widest]
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
    return start + arc * (_MARGIN + (1 - 2 * _MARGIN) * swing)


def _wrapped(angles: F64) -> F64:
    return (angles + np.pi) % (2 * np.pi) - np.pi


def _lens(scene: PosedScene, width: int, height: int) -> Camera:
    """A centred lens that shows at least what the photos' typical one does, at any shape."""
    fields = [(v.camera.width / v.camera.fx, v.camera.height / v.camera.fy) for v in scene.views]
    across, upright = np.median(np.array(fields), axis=0)
    focal = min(width / across, height / upright)
    return Camera(width, height, focal, focal, width / 2, height / 2, np.eye(4))
