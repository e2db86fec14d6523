"""Rigid and similarity transforms in numpy, float64."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.errors import OptionError

F64 = NDArray[np.float64]


def rotation_from_quat(quat_wxyz: ArrayLike) -> F64:
    """Rotation matrix (3, 3) of a quaternion (4,), w first; it is normalised here."""
    q = np.asarray(quat_wxyz, dtype=np.float64)
    norm = float(np.linalg.norm(q))
    if q.shape != (4,) or not np.isfinite(norm) or norm < 1e-12:
        raise OptionError(f"not a usable quaternion: {q.tolist()}")
    w, x, y, z = q / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quat_from_rotation(rotation: ArrayLike) -> F64:
    """Quaternion (4,), w first and w >= 0, of a rotation matrix (3, 3).

    The eigenvector form (Bar-Itzhack 2000) has no branch and is exact for every rotation.
    """
    m = np.asarray(rotation, dtype=np.float64)
    k = (
        np.array(
            [
                [m[0, 0] + m[1, 1] + m[2, 2], 0.0, 0.0, 0.0],
                [m[2, 1] - m[1, 2], m[0, 0] - m[1, 1] - m[2, 2], 0.0, 0.0],
                [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], 0.0],
                [
                    m[1, 0] - m[0, 1],
                    m[0, 2] + m[2, 0],
                    m[1, 2] + m[2, 1],
                    m[2, 2] - m[0, 0] - m[1, 1],
                ],
            ]
        )
        / 3.0
    )
    q = np.linalg.eigh(k, UPLO="L")[1][:, -1]
    return q if q[0] >= 0 else -q


def look_at(eye: ArrayLike, target: ArrayLike, up: ArrayLike) -> F64:
    """`cam_from_world` (4, 4) with OpenCV axes (x right, y down, z forward) at `eye`."""
    eye_, target_, up_ = (np.asarray(v, dtype=np.float64) for v in (eye, target, up))
    forward = target_ - eye_
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up_)
    length = float(np.linalg.norm(right))
    if length < 1e-9:
        # Looking straight along `up`: any right-hand direction serves.
        right = np.cross(forward, np.roll(up_, 1) + np.array([0.1, 0.2, 0.3]))
        length = float(np.linalg.norm(right))
    right = right / length
    rotation = np.stack([right, np.cross(forward, right), forward])
    out = np.eye(4)
    out[:3, :3] = rotation
    out[:3, 3] = -rotation @ eye_
    return out


@dataclass(frozen=True)
class Sim3:
    """Similarity `x_target = scale * rotation @ x_source + translation`.

    Attributes:
        scale: positive number, target units per source unit.
        rotation: (3, 3) float64, orthonormal, determinant +1.
        translation: (3,) float64, target units.
    """

    scale: float = 1.0
    rotation: F64 = field(default_factory=lambda: np.eye(3))
    translation: F64 = field(default_factory=lambda: np.zeros(3))

    def apply(self, points: ArrayLike) -> F64:
        """Map points (..., 3) from the source to the target space."""
        p = np.asarray(points, dtype=np.float64)
        return self.scale * p @ self.rotation.T + self.translation

    def inverse(self) -> Sim3:
        """`source_from_target`."""
        r = self.rotation.T
        return Sim3(1.0 / self.scale, r, -(r @ self.translation) / self.scale)

    def compose(self, other: Sim3) -> Sim3:
        """`self` after `other`: `(a_from_b).compose(b_from_c)` is `a_from_c`."""
        return Sim3(
            self.scale * other.scale,
            self.rotation @ other.rotation,
            self.scale * self.rotation @ other.translation + self.translation,
        )

    def matrix(self) -> F64:
        """(4, 4) homogeneous matrix, `scale * rotation` in the upper left."""
        out = np.eye(4)
        out[:3, :3] = self.scale * self.rotation
        out[:3, 3] = self.translation
        return out

    def move_camera(self, cam_from_source: ArrayLike) -> F64:
        """`cam_from_target` (4, 4), rigid, of a camera given as `cam_from_source` (4, 4).

        Depths along the camera's axis are multiplied by `scale`.
        """
        m = np.asarray(cam_from_source, dtype=np.float64)
        out = np.eye(4)
        out[:3, :3] = m[:3, :3] @ self.rotation.T
        out[:3, 3] = self.scale * m[:3, 3] - out[:3, :3] @ self.translation
        return out
