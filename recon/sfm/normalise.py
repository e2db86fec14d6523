"""From SfM's or a file's world to normalised space: centred, +Z up, unit scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.formats.lens import WorldPoints
from recon.geometry import Sim3

F64 = NDArray[np.float64]

FAR, FAR_MEDIANS = 100.0, 10.0
"""Points beyond this distance from the centre, in scene units and in medians, are noise."""

MAX_ERROR_PIXELS = 2.0
MIN_TRACK = 3
_ENOUGH_POINTS = 3000
_PROMISED_UP_LIMIT = np.radians(60.0)


def normalise(cam_from_world: F64, world_up: tuple[float, float, float] | None = None) -> Sim3:
    """`norm_from_world` for a set of cameras.

    The centre is the point that the cameras look at if they look inwards, else the middle of
    the camera centres. Cameras' 95th percentile distance from it becomes 1.

    Args:
        cam_from_world: (N, 4, 4) rigid, N >= 1.
        world_up: unit up direction that the poses' format promises; it is used if the
            cameras roughly agree with it.
    """
    rotation = cam_from_world[:, :3, :3]
    centres = -np.einsum("nji,nj->ni", rotation, cam_from_world[:, :3, 3])
    axes, rights, ups = rotation[:, 2], rotation[:, 0], -rotation[:, 1]
    centre = look_at_point(centres, axes)
    if centre is None:
        centre = centres.mean(axis=0)
    up = _up(centres, ups, rights)
    if world_up is not None and float(up @ np.asarray(world_up)) > np.cos(_PROMISED_UP_LIMIT):
        up = np.asarray(world_up, dtype=np.float64)
    radius = float(np.percentile(np.linalg.norm(centres - centre, axis=1), 95))
    # One camera, or all in one place: the scale is not observable, leave it.
    scale = 1.0 / radius if radius > 1e-9 else 1.0
    turn = _upright(up)
    return Sim3(scale, turn, -scale * turn @ centre)


def look_at_point(centres: F64, axes: F64) -> F64 | None:
    """The point nearest to all optical axes, if most cameras have it well in front; else None."""
    if len(centres) < 3:
        return None
    away = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    system = away.sum(axis=0)
    # Nearly parallel axes leave the point's depth undetermined.
    if np.linalg.eigvalsh(system)[0] < 0.02 * len(centres):
        return None
    point = np.linalg.solve(system, np.einsum("nij,nj->i", away, centres))
    toward = point - centres
    distance = np.linalg.norm(toward, axis=1)
    cosine = np.sum(toward * axes, axis=1) / np.maximum(distance, 1e-12)
    inward = np.mean(cosine > np.cos(np.radians(45.0)))
    return point if inward > 0.8 else None


def _up(centres: F64, ups: F64, rights: F64) -> F64:
    """Unit up direction of the world.

    People hold cameras level: the direction most nearly perpendicular to all `rights` is up,
    if the rights span a plane. Where they do not (all photos look the same way), the mean of
    the cameras' own up directions is the best that there is.
    """
    mean = np.median(ups, axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        # Cameras on all sides and every way up: the flattest direction of their path.
        values, vectors = np.linalg.eigh(np.cov((centres - centres.mean(axis=0)).T))
        return vectors[:, 0] if values[-1] > 0 else np.array([0.0, 0.0, 1.0])
    mean = mean / length
    values, vectors = np.linalg.eigh(rights.T @ rights / len(rights))
    level = vectors[:, 0] * np.sign(vectors[:, 0] @ mean or 1.0)
    spread, tilt = values[1], values[0]
    agree = float(level @ mean) > np.cos(np.radians(35.0))
    return level if agree and spread > 0.05 and tilt < 0.3 * spread else mean


def _upright(up: F64) -> F64:
    """The smallest rotation (3, 3) that brings the unit vector `up` to +Z."""
    z = np.array([0.0, 0.0, 1.0])
    axis = np.cross(up, z)
    sine, cosine = float(np.linalg.norm(axis)), float(up @ z)
    if sine < 1e-12:
        return np.eye(3) if cosine > 0 else np.diag([1.0, -1.0, -1.0])
    x, y, w = axis / sine
    k = np.array([[0, -w, y], [w, 0, -x], [-y, x, 0]])
    return np.eye(3) + sine * k + (1 - cosine) * (k @ k)


def filter_points(points: WorldPoints, norm_from_world: Sim3) -> WorldPoints:
    """Drop uncertain points, unless too few would be left, and those absurdly far away."""
    if len(points) == 0:
        return points
    distance = np.linalg.norm(norm_from_world.apply(points.xyz), axis=1)
    # Of a distant view from a small spot even the typical point is many units away.
    points = points.chosen(distance <= max(FAR, FAR_MEDIANS * float(np.median(distance))))
    unknown = points.track == 0
    sure = (points.track >= MIN_TRACK) | unknown
    # An unknown error is NaN, which compares false: the point stays.
    sure &= ~(points.error > MAX_ERROR_PIXELS)
    return points.chosen(sure) if sure.sum() >= min(_ENOUGH_POINTS, len(sure)) else points
