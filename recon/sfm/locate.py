"""Metres and north: from the photos' GPS, or from a distance that somebody measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recon.capture.gravity import Direction
from recon.errors import OptionError
from recon.formats.lens import PosedLens
from recon.geometry import Sim3
from recon.sfm.normalise import normalise

F64 = NDArray[np.float64]

_FEWEST = 5
_WORST_SCALE_ERROR = 0.05
_INLIER_METRES = 15.0
_TRIES = 200
# WGS 84: equatorial radius in metres and first eccentricity squared.
_RADIUS, _ECCENTRICITY = 6_378_137.0, 6.694379990141e-3


@dataclass(frozen=True)
class Location:
    """How the world of the results follows from the model's own.

    Attributes:
        world_from_model: a similarity.
        unit: "metres", or "arbitrary" where the size of the scene is unknown.
        north: the world's axes are east, north and up.
        up: what is up in that world, where more than the cameras' own position tells.
        notices: in plain words.
    """

    world_from_model: Sim3 = field(default_factory=Sim3)
    unit: str = "arbitrary"
    north: bool = False
    up: Direction | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownDistance:
    """That the cameras of two photos, by name, were `metres` apart."""

    first: str
    second: str
    metres: float


def locate(
    cameras: Mapping[str, PosedLens],
    gps: Mapping[str, tuple[float, float, float]],
    known: KnownDistance | None,
    up: Direction | None = None,
) -> Location:
    """Scale, and turn where possible, the world in which cameras are.

    A distance that was measured decides the scale even where there is GPS.

    Args:
        cameras: photo name -> pose, in the model's own world.
        gps: photo name -> latitude and longitude in degrees, altitude in metres.
        known: a measured distance.
        up: what is up in the model's world; None to ask the cameras.

    Raises:
        OptionError: the photos of the known distance have no camera, or the same place.
    """
    location = _from_gps(cameras, gps, up)
    if known is None:
        return location
    for name in (known.first, known.second):
        if name not in cameras:
            raise OptionError(
                f"--scale names {name}, which has no camera",
                remedy="name two photos that have one, by their names in the photo folder",
            )
    span = cameras[known.first].centre - cameras[known.second].centre
    length = location.world_from_model.scale * float(np.linalg.norm(span))
    extent = np.ptp(np.stack([posed.centre for posed in cameras.values()]), axis=0)
    if length < 1e-3 * location.world_from_model.scale * float(np.linalg.norm(extent)):
        raise OptionError(
            f"{known.first} and {known.second} were taken from the same place",
            remedy="name two photos that are further apart",
        )
    factor = known.metres / length
    moved = Sim3(factor).compose(location.world_from_model)
    return Location(moved, "metres", location.north, location.up)


def _from_gps(
    cameras: Mapping[str, PosedLens],
    gps: Mapping[str, tuple[float, float, float]],
    up: Direction | None,
) -> Location:
    """Scale, heading and place by GPS; what is up the cameras know better."""
    names = sorted(name for name in gps if name in cameras)
    if len(names) < _FEWEST:
        return Location(up=up)
    upright = normalise(np.stack([posed.cam_from_world for posed in cameras.values()]), up)
    upright = Sim3(1.0, upright.rotation)
    target = east_north_up(np.array([gps[name] for name in names]))
    source = upright.apply(np.stack([cameras[name].centre for name in names]))
    fit = _robust_planar(source[:, :2], target[:, :2])
    spread = float(np.sqrt(target[:, :2].var(axis=0).sum()))
    if fit is None or spread == 0.0:
        return Location(up=up, notices=(_useless(len(names), spread, None),))
    factor, inliers = fit
    residual = np.abs(_complex(target) - (factor[0] * _complex(source) + factor[1]))[inliers]
    noise = float(np.sqrt(np.mean(np.square(residual))))
    error = noise / (spread * np.sqrt(max(1, inliers.sum() - 2)))
    if error > _WORST_SCALE_ERROR or inliers.sum() < max(_FEWEST, 0.6 * len(names)):
        return Location(up=up, notices=(_useless(len(names), spread, noise),))
    scale, heading = abs(factor[0]), np.angle(factor[0])
    turn = np.array(
        [
            [np.cos(heading), -np.sin(heading), 0.0],
            [np.sin(heading), np.cos(heading), 0.0],
            [0.0, 0.0, 1.0],
        ]
    )
    height = float(np.median(target[inliers, 2] - scale * source[inliers, 2]))
    shift = np.array([factor[1].real, factor[1].imag, height])
    notice = (
        f"scale and north are from the GPS of {len(names)} photos: the scale is good to about "
        f"{max(error, 0.001):.1%}"
    )
    moved = Sim3(scale, turn, shift).compose(upright)
    return Location(moved, "metres", True, (0.0, 0.0, 1.0), (notice,))


def _useless(count: int, spread: float, noise: float | None) -> str:
    off = "" if noise is None else f" and are {noise:.1f} m off"
    return (
        f"the GPS of {count} photos is too coarse to measure by: they spread over {spread:.1f} m"
        f"{off}; --scale takes a distance that you measured"
    )


def east_north_up(positions: F64) -> F64:
    """(N, 3) metres east, north and up of the mean of WGS 84 positions (N, 3): degrees, metres."""
    latitude, longitude = np.radians(positions[:, 0]), np.radians(positions[:, 1])
    earth = _earth(latitude, longitude, positions[:, 2])
    lat, lon = float(latitude.mean()), float(longitude.mean())
    centre = _earth(np.array([lat]), np.array([lon]), positions[:, 2].mean(keepdims=True))
    axes = np.array(
        [
            [-np.sin(lon), np.cos(lon), 0.0],
            [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)],
            [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)],
        ]
    )
    return (earth - centre) @ axes.T


def _earth(latitude: F64, longitude: F64, altitude: F64) -> F64:
    """Earth-centred coordinates (N, 3) in metres."""
    radius = _RADIUS / np.sqrt(1.0 - _ECCENTRICITY * np.sin(latitude) ** 2)
    flat = (radius + altitude) * np.cos(latitude)
    return np.stack(
        [
            flat * np.cos(longitude),
            flat * np.sin(longitude),
            (radius * (1.0 - _ECCENTRICITY) + altitude) * np.sin(latitude),
        ],
        axis=1,
    )


def _complex(points: F64) -> NDArray[np.complex128]:
    return points[:, 0] + 1j * points[:, 1]


def _robust_planar(source: F64, target: F64) -> tuple[tuple[complex, complex], NDArray] | None:
    """(a, b) of target = a source + b over complex numbers, and the inliers (N,).

    Best of _TRIES pairs by their number of inliers, then least squares over those.
    """
    s, t = _complex(source), _complex(target)
    rng = np.random.default_rng(0)
    best = np.zeros(len(s), bool)
    for _ in range(_TRIES):
        i, j = rng.choice(len(s), 2, replace=False)
        if abs(s[i] - s[j]) < 1e-9 or abs(t[i] - t[j]) < 1e-9:
            continue
        a = (t[i] - t[j]) / (s[i] - s[j])
        inliers = np.abs(t - (a * (s - s[i]) + t[i])) < _INLIER_METRES
        if inliers.sum() > best.sum():
            best = inliers
    if best.sum() < 3:
        return None
    centred, aim = s[best] - s[best].mean(), t[best] - t[best].mean()
    power = float(np.sum(np.abs(centred) ** 2))
    if power == 0.0:
        return None
    a = complex(np.sum(np.conj(centred) * aim) / power)
    if abs(a) < 1e-12:
        return None
    return (a, complex(t[best].mean() - a * s[best].mean())), best
