"""Cameras and sparse cloud from above and from the side: vector cameras over a drawn cloud."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.geometry import Camera
from recon.report.html import Html, el
from recon.report.pictures import data_uri
from recon.scene import PosedScene, View

WIDTH = 560
_MIN_HEIGHT, _MAX_HEIGHT = 200, 620
_MARGIN = 0.06
# The cloud is drawn twice as fine as its place on the page, for sharp screens.
_CLOUD_SCALE = 2
_MAX_POINTS = 300_000

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class _Projection:
    """From normalised space to a drawing: axis `across` to the right, axis `up` upwards."""

    across: int
    up: int
    left: float
    top: float
    scale: float
    height: int

    def place(self, points: F64) -> F64:
        """(N, 3) scene units to (N, 2) units of the drawing, y down."""
        x = (points[:, self.across] - self.left) * self.scale
        y = (self.top - points[:, self.up]) * self.scale
        return np.stack([x, y], axis=-1)


def plan_figures(scene: PosedScene, anchors: Mapping[str, str]) -> list[Html]:
    """The plan and the side view; `anchors` maps names of views to what a click leads to."""
    if not scene.views:
        return []
    return [
        _figure(scene, anchors, "From above", across=0, up=1),
        _figure(scene, anchors, "From the side", across=0, up=2),
    ]


def _figure(
    scene: PosedScene, anchors: Mapping[str, str], title: str, *, across: int, up: int
) -> Html:
    projection = _fit(scene, across, up)
    size = _frustum_size(scene)
    # Held-out cameras last, so that they lie on top.
    views = sorted(scene.views, key=lambda view: view.split == "test")
    cameras = [_camera(view, projection, size, anchors.get(view.name)) for view in views]
    svg = el(
        "svg",
        el("title", f"{title}: {len(scene.views)} cameras and {len(scene.points):,} points"),
        _cloud(scene, projection),
        _scale_bar(projection),
        *cameras,
        viewBox=f"0 0 {WIDTH} {projection.height}",
        role="img",
    )
    return el("figure", el("figcaption", el("span", title)), svg, class_="plan")


def _fit(scene: PosedScene, across: int, up: int) -> _Projection:
    """A projection that shows all cameras and the bulk of the cloud at one scale."""
    centres = np.stack([view.camera.centre for view in scene.views])
    low, high = centres.min(axis=0), centres.max(axis=0)
    if len(scene.points):
        # Sparse clouds have far outliers; the middle 90 % is what a person would call the scene.
        inner = np.percentile(scene.points.xyz, [5, 95], axis=0)
        # And a distant background must not shrink the cameras to a dot.
        reach = 4.0 * max(float((high - low).max()), 1e-6)
        low = np.minimum(low, np.maximum(inner[0], low - reach))
        high = np.maximum(high, np.minimum(inner[1], high + reach))
    extent = np.maximum(high - low, 1e-6 + 0.05 * (high - low).max())
    middle = (low + high) / 2
    scale = WIDTH * (1 - 2 * _MARGIN) / extent[across]
    tallest = _MAX_HEIGHT * (1 - 2 * _MARGIN) / extent[up]
    scale = float(min(scale, tallest))
    wanted = scale * extent[up] + 2 * _MARGIN * WIDTH
    height = int(np.clip(wanted, _MIN_HEIGHT, _MAX_HEIGHT))
    left = float(middle[across] - WIDTH / 2 / scale)
    top = float(middle[up] + height / 2 / scale)
    return _Projection(across, up, left, top, scale, height)


def _frustum_size(scene: PosedScene) -> float:
    """Depth of the drawn frustums in scene units: they should not hide each other."""
    centres = np.stack([view.camera.centre for view in scene.views])
    extent = max(float(np.linalg.norm(np.ptp(centres, axis=0))), 1e-6)
    some = centres[:400]
    if len(some) < 2:
        return 0.3
    distance = np.linalg.norm(some[:, None] - some[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    return float(np.clip(np.median(distance.min(axis=1)), 0.03 * extent, 0.09 * extent))


def _camera(view: View, projection: _Projection, size: float, anchor: str | None) -> Html:
    apex, *corners = projection.place(_frustum(view.camera, size)).round(1).tolist()
    base = "L".join(f"{x} {y}" for x, y in corners)
    edges = "".join(f"M{apex[0]} {apex[1]}L{x} {y}" for x, y in corners)
    held_out = view.split == "test"
    label = f"{view.name} ({'held out' if held_out else 'trained on'})"
    mark = el("path", el("title", label), d=f"M{base}Z{edges}", class_=f"camera {view.split}")
    return el("a", mark, href=f"#{anchor}") if anchor else mark


def _frustum(camera: Camera, size: float) -> F64:
    """Apex and the four corners of the image at depth `size`, (5, 3) in scene units."""
    x = np.array([0, camera.width, camera.width, 0]) - camera.cx
    y = np.array([0, 0, camera.height, camera.height]) - camera.cy
    rays = np.stack([x / camera.fx, y / camera.fy, np.ones(4)], axis=-1)
    # Wide lenses get no wider frustums than others: what matters is where they look.
    rays *= size / max(1.0, 1.6 * float(np.abs(rays[:, :2]).max()))
    inside = np.concatenate([np.zeros((1, 3)), rays])
    return inside @ camera.cam_from_world[:3, :3] + camera.centre


def _cloud(scene: PosedScene, projection: _Projection) -> Html | None:
    """The points as a see-through picture under the cameras."""
    if not len(scene.points):
        return None
    step = -(-len(scene.points) // _MAX_POINTS)
    place = projection.place(scene.points.xyz[::step].astype(np.float64)) * _CLOUD_SCALE
    rgb = scene.points.rgb[::step].astype(np.float64)
    width, height = WIDTH * _CLOUD_SCALE, projection.height * _CLOUD_SCALE
    # Points far outside would overflow an integer.
    cell = np.floor(np.clip(place, -10, [width + 10, height + 10])).astype(np.int64)
    sums = np.zeros((height * width, 4))
    for dx, dy, weight in _dot(2.2 if len(place) < 10_000 else 1.4):
        x, y = cell[:, 0] + dx, cell[:, 1] + dy
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        at = (y * width + x)[inside]
        for channel in range(3):
            sums[:, channel] += np.bincount(at, weight * rgb[inside, channel], len(sums))
        sums[:, 3] += np.bincount(at, np.full(len(at), weight), len(sums))
    used = np.flatnonzero(sums[:, 3])
    weights = sums[used, 3:]
    colors = sums[used, :3] / weights
    # Neither white points on white paper nor black ones on black: lightness is held in between.
    lightness = colors.mean(axis=1, keepdims=True)
    colors = np.clip(colors + np.clip(lightness, 85, 150) - lightness, 0, 255)
    pixels = np.zeros((height * width, 4), np.uint8)
    pixels[used] = np.round(np.concatenate([colors, 255 * (1 - np.exp(-1.6 * weights))], axis=1))
    buffer = io.BytesIO()
    image = Image.fromarray(pixels.reshape(height, width, 4))
    image.quantize(96, Image.Quantize.FASTOCTREE).save(buffer, format="PNG", optimize=True)
    return el(
        "image", href=data_uri(buffer.getvalue(), "PNG"), width=WIDTH, height=projection.height
    )


def _dot(radius: float) -> list[tuple[int, int, float]]:
    """A soft round dot: offsets in pixels of the drawn cloud, with weights up to 1."""
    reach = range(-int(radius), int(radius) + 1)
    fade = [(dx, dy, 1 - (dx * dx + dy * dy) / radius**2) for dx in reach for dy in reach]
    return [(dx, dy, weight) for dx, dy, weight in fade if weight > 0]


def _scale_bar(projection: _Projection) -> Html:
    """A bar of a round number of scene units, in the lower left corner."""
    power = 10.0 ** np.floor(np.log10(0.3 * WIDTH / projection.scale))
    units = next(m * power for m in (5, 2, 1) if m * power * projection.scale <= 0.3 * WIDTH)
    y, length = projection.height - 12, round(units * projection.scale, 1)
    label = f"{units:g} {'unit' if units == 1 else 'units'}"
    return el(
        "g",
        el("path", d=f"M12 {y - 4}V{y}H{12 + length}V{y - 4}"),
        el("text", label, x=20 + length, y=y + 1),
        class_="scale",
    )
