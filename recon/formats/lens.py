"""Cameras as files and SfM state them: a lens with distortion, at a pose.

After undistortion only `recon.geometry.Camera` is left; everything before it uses these types.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.errors import FormatError

F64 = NDArray[np.float64]

MAX_SIDE = 100_000
"""Longest image side, in pixels, that any camera file may claim."""


@dataclass(frozen=True)
class Lens:
    """Intrinsics of a photo before undistortion. Pixel centres lie at 0.5.

    Attributes:
        width, height: size of the photo in pixels.
        fx, fy, cx, cy: pixels of that size.
        k: k1..k6. Perspective lenses: OpenCV's rational radial model (k4..k6 below the
            fraction bar). Fisheye lenses: k1..k4 of the polynomial in the angle.
        p: tangential p1, p2 (perspective only).
        fisheye: True for the equidistant model with polynomial.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    k: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    p: tuple[float, ...] = (0.0, 0.0)
    fisheye: bool = False

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.k, *self.p)
        if not np.all(np.isfinite(numbers)):
            raise FormatError(f"camera parameters are not finite: {numbers}")
        if not (1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE):
            raise FormatError(f"not a usable image size: {self.width}x{self.height}")
        longest = max(self.width, self.height)
        if not all(1e-3 * longest < f < 1e3 * longest for f in (self.fx, self.fy)):
            raise FormatError(f"not a usable focal length: {self.fx}, {self.fy} pixels")
        if len(self.k) != 6 or len(self.p) != 2:
            raise FormatError("a lens has six radial and two tangential coefficients")

    @property
    def distorted(self) -> bool:
        """False for a pinhole: rays map to pixels by the focal length and centre alone."""
        return self.fisheye or any(self.k) or any(self.p)

    def resized(self, width: int, height: int) -> Lens:
        """The same lens on a grid of `width` x `height` pixels."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=self.cx * sx,
            cy=self.cy * sy,
        )

    def pixels_from_rays(self, xy: ArrayLike) -> F64:
        """Pixel positions (..., 2) of ray directions (x/z, y/z) (..., 2), z > 0."""
        xy = np.asarray(xy, dtype=np.float64)
        x, y = xy[..., 0], xy[..., 1]
        r2 = x * x + y * y
        k1, k2, k3, k4, k5, k6 = self.k
        if self.fisheye:
            r = np.sqrt(r2)
            theta = np.arctan(r)
            t2 = theta * theta
            bent = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
            gain = np.where(r > 1e-9, bent / np.maximum(r, 1e-9), 1.0)
            u, v = x * gain, y * gain
        else:
            gain = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
            p1, p2 = self.p
            u = x * gain + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
            v = y * gain + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        return np.stack([self.fx * u + self.cx, self.fy * v + self.cy], axis=-1)


@dataclass(frozen=True)
class PosedLens:
    """A lens at a pose.

    Attributes:
        lens: at the size of the photo.
        cam_from_world: (4, 4) float64, rigid, OpenCV axes.
    """

    lens: Lens
    cam_from_world: F64

    @property
    def centre(self) -> F64:
        """(3,) camera centre in world space."""
        return -self.cam_from_world[:3, :3].T @ self.cam_from_world[:3, 3]


@dataclass(frozen=True)
class WorldPoints:
    """Sparse points in the world of the cameras that they came with.

    Attributes:
        xyz: (N, 3) float64.
        rgb: (N, 3) uint8.
        error: (N,) float64 mean reprojection error in pixels; NaN where unknown.
        track: (N,) int64 number of photos that see the point; 0 where unknown.
    """

    xyz: F64
    rgb: NDArray[np.uint8]
    error: F64 = field(default_factory=lambda: np.zeros(0))
    track: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        n = len(self.xyz)
        if len(self.error) != n:
            object.__setattr__(self, "error", np.full(n, np.nan))
        if len(self.track) != n:
            object.__setattr__(self, "track", np.zeros(n, np.int64))

    def __len__(self) -> int:
        return len(self.xyz)

    def chosen(self, keep: NDArray[np.bool_]) -> WorldPoints:
        """The points where the mask `keep` (N,) is true."""
        return WorldPoints(self.xyz[keep], self.rgb[keep], self.error[keep], self.track[keep])


NO_POINTS = WorldPoints(np.zeros((0, 3)), np.zeros((0, 3), np.uint8))

# COLMAP's names and parameter orders. `f` sets both focal lengths.
_COLMAP_PARAMS: dict[str, str] = {
    "SIMPLE_PINHOLE": "f cx cy",
    "PINHOLE": "fx fy cx cy",
    "SIMPLE_RADIAL": "f cx cy k1",
    "RADIAL": "f cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2",
    "OPENCV_FISHEYE": "fx fy cx cy k1 k2 k3 k4",
    "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
    "SIMPLE_RADIAL_FISHEYE": "f cx cy k1",
    "RADIAL_FISHEYE": "f cx cy k1 k2",
}


def colmap_param_count(model: str) -> int:
    """Number of parameters of a COLMAP camera model.

    Raises:
        FormatError: a model that recon cannot undistort.
    """
    if model not in _COLMAP_PARAMS:
        raise FormatError(
            f"camera model {model!r} is not supported",
            remedy=f"convert it to one of {', '.join(_COLMAP_PARAMS)}",
        )
    return len(_COLMAP_PARAMS[model].split())


def lens_from_colmap(model: str, width: int, height: int, params: ArrayLike) -> Lens:
    """A `Lens` of COLMAP's model name and parameters.

    Raises:
        FormatError: unknown model, wrong number of parameters, or unusable values.
    """
    values = np.asarray(params, dtype=np.float64).reshape(-1)
    if len(values) != colmap_param_count(model):
        raise FormatError(
            f"camera model {model} takes {colmap_param_count(model)} parameters, "
            f"the file gives {len(values)}"
        )
    named = dict(zip(_COLMAP_PARAMS[model].split(), values.tolist(), strict=True))
    return Lens(
        width=width,
        height=height,
        fx=named.get("fx", named.get("f", 0.0)),
        fy=named.get("fy", named.get("f", 0.0)),
        cx=named["cx"],
        cy=named["cy"],
        k=tuple(named.get(f"k{i}", 0.0) for i in range(1, 7)),
        p=(named.get("p1", 0.0), named.get("p2", 0.0)),
        fisheye="FISHEYE" in model,
    )


@dataclass(frozen=True)
class ColmapCamera:
    """COLMAP's spelling of a lens: model name and parameters in its order."""

    model: str
    params: tuple[float, ...]


def colmap_from_lens(lens: Lens) -> ColmapCamera:
    """The simplest COLMAP model that holds the lens exactly."""
    if lens.fisheye:
        model = "OPENCV_FISHEYE"
    elif any(lens.k[2:]):
        model = "FULL_OPENCV"
    elif lens.distorted:
        model = "OPENCV"
    else:
        model = "PINHOLE"
    named = {"fx": lens.fx, "fy": lens.fy, "cx": lens.cx, "cy": lens.cy}
    named |= {f"k{i}": value for i, value in enumerate(lens.k, start=1)}
    named |= {"p1": lens.p[0], "p2": lens.p[1]}
    return ColmapCamera(model, tuple(named[name] for name in _COLMAP_PARAMS[model].split()))
