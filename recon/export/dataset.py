"""Photos with cameras as data sets of other programs: COLMAP, transforms.json, nerfstudio."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from recon.evaluate import picture_files
from recon.formats.colmap import ColmapModel, write_model
from recon.formats.colmap_text import write_model_text
from recon.formats.lens import Lens, PosedLens, WorldPoints
from recon.formats.points_ply import write_points_ply
from recon.formats.transforms_out import OutFrame, write_transforms
from recon.geometry import Camera, Sim3
from recon.scene import PosedScene, View

IMAGES, MASKS, POINTS_FILE = "images", "masks", "sparse_pc.ply"
Progress = Callable[[int, int], None]


def write_colmap(
    scene: PosedScene, space_from_norm: Sim3, out: Path, progress: Progress, *, text: bool
) -> None:
    """`images/` with the undistorted photos and `sparse/0/` with a model, binary or text.

    The layout is what COLMAP's undistorter leaves and splat trainers read. Points have no
    observations: those of the original photos are in the run's own `sfm/`.
    """
    files = _copy_photos(scene, out, progress)
    images: dict[str, PosedLens] = {}
    for view in scene.views:
        camera = view.camera
        lens = Lens(camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)
        images[files[view.name]] = PosedLens(
            lens, space_from_norm.move_camera(camera.cam_from_world)
        )
    points = WorldPoints(space_from_norm.apply(scene.points.xyz), scene.points.rgb)
    write = write_model_text if text else write_model
    write(out / "sparse" / "0", ColmapModel(images, points))


def write_transforms_set(
    scene: PosedScene, space_from_norm: Sim3, out: Path, progress: Progress, *, points: bool
) -> None:
    """`transforms.json` with `images/`, and the sparse cloud where `points` is true.

    The format wants +Z up, so the space is turned upright; `applied_transform` in the file
    leads there. Its scale is that of the space.
    """
    upright_from_space = Sim3(rotation=space_from_norm.rotation.T)
    upright_from_norm = upright_from_space.compose(space_from_norm)
    files = _copy_photos(scene, out, progress)
    masks = _copy_masks(scene.views, files, out)
    frames = [
        OutFrame(
            f"{IMAGES}/{files[view.name]}",
            view.camera.at(upright_from_norm.move_camera(view.camera.cam_from_world)),
            view.split == "test",
            masks.get(view.name),
        )
        for view in scene.views
    ]
    if points:
        xyz = upright_from_norm.apply(scene.points.xyz)
        write_points_ply(out / POINTS_FILE, xyz, scene.points.rgb)
    # Last: where it lies, the rest is whole.
    write_transforms(
        out / "transforms.json",
        frames,
        applied=upright_from_space,
        points_file=POINTS_FILE if points else None,
    )


def _copy_photos(scene: PosedScene, out: Path, progress: Progress) -> dict[str, str]:
    """Copies the undistorted photos; photo name -> file name in `images/`, in the same order."""
    files = picture_files(view.name for view in scene.views)
    (out / IMAGES).mkdir(parents=True, exist_ok=True)
    for done, view in enumerate(scene.views):
        progress(done, len(scene.views))
        shutil.copyfile(view.image_path, out / IMAGES / files[view.name])
    return files


def _copy_masks(views: tuple[View, ...], files: dict[str, str], out: Path) -> dict[str, str]:
    """Photo name -> path of its mask; all photos have one or none has, as nerfstudio wants."""
    if all(view.mask_path is None for view in views):
        return {}
    (out / MASKS).mkdir(parents=True, exist_ok=True)
    for view in views:
        target = out / MASKS / files[view.name]
        if view.mask_path is None:
            _white(view.camera).save(target)
        else:
            shutil.copyfile(view.mask_path, target)
    return {view.name: f"{MASKS}/{files[view.name]}" for view in views}


def _white(camera: Camera) -> Image.Image:
    return Image.fromarray(np.full((camera.height, camera.width), 255, np.uint8))
