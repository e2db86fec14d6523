"""Photos to pinhole images: straight lines straight, no black borders, at training size."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.capture.types import Photo
from recon.formats.lens import Lens
from recon.geometry import Camera
from recon.sfm.photos import open_mask, open_upright, png_note, save_png

F64 = NDArray[np.float64]

_RECIPE = 1
_ZOOM_RANGE = (0.25, 8.0)
_ZOOM_STEP = 1.01
_BORDER_SAMPLES = 64
# Pixels of the photo: between the samples a border may bulge out a little further.
_BORDER_MARGIN = 0.05
_LARGEST_CELL, _SMALLEST_CELL = 64, 8
_WHOLE = 250
MAP_ERROR = 0.1


@lru_cache(maxsize=256)
def pinhole_of(lens: Lens) -> Lens:
    """The pinhole of the same size and principal point whose every pixel the photo covers.

    Among those it is the one with the widest view: the smallest zoom over the lens's own
    focal length that leaves no pixel without a source.
    """
    plain = replace(lens, k=(0.0,) * 6, p=(0.0, 0.0), fisheye=False)
    if not lens.distorted:
        return plain
    low, high = _ZOOM_RANGE
    zoom = high
    # From a small central cut outwards until a border pixel has no source. Not by bisection
    # alone: polynomials fold back, and far outside may seem to be inside again.
    while zoom / _ZOOM_STEP > low and _covered(lens, zoom / _ZOOM_STEP):
        zoom /= _ZOOM_STEP
    good, bad = zoom, zoom / _ZOOM_STEP
    for _ in range(20):
        middle = 0.5 * (good + bad)
        good, bad = (middle, bad) if _covered(lens, middle) else (good, middle)
    return replace(plain, fx=lens.fx * good, fy=lens.fy * good)


def _covered(lens: Lens, zoom: float) -> bool:
    """Whether the border of the pinhole at `zoom` maps into the photo."""
    t = np.linspace(0.0, 1.0, _BORDER_SAMPLES)
    zero, one = np.zeros_like(t), np.ones_like(t)
    edge = np.concatenate(
        [np.stack(side, axis=-1) for side in ((t, zero), (t, one), (zero, t), (one, t))]
    )
    size = np.array([lens.width, lens.height])
    centre = np.array([lens.cx, lens.cy])
    focal = np.array([lens.fx, lens.fy]) * zoom
    source = lens.pixels_from_rays((edge * size - centre) / focal)
    return bool(np.all((source >= _BORDER_MARGIN) & (source <= size - _BORDER_MARGIN)))


@dataclass(frozen=True)
class UndistortPlan:
    """How one photo becomes a pinhole image.

    Attributes:
        photo: the source.
        lens: its lens at full size.
        camera: the pinhole camera at the output's size and pose.
        path: the PNG to write.
        mask_path: the PNG of its mask, None without one.
    """

    photo: Photo
    lens: Lens
    camera: Camera
    path: Path
    mask_path: Path | None = None


def plan(
    photo: Photo,
    lens: Lens,
    cam_from_world: F64,
    long_side: int | None,
    folder: Path,
    mask_folder: Path | None = None,
) -> UndistortPlan:
    """Decide the output's camera and file.

    Args:
        photo: the source.
        lens: at the photo's size.
        cam_from_world: (4, 4) rigid, in the space that the camera shall be in.
        long_side: longest side of the output in pixels; None for full size.
        folder: where `NAME.png` goes.
        mask_folder: where its mask goes, under the same name; None for `masks` beside folder.
    """
    hole = pinhole_of(lens)
    full = Camera(lens.width, lens.height, hole.fx, hole.fy, hole.cx, hole.cy, cam_from_world)
    camera = full.fit_long_side(long_side)
    masks = mask_folder or folder.with_name("masks")
    mask = None if photo.mask is None else masks / f"{photo.name}.png"
    return UndistortPlan(photo, lens, camera, folder / f"{photo.name}.png", mask)


def undistort(job: UndistortPlan) -> None:
    """Write the image, and the mask if there is one.

    Files that an earlier run wrote for the same photo and cameras are kept.

    Raises:
        FormatError: the photo has changed and no longer decodes.
    """
    key = _key(job)
    if png_note(job.path) != key:
        # Twice the output's size is all that is looked at: see `_resampled`.
        double = _double(job) if job.lens.distorted else None
        image = _resampled(job, open_upright(job.photo, at_least=double))
        job.path.parent.mkdir(parents=True, exist_ok=True)
        save_png(image, job.path, note=key)
    if job.mask_path is not None and png_note(job.mask_path) != key:
        mask = open_mask(job.photo)
        assert mask is not None
        mask = mask.resize((job.photo.width, job.photo.height), Image.Resampling.NEAREST)
        # A pixel counts if all that went into it does: bicubic sampling rings a little.
        mask = _resampled(job, mask).point([0] * _WHOLE + [255] * (256 - _WHOLE))
        job.mask_path.parent.mkdir(parents=True, exist_ok=True)
        save_png(mask, job.mask_path, note=key)


def _double(job: UndistortPlan) -> tuple[int, int]:
    return min(2 * job.camera.width, job.photo.width), min(2 * job.camera.height, job.photo.height)


def _resampled(job: UndistortPlan, image: Image.Image) -> Image.Image:
    """The upright photo, or its mask, as the pinhole camera sees it.

    Area-averaged: every pixel is the mean of the pixels that it covers.
    """
    width, height = job.camera.width, job.camera.height
    if job.lens.distorted:
        # Sampled on a grid twice as fine as the output, then averaged: sharp, without
        # aliasing, and the cost depends on the output's size and not on the photo's.
        double = _double(job)
        if image.size != double:
            image = image.resize(double, Image.Resampling.BOX)
        fine = 2 if job.photo.width > width else 1
        image = _warp(image, job.lens, job.camera.resized(fine * width, fine * height))
    if image.size != (width, height):
        # Pillow averages RGBA premultiplied, so transparent pixels do not tint the edges.
        image = image.resize((width, height), Image.Resampling.BOX)
    return image


def _key(job: UndistortPlan) -> str:
    """Names everything that the pixels depend on."""
    camera = job.camera.at(np.eye(4))
    text = repr((_RECIPE, job.photo.content, job.photo.orientation, job.lens, camera))
    return hashlib.sha256(text.encode()).hexdigest()


def _warp(image: Image.Image, lens: Lens, camera: Camera) -> Image.Image:
    """Bicubic samples of `image`, a photo taken by `lens` at any size, along the pinhole
    `camera`'s rays; the result has the camera's size.

    The map is evaluated at the corners of cells and is bilinear within them; the cells are
    small enough that this is off by at most MAP_ERROR pixels.
    """
    scale = np.array([image.width / lens.width, image.height / lens.height])

    def source_of(columns: F64, rows: F64) -> F64:
        u, v = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
        return lens.pixels_from_rays(np.stack(np.meshgrid(u, v), axis=-1)) * scale

    cell = _LARGEST_CELL
    while True:
        columns, rows = _ticks(camera.width, cell), _ticks(camera.height, cell)
        source = source_of(columns, rows)
        middle = source_of(_middles(columns), _middles(rows))
        bilinear = _middles(_middles(source, axis=0), axis=1)
        if cell <= _SMALLEST_CELL or np.abs(bilinear - middle).max() < MAP_ERROR:
            break
        cell //= 2
    source = np.clip(source, 0.0, np.array(image.size) - 1e-3)
    # Pillow wants corners as upper left, lower left, lower right, upper right.
    corners = (source[:-1, :-1], source[1:, :-1], source[1:, 1:], source[:-1, 1:])
    quads = np.concatenate(corners, axis=-1).tolist()
    x, y = columns.astype(int).tolist(), rows.astype(int).tolist()
    mesh = [
        ((x[i], y[j], x[i + 1], y[j + 1]), quads[j][i])
        for j in range(len(y) - 1)
        for i in range(len(x) - 1)
    ]
    size = (camera.width, camera.height)
    return image.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC)


def _ticks(length: int, cell: int) -> F64:
    """Cell borders 0, cell, 2 cell, ..., `length`."""
    return np.append(np.arange(0.0, length, cell), float(length))


def _middles(values: F64, axis: int = 0) -> F64:
    """Means of neighbours along an axis."""
    last = values.shape[axis]
    return 0.5 * (values.take(range(1, last), axis) + values.take(range(last - 1), axis))
