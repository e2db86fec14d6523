"""`transforms.json` of nerfstudio, instant-ngp and Blender's NeRF scenes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import FormatError
from recon.formats.lens import Lens

MAX_BYTES = 256 << 20
MAX_FRAMES = 200_000
_REMEDY = "correct the file, or remove it so that recon computes the poses itself"
_MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE")
_NUMBERS = (
    "w h fl_x fl_y cx cy camera_angle_x camera_angle_y k1 k2 k3 k4 p1 p2".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Intrinsics:
    """What a file says of a camera, all in pixels or radians; fields it leaves out are absent.

    Attributes:
        numbers: the fields among w h fl_x fl_y cx cy camera_angle_x/y k1..k4 p1 p2.
        fisheye: the camera model is OPENCV_FISHEYE.
    """

    numbers: dict[str, float]
    fisheye: bool = False

    def lens(self, width: int, height: int) -> Lens:
        """The lens on the photo's real size in pixels, which may differ from the stated one.

        Raises:
            FormatError: no focal length at all, or values that are not usable.
        """
        n = self.numbers
        stated_w, stated_h = round(n.get("w", width)), round(n.get("h", height))
        if stated_w < 1 or stated_h < 1:
            raise FormatError(f"not a usable image size: {stated_w}x{stated_h}", remedy=_REMEDY)
        if not self.fisheye and n.get("k4"):
            raise FormatError("k4 is only supported for OPENCV_FISHEYE", remedy=_REMEDY)
        fx = n.get("fl_x") or _focal(n.get("camera_angle_x"), stated_w)
        fy = n.get("fl_y") or _focal(n.get("camera_angle_y"), stated_h) or fx
        fx = fx or fy
        if fx is None or fy is None:
            raise FormatError("no focal length: neither fl_x nor camera_angle_x", remedy=_REMEDY)
        lens = Lens(
            width=stated_w,
            height=stated_h,
            fx=fx,
            fy=fy,
            cx=n.get("cx", stated_w / 2),
            cy=n.get("cy", stated_h / 2),
            k=(*(n.get(f"k{i}", 0.0) for i in range(1, 5 if self.fisheye else 4)),)
            + (0.0,) * (2 if self.fisheye else 3),
            p=(0.0, 0.0) if self.fisheye else (n.get("p1", 0.0), n.get("p2", 0.0)),
            fisheye=self.fisheye,
        )
        return lens if (stated_w, stated_h) == (width, height) else lens.resized(width, height)

    @property
    def stated_size(self) -> tuple[int, int] | None:
        """(width, height) in pixels if the file gives them."""
        if "w" in self.numbers and "h" in self.numbers:
            return round(self.numbers["w"]), round(self.numbers["h"])
        return None


@dataclass(frozen=True)
class Frame:
    """One photo of the file.

    Attributes:
        file_path: relative to the file's folder, `/` between parts, never leading out of it.
        intrinsics: the frame's own fields over the file's.
        cam_from_world: (4, 4) float64, rigid, OpenCV axes; the world is the file's, +Z up.
        mask_path: as `file_path`, of a picture that is black where pixels must not count.
    """

    file_path: str
    intrinsics: Intrinsics
    cam_from_world: NDArray[np.float64]
    mask_path: str | None = None


@dataclass(frozen=True)
class Transforms:
    """A whole file. The three name lists are file paths as in `frames`; None if absent."""

    frames: tuple[Frame, ...]
    train: tuple[str, ...] | None = None
    val: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None


def read_transforms(path: Path) -> Transforms:
    """Read and check a file. Whether the photos exist is for the caller to see.

    Raises:
        FormatError: not such a file, values that are not finite, poses that are not rigid,
            or paths that lead out of the folder.
    """
    try:
        return _parse(_load(path))
    except FormatError as error:
        if error.where is not None:
            raise
        raise FormatError(error.what, where=path, remedy=error.remedy or _REMEDY) from error


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError("larger than 256 MiB")
        data = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"not readable JSON ({error})", where=path, remedy=_REMEDY) from error
    if not isinstance(data, dict):
        raise FormatError("the top of the file is not an object", where=path, remedy=_REMEDY)
    return data


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed")


def _parse(data: dict[str, Any]) -> Transforms:
    frames = data.get("frames")
    if not isinstance(frames, list) or not frames:
        raise FormatError("there is no list of frames")
    if len(frames) > MAX_FRAMES:
        raise FormatError(f"more than {MAX_FRAMES} frames")
    return Transforms(
        frames=tuple(_frame(frame, data) for frame in frames),
        train=_names(data, "train_filenames"),
        val=_names(data, "val_filenames"),
        test=_names(data, "test_filenames"),
    )


def _frame(frame: Any, shared: dict[str, Any]) -> Frame:
    if not isinstance(frame, dict):
        raise FormatError("a frame is not an object")
    name = _inside(frame.get("file_path"))
    merged = {**{k: v for k, v in shared.items() if k != "frames"}, **frame}
    model = merged.get("camera_model", "OPENCV")
    if model not in _MODELS or merged.get("is_fisheye") not in (None, False, True):
        raise FormatError(
            f"camera model {str(model)[:40]!r} is not supported",
            remedy=f"use one of {', '.join(_MODELS)}",
        )
    fisheye = model == "OPENCV_FISHEYE" or bool(merged.get("is_fisheye"))
    numbers = {key: _number(merged[key], key) for key in _NUMBERS if merged.get(key) is not None}
    if any(numbers.get(key, 1.0) <= 0 or numbers.get(key, 1.0) > 1e6 for key in ("w", "h")):
        raise FormatError("the image size is not usable")
    mask = frame.get("mask_path")
    return Frame(
        name,
        Intrinsics(numbers, fisheye),
        _pose(frame.get("transform_matrix"), name),
        None if mask is None else _inside(mask),
    )


def _pose(rows: Any, name: str) -> NDArray[np.float64]:
    """`cam_from_world` with OpenCV axes of a camera-to-world matrix with OpenGL axes."""
    good = isinstance(rows, list) and len(rows) in (3, 4)
    if not good or not all(isinstance(row, list) and len(row) == 4 for row in rows):
        raise FormatError(f"the transform_matrix of {name!r} is not 4x4")
    world_from_cam = np.array([[_number(v, "transform_matrix") for v in row] for row in rows[:3]])
    rotation = world_from_cam[:, :3]
    # Some exporters leave a uniform scale in the matrix.
    sane = np.abs(rotation).max() < 1e6 and np.abs(world_from_cam[:, 3]).max() < 1e12
    scale = float(np.cbrt(abs(np.linalg.det(rotation)))) if sane else 0.0
    if not 1e-6 < scale < 1e6:
        raise FormatError(f"the pose of {name!r} is singular or out of range")
    rotation = rotation / scale
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > 2e-2 or np.linalg.det(rotation) < 0:
        raise FormatError(f"the pose of {name!r} is not a rotation and translation")
    u, _, vt = np.linalg.svd(rotation)
    rotation = (u @ vt) * np.array([1.0, -1.0, -1.0])
    out = np.eye(4)
    out[:3, :3] = rotation.T
    out[:3, 3] = -rotation.T @ world_from_cam[:, 3]
    return out


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FormatError(f"{key} is not a number: {str(value)[:40]!r}")
    try:
        number = float(value)
    except OverflowError as error:
        raise FormatError(f"{key} is out of range") from error
    if not math.isfinite(number):
        raise FormatError(f"{key} is not finite")
    return number


def _inside(value: Any) -> str:
    """A relative path, normalised, that stays within its folder."""
    if not isinstance(value, str) or not value or len(value) > 4096 or "\0" in value:
        raise FormatError(f"not a usable file path: {str(value)[:80]!r}")
    parts: list[str] = []
    pure = PurePosixPath(value.replace("\\", "/"))
    for part in pure.parts:
        if part == "..":
            if not parts:
                raise FormatError(f"a path leads out of the folder: {value[:80]!r}")
            parts.pop()
        else:
            parts.append(part)
    if pure.is_absolute() or not parts or ":" in parts[0]:
        raise FormatError(f"a path is not relative to the folder: {value[:80]!r}")
    return "/".join(parts)


def _names(data: dict[str, Any], key: str) -> tuple[str, ...] | None:
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_FRAMES:
        raise FormatError(f"{key} is not a list of names")
    return tuple(_inside(name) for name in value)


def _focal(angle: float | None, side: int) -> float | None:
    """Focal length in pixels of a full field-of-view angle in radians over `side` pixels."""
    if angle is None or not 1e-4 < angle < math.pi - 1e-4:
        return None
    return 0.5 * side / math.tan(0.5 * angle)
