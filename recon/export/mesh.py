"""A triangle mesh of a trained model: depth and colour seen from the photos' cameras, fused.

The truncated signed distance field of Curless and Levoy (1996), as Open3D implements it on a
sparse voxel grid, with depths rendered by the model instead of measured by a sensor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import BackendUnavailable, OptionError, TrainingError
from recon.geometry import Camera, Sim3
from recon.model import RadianceModel, RenderOptions, RenderOutput
from recon.scene import PosedScene

SUFFIXES = (".ply", ".obj", ".glb")
# The voxel follows from the scene: so many of them across what the cameras look at.
_VOXELS_ACROSS = 128
_TRUNCATION = 5.0
# Depths are rendered at most this large: finer than the voxels they are of no use.
_LONG_SIDE = 720
# Where a ray does not surely end on something, its depth means nothing.
_MIN_ALPHA = 0.6
# Farther away than so many median depths nothing is fused: the background of a capture.
_REACH = 3.0
# Components with fewer triangles than this share of the largest are floaters.
_SMALLEST_PART = 0.02
_MIN_WEIGHT = 2.0
_JUMP = 0.2
# A block of 16 cells a side takes 82 kB.
_MAX_BLOCKS = 40_000

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class MeshOptions:
    """How to mesh.

    Attributes:
        voxel: edge of a cell in units of the target space; None for a 128th of the median depth.
        views: at most so many cameras, spread over all.
    """

    voxel: float | None = None
    views: int = 150


def write_mesh(
    path: Path,
    model: RadianceModel,
    scene: PosedScene,
    space_from_norm: Sim3,
    options: MeshOptions,
    progress: Callable[[int, int], None],
) -> str:
    """Mesh `model` and write it to `path` (.ply, .obj or .glb); what came out, in words.

    Raises:
        OptionError: another suffix, or a voxel far too small for the scene.
        BackendUnavailable: Open3D is not installed.
        TrainingError: the model shows no surface to its cameras.
        OSError: the disk is full or the folder cannot be written to.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(
            f"a mesh is written as {', '.join(SUFFIXES)}, not as {path.suffix!r}",
            remedy="name the file with --out, such as mesh.glb",
        )
    o3d = _open3d()
    views = scene.train_views
    step = max(1, -(-len(views) // options.views))
    cameras = [view.camera.fit_long_side(_LONG_SIDE) for view in views[::step]]
    background = RenderOptions(background=scene.background or (0.0, 0.0, 0.0), depth=True)
    typical = _typical_depth(model, cameras, background)
    voxel = voxel_usual = typical / _VOXELS_ACROSS
    if options.voxel is not None:
        voxel = options.voxel / space_from_norm.scale
        if voxel < typical / 4000:
            raise OptionError(
                f"--voxel is too small: {typical / voxel:,.0f} of them would reach from the "
                "cameras to what they look at",
                remedy=f"a usual one here is {voxel_usual * space_from_norm.scale:.3g}",
            )
    grid = _Grid(o3d, voxel, reach=_REACH * typical)
    for done, camera in enumerate(cameras):
        progress(done, len(cameras))
        depth, color = _sure_depth(model.render(camera, background))
        depth[_at_edges(depth)] = 0.0
        grid.add(camera, depth, color)
    mesh = _cleaned(grid.mesh())
    if len(mesh.triangles) == 0:
        raise TrainingError(
            "the model shows no surface to its cameras", remedy="train longer, then export again"
        )
    vertices = space_from_norm.apply(np.asarray(mesh.vertices))
    mesh.vertices = o3d.utility.Vector3dVector(vertices)
    mesh.compute_vertex_normals()
    _save(o3d, path, mesh)
    return (
        f"{len(mesh.triangles):,} triangles, {len(mesh.vertices):,} vertices, "
        f"cells of {voxel * space_from_norm.scale:.3g}"
    )


def _open3d() -> Any:
    try:
        return import_module("open3d")
    except (ImportError, OSError) as error:
        raise BackendUnavailable(
            f"meshes need Open3D, which cannot be used here ({error})",
            remedy="pip install 'recon-3d[mesh]'",
        ) from error


def _typical_depth(model: RadianceModel, cameras: list[Camera], options: RenderOptions) -> float:
    """Median depth of what a few of the cameras see, in units of the scene."""
    depths: list[F32] = []
    for camera in cameras[:: max(1, len(cameras) // 8)]:
        depth = _sure_depth(model.render(camera.fit_long_side(200), options))[0]
        depths.append(depth[depth > 0])
    values = np.concatenate(depths) if depths else np.zeros(0, np.float32)
    if len(values) == 0:
        raise TrainingError(
            "the model shows no surface to its cameras", remedy="train longer, then export again"
        )
    return float(np.median(values))


def _sure_depth(output: RenderOutput) -> tuple[F32, F32]:
    """Depth (H, W), 0 where it means nothing, and colours (H, W, 3) in 0..1 of a render."""
    if output.depth is None:
        raise OptionError("this model renders no depth, of which a mesh is made")
    depth = np.where(output.alpha > _MIN_ALPHA, output.depth, 0.0).astype(np.float32)
    return depth, np.clip(output.color, 0.0, 1.0).astype(np.float32)


class _Grid:
    """Open3D's sparse voxel grid, which holds blocks only where there is a surface."""

    def __init__(self, o3d: Any, voxel: float, reach: float) -> None:
        self._o3d = o3d
        self._reach = reach
        self._voxels = o3d.t.geometry.VoxelBlockGrid(
            attr_names=("tsdf", "weight", "color"),
            attr_dtypes=(o3d.core.float32,) * 3,
            attr_channels=((1), (1), (3)),
            voxel_size=voxel,
            block_resolution=16,
            block_count=2000,
            device=o3d.core.Device("CPU:0"),
        )

    def add(self, camera: Camera, depth: F32, color: F32) -> None:
        """Fuse a view."""
        o3d = self._o3d
        # Open3D truncates pixel positions, so that centres lie at halves, as ours do.
        lens = o3d.core.Tensor(
            np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
        )
        pose = o3d.core.Tensor(np.array(camera.cam_from_world))
        depths = o3d.t.geometry.Image(np.ascontiguousarray(depth))
        colors = o3d.t.geometry.Image(np.ascontiguousarray(color))
        if not depth.any():
            return
        where = (1.0, self._reach, _TRUNCATION)
        blocks = self._voxels.compute_unique_block_coordinates(depths, lens, pose, *where)
        self._voxels.integrate(blocks, depths, colors, lens, lens, pose, *where)
        if self._voxels.hashmap().size() > _MAX_BLOCKS:
            raise OptionError(
                "the cells are too many for the memory", remedy="choose a larger --voxel"
            )

    def mesh(self) -> Any:
        """The surface that at least two views agree on."""
        return self._voxels.extract_triangle_mesh(weight_threshold=_MIN_WEIGHT).to_legacy()


def _at_edges(depth: F32) -> NDArray[np.bool_]:
    """Where depth jumps by more than a fifth: the expected depth there lies in mid-air."""
    jump = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        step = np.abs(np.diff(depth, axis=axis)) > _JUMP * np.minimum(
            np.take(depth, range(1, depth.shape[axis]), axis),
            np.take(depth, range(depth.shape[axis] - 1), axis),
        )
        before = [slice(None), slice(None)]
        after = [slice(None), slice(None)]
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        jump[tuple(before)] |= step
        jump[tuple(after)] |= step
    return jump


def _cleaned(mesh: Any) -> Any:
    """Without specks: components much smaller than the largest go."""
    if len(mesh.triangles) == 0:
        return mesh
    labels, counts, _ = mesh.cluster_connected_triangles()
    small = np.asarray(counts) < _SMALLEST_PART * max(counts)
    mesh.remove_triangles_by_mask(small[np.asarray(labels)])
    mesh.remove_unreferenced_vertices()
    return mesh


def _save(o3d: Any, path: Path, mesh: Any) -> None:
    """Under another name until it is whole; Open3D tells the format by the suffix."""
    partial = path.with_name(f".{path.stem}.part{path.suffix.lower()}")
    try:
        if not o3d.io.write_triangle_mesh(str(partial), mesh, write_vertex_colors=True):
            raise OSError(f"Open3D could not write {path}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
