"""Between viser's cameras and ours: the one place that knows both conventions.

viser reports world_from_cam as a wxyz quaternion and a position with OpenCV axes, a vertical
field of view and the canvas size: square pixels, principal point in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.geometry import Camera, look_at, quat_from_rotation, rotation_from_quat
from recon.scene import PosedScene, View

F64 = NDArray[np.float64]
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Viewpoint:
    """Where a free camera is: world units, vertical field of view in radians."""

    position: F64
    target: F64
    fov: float

    def camera(self, width: int, height: int) -> Camera:
        """The level camera (no roll) at this place."""
        return pinhole(look_at(self.position, self.target, UP), self.fov, width, height)


def pinhole(cam_from_world: F64, fov: float, width: int, height: int) -> Camera:
    """A camera with square pixels and the principal point in the middle."""
    focal = 0.5 * height / math.tan(0.5 * fov)
    return Camera(width, height, focal, focal, width / 2, height / 2, cam_from_world)


def from_viser(wxyz: ArrayLike, position: ArrayLike, fov: float, width: int, height: int) -> Camera:
    """Our camera from what a viser client reports."""
    rotation = rotation_from_quat(wxyz).T
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = rotation
    cam_from_world[:3, 3] = -rotation @ np.asarray(position, dtype=np.float64)
    return pinhole(cam_from_world, fov, width, height)


def to_viser(camera: Camera) -> tuple[F64, F64]:
    """(wxyz, position) of a camera as viser takes them."""
    return quat_from_rotation(camera.world_from_cam[:3, :3]), camera.centre


def vertical_fov(camera: Camera) -> float:
    """Angle from the top to the bottom edge, radians."""
    return math.atan(camera.cy / camera.fy) + math.atan((camera.height - camera.cy) / camera.fy)


def enclosing_fov(camera: Camera, aspect: float) -> float:
    """Vertical field of view of a centred camera of `aspect` that shows all that `camera` shows."""
    tall = max(camera.cy, camera.height - camera.cy) / camera.fy
    wide = max(camera.cx, camera.width - camera.cx) / camera.fx
    return 2.0 * math.atan(max(tall, wide / aspect))


def canvas_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """A canvas shrunk so that its longer side has at most `longest` pixels, both at least 16."""
    scale = min(1.0, longest / max(width, height, 1))
    return max(16, round(width * scale)), max(16, round(height * scale))


def viewpoint_of(camera: Camera, scene: PosedScene, aspect: float) -> Viewpoint:
    """The free viewpoint of a photo's camera; the target lies at the middle of what it sees.

    The target is what orbiting turns about, so it has to be on the subject.
    """
    forward = camera.world_from_cam[:3, 2]
    distance = _median_depth(camera, scene.points.xyz)
    return Viewpoint(
        camera.centre, camera.centre + distance * forward, enclosing_fov(camera, aspect)
    )


def _sample(xyz: NDArray[np.float32], at_most: int) -> F64:
    """An even subset of the cloud, float64."""
    return xyz[:: max(1, len(xyz) // at_most)].astype(np.float64)


def _median_depth(camera: Camera, xyz: NDArray[np.float32]) -> float:
    if len(xyz):
        seen = camera.project(_sample(xyz, 5000))
        if seen.inside.any():
            return float(np.median(seen.depth[seen.inside]))
    return max(float(np.linalg.norm(camera.centre)), 0.5)


def best_view(scene: PosedScene) -> View | None:
    """The training photo that sees most of the cloud; ties go to the most central camera."""
    views = scene.train_views or scene.views
    if not views:
        return None
    points = _sample(scene.points.xyz, 2000)
    middle = np.mean([v.camera.centre for v in views], axis=0)

    def rank(view: View) -> tuple[float, float]:
        seen = float(view.camera.project(points).inside.mean()) if len(points) else 0.0
        # Coarse steps, so that a handful of points does not outweigh a central position.
        return round(seen, 1), -float(np.linalg.norm(view.camera.centre - middle))

    return max(views, key=rank)


def fly(start: Viewpoint, end: Viewpoint, steps: int) -> Iterator[Viewpoint]:
    """Viewpoints from start to end, eased in and out; the last one is `end` itself.

    The direction and the distance to the target are interpolated apart, so that a flight between
    opposite views swings round instead of passing through the subject.
    """
    for index in range(1, steps):
        x = index / steps
        t = x * x * (3.0 - 2.0 * x)
        position = (1 - t) * start.position + t * end.position
        offset_start, offset_end = start.target - start.position, end.target - end.position
        length = (1 - t) * np.linalg.norm(offset_start) + t * np.linalg.norm(offset_end)
        direction = _turn(offset_start, offset_end, t)
        fov = (1 - t) * start.fov + t * end.fov
        yield Viewpoint(position, position + length * direction, fov)
    yield end


def _turn(a: F64, b: F64, t: float) -> F64:
    """The unit direction a fraction `t` of the way from `a` to `b` (slerp)."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    cosine = float(np.clip(a @ b, -1.0, 1.0))
    if cosine < -0.9999:
        # Opposite: turn about the vertical by way of the side.
        side = np.cross(a, UP)
        side = side if np.linalg.norm(side) > 1e-6 else np.array([1.0, 0.0, 0.0])
        side = side / np.linalg.norm(side)
        return _turn(a, side, 2 * t) if t < 0.5 else _turn(side, b, 2 * t - 1)
    angle = math.acos(cosine)
    if angle < 1e-6:
        return a
    mixed = (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)
    return mixed / np.linalg.norm(mixed)
