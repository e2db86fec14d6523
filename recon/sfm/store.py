"""`PosedScene` on disk: `scene.json`, `points.safetensors`, and the images beside them."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from recon.errors import FormatError, OptionError
from recon.geometry import Camera, Sim3
from recon.scene import PosedScene, SparsePoints, Split, View

SCENE_FILE = "scene.json"
POINTS_FILE = "points.safetensors"
VERSION = 1
_MAX_JSON = 256 << 20
_MAX_POINTS_FILE = 2 << 30
_MAX_VIEWS = 100_000
_REMEDY = "delete this folder and run again: the scene is then built anew"


def save_scene(scene: PosedScene, folder: Path) -> None:
    """Write the scene; `scene.json` last and atomically, so that it vouches for the rest.

    Raises:
        OptionError: an image lies outside `folder`: a saved scene can be moved as a whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{POINTS_FILE}.part"
    arrays = {
        "xyz": np.ascontiguousarray(scene.points.xyz, dtype=np.float32),
        "rgb": np.ascontiguousarray(scene.points.rgb, dtype=np.uint8),
    }
    save_file(arrays, partial)
    os.replace(partial, folder / POINTS_FILE)
    transform = scene.norm_from_world
    data = {
        "version": VERSION,
        "norm_from_world": {
            "scale": transform.scale,
            "rotation": transform.rotation.tolist(),
            "translation": transform.translation.tolist(),
        },
        "background": scene.background,
        "points": POINTS_FILE,
        "views": [_view_to_json(view, folder) for view in scene.views],
        "failed": [{"name": name, "reason": reason} for name, reason in scene.failed],
    }
    partial = folder / f".{SCENE_FILE}.part"
    partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
    os.replace(partial, folder / SCENE_FILE)


def load_scene(folder: Path) -> PosedScene:
    """Read what `save_scene` wrote.

    Raises:
        FormatError: missing or malformed files, values that are not usable, or paths that
            lead out of the folder.
    """
    path = folder / SCENE_FILE
    try:
        return _parse(_read_json(path), folder)
    except FormatError as error:
        if error.where is not None:
            raise
        raise FormatError(error.what, where=path, remedy=error.remedy or _REMEDY) from error
    except (OptionError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(
            f"not a scene that recon wrote ({type(error).__name__}: {error})",
            where=path,
            remedy=_REMEDY,
        ) from error


def _view_to_json(view: View, folder: Path) -> dict[str, Any]:
    camera = view.camera
    return {
        "name": view.name,
        "image": _relative(view.image_path, folder),
        "mask": None if view.mask_path is None else _relative(view.mask_path, folder),
        "split": view.split,
        "width": camera.width,
        "height": camera.height,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "cam_from_norm": camera.cam_from_world.tolist(),
    }


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.relative_to(folder).as_posix()
    except ValueError as error:
        raise OptionError(f"{path} lies outside the scene's folder {folder}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_JSON:
            raise FormatError("larger than 256 MiB")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"not readable ({error})") from error
    if not isinstance(data, dict):
        raise FormatError("the top of the file is not an object")
    if data.get("version") != VERSION:
        raise FormatError(
            f"version {data.get('version')!r} of the scene format, this recon reads {VERSION}"
        )
    return data


def _parse(data: dict[str, Any], folder: Path) -> PosedScene:
    transform = data["norm_from_world"]
    scale = _finite(transform["scale"])
    rotation, translation = _array(transform["rotation"], 3, 3), _array(transform["translation"], 3)
    if scale <= 0 or not _is_rotation(rotation):
        raise FormatError("norm_from_world is not a similarity")
    if len(data["views"]) > _MAX_VIEWS:
        raise FormatError(f"more than {_MAX_VIEWS} views")
    views = tuple(_view(item, folder) for item in data["views"])
    if len({view.name for view in views}) < len(views):
        raise FormatError("two views have the same name")
    return PosedScene(
        views=views,
        points=_load_points(_inside(data["points"], folder)),
        norm_from_world=Sim3(scale, rotation, translation),
        background=_background(data["background"]),
        failed=tuple((str(item["name"]), str(item["reason"])) for item in data["failed"]),
    )


def _view(item: dict[str, Any], folder: Path) -> View:
    pose = _array(item["cam_from_norm"], 4, 4)
    if not _is_rotation(pose[:3, :3]) or not np.allclose(pose[3], (0, 0, 0, 1)):
        raise FormatError(f"the pose of {item['name']!r} is not rigid")
    width, height = item["width"], item["height"]
    if not all(type(side) is int and 1 <= side <= 100_000 for side in (width, height)):
        raise FormatError(f"not a usable image size: {width}x{height}")
    fx, fy, cx, cy = (_finite(item[key]) for key in ("fx", "fy", "cx", "cy"))
    camera = Camera(width, height, fx, fy, cx, cy, pose)
    if item["split"] not in ("train", "test"):
        raise FormatError(f"unknown split {item['split']!r}")
    return View(
        name=str(item["name"]),
        image_path=_inside(item["image"], folder),
        camera=camera,
        split=cast(Split, item["split"]),
        mask_path=None if item["mask"] is None else _inside(item["mask"], folder),
    )


def _load_points(path: Path) -> SparsePoints:
    try:
        if path.stat().st_size > _MAX_POINTS_FILE:
            raise FormatError("larger than 2 GiB", where=path, remedy=_REMEDY)
        arrays = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise FormatError(f"not readable ({error})", where=path, remedy=_REMEDY) from error
    xyz, rgb = arrays.get("xyz"), arrays.get("rgb")
    good = (
        xyz is not None
        and rgb is not None
        and xyz.ndim == 2
        and xyz.shape[1] == 3
        and xyz.shape == rgb.shape
        and xyz.dtype == np.float32
        and rgb.dtype == np.uint8
        and bool(np.all(np.isfinite(xyz)))
    )
    if not good or xyz is None or rgb is None:
        raise FormatError("the points are not usable", where=path, remedy=_REMEDY)
    return SparsePoints(xyz, rgb)


def _inside(name: Any, folder: Path) -> Path:
    pure = PurePosixPath(name)
    if not isinstance(name, str) or not name or pure.is_absolute() or ".." in pure.parts:
        raise FormatError(f"a path leads out of the folder: {name!r}")
    return folder / name


def _finite(value: Any) -> float:
    number = float(value)
    if isinstance(value, (bool, str)) or not math.isfinite(number):
        raise FormatError(f"not a finite number: {value!r}")
    return number


def _array(value: Any, *shape: int) -> np.ndarray:
    array = np.array(value, dtype=np.float64)
    if array.shape != shape or not np.all(np.isfinite(array)):
        raise FormatError(f"expected finite numbers of shape {shape}")
    return array


def _is_rotation(matrix: np.ndarray) -> bool:
    return bool(np.abs(matrix @ matrix.T - np.eye(3)).max() < 1e-6 and np.linalg.det(matrix) > 0)


def _background(value: Any) -> tuple[float, float, float] | None:
    if value is None:
        return None
    red, green, blue = (_finite(channel) for channel in value)
    return red, green, blue
