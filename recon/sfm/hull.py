"""Points on the visual hull of an object that was photographed with alpha masks.

A point outside any photo's opaque region cannot belong to the object. What is left after all
photos have had their say is the hull: a far better start for training than random points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.formats.lens import NO_POINTS, Lens, PosedLens, WorldPoints

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

_OPAQUE = 128
_COARSE, _LEVELS = 32, 2
_SURFACE_SHARE = 0.75
_CARVING_VIEWS, _COLOR_VIEWS = 128, 40
_DEPTH_GRID = 160


@dataclass(frozen=True)
class MaskedView:
    """A photo with alpha, small, and its camera.

    Attributes:
        posed: lens at the size of `rgba`, and pose; distortion is ignored.
        rgba: (H, W, 4) uint8, not premultiplied.
    """

    posed: PosedLens
    rgba: NDArray[np.uint8]

    @property
    def lens(self) -> Lens:
        return self.posed.lens

    def project(self, xyz: F64) -> tuple[F64, F64]:
        """Pixel positions (2, N) and depths (N,) of points (3, N); far outside if behind.

        Written out, since BLAS on matrices this thin spends most of its time on threads.
        """
        x, y, z = xyz
        m = self.posed.cam_from_world
        in_cam = [m[i, 0] * x + m[i, 1] * y + m[i, 2] * z + m[i, 3] for i in range(3)]
        depth = in_cam[2]
        behind = depth <= 1e-6
        safe = np.where(behind, 1.0, depth)
        u = self.lens.fx * in_cam[0] / safe + self.lens.cx
        v = self.lens.fy * in_cam[1] / safe + self.lens.cy
        return np.where(behind, -1e6, np.stack([u, v])), depth

    def framed(self, uv: F64) -> Mask:
        """Which pixel positions (2, N) lie within the photo, (N,)."""
        u, v = uv
        return (u >= 0) & (u < self.lens.width) & (v >= 0) & (v < self.lens.height)


def hull_points(
    views: list[MaskedView], centre: F64, half_side: float, count: int, seed: int
) -> WorldPoints:
    """About `count` coloured points, most near the hull's surface, the others inside it.

    Args:
        views: training photos only: held-out ones must not leak into the start.
        centre: (3,) of the cube that holds the object, in world space.
        half_side: of that cube, world units.
        count: points wanted.
        seed: of the sampling.

    Returns an empty cloud if nothing is opaque in all views.
    """
    rng = np.random.default_rng(seed)
    # In random order, since neighbours in a list say much the same.
    order = rng.permutation(len(views))[:_CARVING_VIEWS]
    carvers = [views[i] for i in order]
    cells, side = _occupied_cells(carvers, centre, half_side)
    if len(cells) == 0:
        return NO_POINTS
    surface = _on_surface(cells, _COARSE << _LEVELS)
    masks = [_padded(view.rgba[..., 3] >= _OPAQUE, 0) for view in carvers]
    on_surface = round(count * _SURFACE_SHARE)
    parts = []
    for pool, number in ((cells[surface], on_surface), (cells[~surface], count - on_surface)):
        if len(pool) == 0:
            continue
        # Some candidates fall outside the hull within their cell; draw more than needed.
        chosen = pool[rng.integers(len(pool), size=2 * number)]
        xyz = _positions(chosen + rng.random((len(chosen), 3)) - 0.5, centre, half_side, side)
        parts.append(xyz[:, _inside(carvers, masks, xyz)][:, :number])
    xyz = np.concatenate(parts, axis=1)
    return WorldPoints(np.ascontiguousarray(xyz.T), _colors(views, xyz, 1.5 * side))


def _positions(cells: ArrayLike, centre: F64, half_side: float, side: float) -> F64:
    """(3, N) middles of cells (N, 3) of the cube, in world space."""
    return np.ascontiguousarray((centre - half_side + (np.asarray(cells) + 0.5) * side).T)


def _padded(opaque: Mask, reach: int) -> Mask:
    """(H + 2, W + 2) mask, true within `reach` pixels (in a square) of an opaque pixel.

    The border is true: a photo says nothing about what lies outside its frame.
    """
    height, width = opaque.shape
    sums = np.zeros((height + 1, width + 1), np.int32)
    np.cumsum(np.cumsum(opaque, axis=0, dtype=np.int32), axis=1, out=sums[1:, 1:])
    x, y = np.arange(width), np.arange(height)[:, None]
    x0, x1 = np.clip(x - reach, 0, width), np.clip(x + reach + 1, 0, width)
    y0, y1 = np.clip(y - reach, 0, height), np.clip(y + reach + 1, 0, height)
    out = np.ones((height + 2, width + 2), bool)
    out[1:-1, 1:-1] = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0] > 0
    return out


def _inside(views: list[MaskedView], masks: list[Mask], xyz: F64) -> Mask:
    """Which points (3, N) fall on a true pixel of every view's padded mask, (N,)."""
    alive = np.arange(xyz.shape[1])
    out = np.zeros(len(alive), bool)
    for view, mask in zip(views, masks, strict=True):
        (u, v), _ = view.project(xyz)
        column = np.clip(u + 1.0, 0, mask.shape[1] - 1).astype(np.int64)
        row = np.clip(v + 1.0, 0, mask.shape[0] - 1).astype(np.int64)
        keep = mask.reshape(-1).take(row * mask.shape[1] + column)
        alive, xyz = alive[keep], xyz.compress(keep, axis=1)
    out[alive] = True
    return out


