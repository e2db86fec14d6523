"""Arrays to pictures: what a render output looks like in each mode, and resizing."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.geometry import Camera
from recon.model import RenderOutput

Rgb8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

Mode = Literal["Colour", "Depth", "Normals", "Alpha", "Ellipses", "Splats per pixel"]
MODES: tuple[Mode, ...] = get_args(Mode)
SPLAT_MODES: tuple[Mode, ...] = ("Ellipses", "Splats per pixel")
"""What only a model of splats can be shown as."""

MOST_SPLATS = 1000
"""Splats at a pixel that get the last colour of their picture."""


def crop_rows(camera: Camera, top: int, bottom: int) -> Camera:
    """The camera of rows `top` to `bottom` (excluded) of the same picture."""
    return replace(camera, height=bottom - top, cy=camera.cy - top)


def paste_rows(
    base: RenderOutput | None, part: RenderOutput, camera: Camera, rows: tuple[int, int]
) -> RenderOutput:
    """`part` in its rows of a full picture, `base` enlarged (or black) elsewhere."""

    def combine(under: F32 | None, over: F32) -> F32:
        shape = (camera.height, camera.width, *over.shape[2:])
        if under is None:
            full = np.zeros(shape, np.float32)
        elif under.shape == shape:
            full = under.copy()
        else:
            full = resize_float(under, camera.width, camera.height)
        full[rows[0] : rows[1]] = over
        return full

    depth: F32 | None = None
    if part.depth is not None:
        depth = combine(None if base is None else base.depth, part.depth)
    return RenderOutput(
        color=combine(None if base is None else base.color, part.color),
        alpha=combine(None if base is None else base.alpha, part.alpha),
        depth=depth,
    )


def resize_float(array: F32, width: int, height: int) -> F32:
    """Bilinear resize of (H, W) or (H, W, C) float32."""
    channels = array[..., None] if array.ndim == 2 else array
    out = np.stack(
        [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(channels[..., c])).resize(
                    (width, height), Image.Resampling.BILINEAR
                ),
                dtype=np.float32,
            )
            for c in range(channels.shape[-1])
        ],
        axis=-1,
    )
    return out[..., 0] if array.ndim == 2 else out


def resize_rgb(image: Rgb8, width: int, height: int) -> Rgb8:
    """Resize (H, W, 3): averaged when shrinking, bilinear when enlarging."""
    if image.shape[:2] == (height, width):
        return image
    shrinking = width < image.shape[1]
    method = Image.Resampling.BOX if shrinking else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((max(1, width), max(1, height)), method))


def crop_to_aspect(image: Rgb8, aspect: float) -> Rgb8:
    """The largest middle part (H, W, 3) of the given width over height."""
    height, width = image.shape[:2]
    new_width, new_height = min(width, round(height * aspect)), min(height, round(width / aspect))
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return image[top : top + max(1, new_height), left : left + max(1, new_width)]


def to_rgb8(color: F32) -> Rgb8:
    """(H, W, 3) float 0..1, clamped and rounded to 8 bits."""
    return (np.clip(color, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


# Colours of turbo (Mikhailov, Google, 2019), sampled and interpolated: small, and no plotting
# library is needed.
_TURBO = (
    (48, 18, 59), (69, 91, 205), (65, 146, 254), (28, 207, 209), (56, 244, 136), (157, 252, 69),
    (224, 218, 57), (254, 152, 44), (231, 78, 13), (178, 25, 2), (122, 4, 3),
)  # fmt: skip


def _table(anchors: tuple[tuple[int, int, int], ...]) -> Rgb8:
    at = np.linspace(0.0, 1.0, len(anchors))
    x = np.linspace(0.0, 1.0, 256)
    channels = [np.interp(x, at, [a[c] for a in anchors]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


TURBO = _table(_TURBO)


def colour_map(values: F32, table: Rgb8) -> Rgb8:
    """(H, W) in 0..1 through a table of 256 colours."""
    return table[(np.clip(values, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)]


def develop(output: RenderOutput, camera: Camera, mode: Mode) -> Rgb8:
    """The picture of an output, whose camera has the output's size."""
    if mode == "Alpha":
        grey = (np.clip(output.alpha, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if mode in ("Colour", "Ellipses") or output.depth is None:
        return to_rgb8(output.color)
    if mode == "Splats per pixel":
        return count_picture(output.depth)
    if mode == "Depth":
        return depth_picture(output.depth, output.alpha)
    return normal_picture(output.depth, output.alpha, camera)


def depth_picture(depth: F32, alpha: F32) -> Rgb8:
    """Near red, far blue, by inverse depth between the 2nd and 98th percentile of what is solid."""
    solid = (alpha > 0.5) & (depth > 0.0)
    if not solid.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    inverse = np.zeros_like(depth)
    np.divide(1.0, depth, out=inverse, where=depth > 0.0)
    # Percentiles of every few pixels are as good, and this runs for every frame in motion.
    low, high = np.percentile(inverse[solid][::7], (2, 98))
    scaled = (inverse - low) / max(high - low, 1e-9)
    return _fade(colour_map(scaled.astype(np.float32), TURBO), alpha)


def count_picture(count: F32) -> Rgb8:
    """Splats at each pixel (H, W): none black, then blue to red from 1 to MOST_SPLATS, by ratio."""
    share = (np.log1p(count) / np.log1p(MOST_SPLATS)).astype(np.float32)
    picture = colour_map(share, TURBO)
    return np.where(count[..., None] > 0, picture, 0).astype(np.uint8)


def about_count(count: F32) -> str:
    """What the picture says, in words."""
    return (
        f"Splats over each pixel, hidden ones too: blue 1, red {MOST_SPLATS:,} and more; "
        f"here {np.median(count):,.0f} as a rule, {count.max():,.0f} at most."
    )


def normal_picture(depth: F32, alpha: F32, camera: Camera) -> Rgb8:
    """Normals of the depth surface in world axes, as (n + 1) / 2; +Z (up) is blue."""
    v, u = np.mgrid[0 : depth.shape[0], 0 : depth.shape[1]].astype(np.float32)
    x = (u + 0.5 - camera.cx) / camera.fx * depth
    y = (v + 0.5 - camera.cy) / camera.fy * depth
    points = np.stack([x, y, depth], axis=-1)
    along_u = np.gradient(points, axis=1)
    along_v = np.gradient(points, axis=0)
    # v before u: the normal faces the camera (its z is negative in camera axes).
    normals = np.cross(along_v, along_u)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = normals / np.maximum(length, 1e-20)
    world = normals @ camera.cam_from_world[:3, :3].astype(np.float32)
    return _fade(to_rgb8((world * 0.5 + 0.5).astype(np.float32)), alpha)


def _fade(picture: Rgb8, alpha: F32) -> Rgb8:
    """Black where the model is not."""
    return (picture * np.clip(alpha, 0.0, 1.0)[..., None]).astype(np.uint8)
