"""Points where triangulation gives too few: on the visual hull, or in the common view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.formats.lens import Lens, PosedLens, WorldPoints
from recon.sfm.context import SfmContext, Solution
from recon.sfm.hull import MaskedView, hull_points
from recon.sfm.normalise import look_at_point
from recon.sfm.photos import open_upright, rgba_array

HULL_POINTS = 60_000
RAY_POINTS = 40_000
_LOOK_SIZE = 400
_MIN_HULL = 1000
_MIN_WITNESSES = 3

F64 = NDArray[np.float64]


def fill_points(context: SfmContext, solution: Solution) -> Solution:
    """Add sampled points to a solution whose own are too few.

    Captures with alpha get points on their visual hull, others points along pixels' rays
    within what several cameras see. Only training photos are looked at.

    Raises:
        SfmCancelled: the caller asked to stop.
        FormatError: a photo has changed and no longer decodes.
    """
    with context.stage("points"):
        views = _small_views(context, solution)
        centre = look_at_point(
            np.stack([view.posed.centre for view in views]),
            np.stack([view.posed.cam_from_world[2, :3] for view in views]),
        )
        context.tell("points", 0, 1, "choosing points to start from")
        seed = context.options.seed
        extra = None
        if context.capture.background is not None and centre is not None:
            half = _seen_radius(views, centre)
            extra = hull_points(views, centre, half, HULL_POINTS, seed)
        if extra is None or len(extra) < _MIN_HULL:
            extra = ray_points(views, centre, RAY_POINTS, seed)
        context.tell("points", 1, 1, "choosing points to start from")
    old = solution.points
    if len(old) == 0:
        return replace(solution, points=extra)
    joined = WorldPoints(
        np.concatenate([old.xyz, extra.xyz]),
        np.concatenate([old.rgb, extra.rgb]),
        np.concatenate([old.error, extra.error]),
        np.concatenate([old.track, extra.track]),
    )
    return replace(solution, points=joined)


def _small_views(context: SfmContext, solution: Solution) -> list[MaskedView]:
    split = context.capture.split
    views: list[MaskedView] = []
    for photo in context.capture.photos:
        posed = solution.cameras.get(photo.name)
        if posed is None or split[photo.name] != "train":
            continue
        context.tell("points", 0, 1, "looking at the photos' masks")
        scale = min(1.0, _LOOK_SIZE / max(photo.width, photo.height))
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        image = (
            open_upright(photo, at_least=size).convert("RGBA").resize(size, Image.Resampling.BOX)
        )
        views.append(
            MaskedView(
                PosedLens(posed.lens.resized(*size), posed.cam_from_world), rgba_array(image)
            )
        )
    return views


def _seen_radius(views: list[MaskedView], centre: F64) -> float:
    """Radius around `centre` that the narrowest side of a typical photo shows."""
    radii = [
        float(np.linalg.norm(view.posed.centre - centre)) * _half_extent(view.lens)
        for view in views
    ]
    return float(np.median(radii))


def _half_extent(lens: Lens) -> float:
    """Half the frame's longer side at unit depth."""
    return max(0.5 * lens.width / lens.fx, 0.5 * lens.height / lens.fy)


def ray_points(views: list[MaskedView], centre: F64 | None, count: int, seed: int) -> WorldPoints:
    """Points at random depths behind random pixels, kept where several photos see them.

    Args:
        views: training photos.
        centre: (3,) what the cameras look at, None if they do not look inwards.
        count: points wanted; fewer come back where the views hardly overlap.
        seed: of the sampling.
    """
    rng = np.random.default_rng(seed)
    centres = np.stack([view.posed.centre for view in views])
    spread = float(np.linalg.norm(centres - centres.mean(axis=0), axis=1).max()) or 1.0
    xyz, rgb = [], []
    for view in views:
        number = 2 * count // len(views) + 1
        height, width = view.rgba.shape[:2]
        x, y = rng.integers(width, size=number), rng.integers(height, size=number)
        if centre is not None:
            middle = float(np.linalg.norm(view.posed.centre - centre))
            depth = middle * rng.uniform(0.3, 2.0, number)
        else:
            depth = spread * np.exp(rng.uniform(np.log(0.5), np.log(20.0), number))
        rays = np.stack(
            [
                (x + 0.5 - view.lens.cx) / view.lens.fx,
                (y + 0.5 - view.lens.cy) / view.lens.fy,
                np.ones(number),
            ],
            axis=1,
        )
        pose = view.posed.cam_from_world
        xyz.append((rays * depth[:, None] - pose[:3, 3]) @ pose[:3, :3])
        rgb.append(view.rgba[y, x, :3])
    points = WorldPoints(np.concatenate(xyz), np.concatenate(rgb))
    columns = np.ascontiguousarray(points.xyz.T)
    witnesses = np.zeros(len(points), np.int32)
    for view in views:
        witnesses += view.framed(view.project(columns)[0])
    good = np.flatnonzero(witnesses >= min(_MIN_WITNESSES, len(views)))
    keep = np.zeros(len(points), bool)
    keep[rng.permutation(good)[:count]] = True
    return points.chosen(keep)