def _occupied_cells(
    views: list[MaskedView], centre: F64, half_side: float
) -> tuple[NDArray[np.int64], float]:
    """Integer positions (M, 3) of the finest cells whose middle is in the hull; their side."""
    axis = np.arange(_COARSE)
    cells = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    children = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), axis=-1).reshape(1, 8, 3)
    side = 2.0 * half_side / _COARSE
    middle = _positions(cells, centre, half_side, side)
    witnesses = np.zeros(len(cells), np.int32)
    for view in views:
        witnesses += view.framed(view.project(middle)[0])
    cells = cells[2 * witnesses >= len(views)]
    for level in range(_LEVELS + 1):
        if level > 0:
            cells = (2 * cells[:, None, :] + children).reshape(-1, 3)
            side /= 2.0
        # A coarse cell stays if any part of it may be inside, the finest by its middle.
        radius = 0.5 * side * np.sqrt(3.0) if level < _LEVELS else 0.0
        masks = [_padded(v.rgba[..., 3] >= _OPAQUE, _reach(v, centre, radius)) for v in views]
        cells = cells[_inside(views, masks, _positions(cells, centre, half_side, side))]
    return cells, side


def _reach(view: MaskedView, centre: F64, radius: float) -> int:
    """Pixels that a ball of `radius` covers to each side, if it lies about at `centre`."""
    if radius == 0.0:
        return 0
    # The nearer half of the object appears larger: a margin for it.
    depth = 0.6 * float(np.linalg.norm(view.posed.centre - centre))
    return int(np.ceil(radius * max(view.lens.fx, view.lens.fy) / max(depth, 1e-9)))


def _on_surface(cells: NDArray[np.int64], resolution: int) -> Mask:
    """Which of the occupied cells (M, 3) have an empty neighbour."""
    grid = np.zeros((resolution + 2,) * 3, bool)
    x, y, z = (cells + 1).T
    grid[x, y, z] = True
    enclosed = grid[x - 1, y, z] & grid[x + 1, y, z]
    enclosed &= grid[x, y - 1, z] & grid[x, y + 1, z]
    enclosed &= grid[x, y, z - 1] & grid[x, y, z + 1]
    return ~enclosed


def _colors(views: list[MaskedView], xyz: F64, tolerance: float) -> NDArray[np.uint8]:
    """(N, 3) mean colour of points (3, N): over the views that see each unoccluded, else all."""
    step = max(1, len(views) // _COLOR_VIEWS)
    sums = np.zeros((2, xyz.shape[1], 3))
    counts = np.zeros((2, xyz.shape[1], 1))
    for view in views[::step]:
        uv, depth = view.project(xyz)
        height, width = view.rgba.shape[:2]
        x = np.clip(uv[0], 0, width - 1).astype(np.int64)
        y = np.clip(uv[1], 0, height - 1).astype(np.int64)
        pixel = view.rgba[y, x]
        usable = view.framed(uv) & (pixel[:, 3] >= _OPAQUE)
        bucket = (y * _DEPTH_GRID // height) * _DEPTH_GRID + x * _DEPTH_GRID // width
        nearest = np.full(_DEPTH_GRID * _DEPTH_GRID, np.inf)
        np.minimum.at(nearest, bucket[usable], depth[usable])
        visible = usable & (depth <= nearest[bucket] + tolerance)
        for row, mask in enumerate((visible, usable)):
            sums[row, mask] += pixel[mask, :3]
            counts[row, mask] += 1
    seen = counts[0] > 0
    total, number = np.where(seen, sums[0], sums[1]), np.where(seen, counts[0], counts[1])
    return np.clip(total / np.maximum(number, 1) + 0.5, 0, 255).astype(np.uint8)
