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
from recon.evaluate import to_rgb8
from recon.geometry import Camera, Sim3
from recon.model import RadianceModel, RenderOptions
from recon.scene import PosedScene

SUFFIXES = (".ply", ".obj", ".glb")
# The voxel follows from the scene: so many of them across what the cameras look at.
_VOXELS_ACROSS = 256
_TRUNCATION = 4.0
# Depths are rendered at most this large: finer than the voxels they are of no use.
_LONG_SIDE = 720
# Where a ray does not surely end on something, its depth means nothing.
_MIN_ALPHA = 0.6
# Farther away than so many median depths nothing is fused: the background of a capture.
_REACH = 3.0
# Components with fewer triangles than this share of the largest are floaters.
_SMALLEST_PART = 0.02


@dataclass(frozen=True)
class MeshOptions:
    """How to mesh.

    Attributes:
        voxel: edge of a cell in units of the target space; None for a 256th of the median depth.
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
    volume = o3d.pipelines.integration.ScalableTSDFVolume(
        voxel_length=voxel,
        sdf_trunc=_TRUNCATION * voxel,
        color_type=o3d.pipelines.integration.TSDFVolumeColorType.RGB8,
    )
    for done, camera in enumerate(cameras):
        progress(done, len(cameras))
        _integrate(o3d, volume, model, camera, background, reach=_REACH * typical)
    mesh = _cleaned(volume.extract_triangle_mesh())
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
    depths: list[NDArray[np.float32]] = []
    for camera in cameras[:: max(1, len(cameras) // 8)]:
        depth = _sure_depth(model.render(camera.fit_long_side(200), options))[0]
        depths.append(depth[depth > 0])
    values = np.concatenate(depths) if depths else np.zeros(0, np.float32)
    if len(values) == 0:
        raise TrainingError(
            "the model shows no surface to its cameras", remedy="train longer, then export again"
        )
    return float(np.median(values))


def _sure_depth(output: Any) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Depth (0 where it means nothing) and colours of a render."""
    if output.depth is None:
        raise OptionError("this model renders no depth, of which a mesh is made")
    depth = np.where(output.alpha > _MIN_ALPHA, output.depth, 0.0).astype(np.float32)
    return depth, to_rgb8(output.color)


def _integrate(
    o3d: Any,
    volume: Any,
    model: RadianceModel,
    camera: Camera,
    options: RenderOptions,
    reach: float,
) -> None:
    depth, rgb = _sure_depth(model.render(camera, options))
    depth[_at_edges(depth)] = 0.0
    image = o3d.geometry.RGBDImage.create_from_color_and_depth(
        o3d.geometry.Image(np.ascontiguousarray(rgb)),
        o3d.geometry.Image(np.ascontiguousarray(depth)),
        depth_scale=1.0,
        depth_trunc=reach,
        convert_rgb_to_intensity=False,
    )
    # Open3D's pixel centres lie at whole numbers, ours at halves.
    lens = o3d.camera.PinholeCameraIntrinsic(
        camera.width, camera.height, camera.fx, camera.fy, camera.cx - 0.5, camera.cy - 0.5
    )
    volume.integrate(image, lens, camera.cam_from_world)


def _at_edges(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where depth jumps by more than a tenth: the expected depth there lies in mid-air."""
    jump = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        step = np.abs(np.diff(depth, axis=axis)) > 0.1 * np.minimum(
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
