"""COLMAP sparse models, binary and text: bounded readers and a binary writer.

Only what recon needs is kept: lenses, poses, and points with their error and track length.
Newer models also hold rigs and frames; with one camera per rig, which is all that recon
accepts, the three files read here say the same.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from recon.errors import FormatError, OptionError
from recon.formats.lens import (
    NO_POINTS,
    Lens,
    PosedLens,
    WorldPoints,
    colmap_from_lens,
    colmap_param_count,
    lens_from_colmap,
)
from recon.formats.rigid import all_near
from recon.geometry import quat_from_rotation, rotation_from_quat

MAX_BYTES = 4 << 30
_MODELS = [
    "SIMPLE_PINHOLE",
    "PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "OPENCV",
    "OPENCV_FISHEYE",
    "FULL_OPENCV",
    "FOV",
    "SIMPLE_RADIAL_FISHEYE",
    "RADIAL_FISHEYE",
    "THIN_PRISM_FISHEYE",
]
_REMEDY = "export the model again, or remove it so that recon computes the poses itself"


@dataclass(frozen=True)
class ColmapModel:
    """A sparse model in its own world.

    Attributes:
        images: the photo's name in the model -> lens and pose.
        points: sparse points (may be empty).
    """

    images: dict[str, PosedLens]
    points: WorldPoints = NO_POINTS


def find_model(folder: Path) -> Path | None:
    """The folder itself if it holds a COLMAP model, binary or text, else None."""
    for suffix in (".bin", ".txt"):
        if all((folder / f"{part}{suffix}").is_file() for part in ("cameras", "images")):
            return folder
    return None


def read_model(folder: Path) -> ColmapModel:
    """Read `cameras`, `images` and, if present, `points3D`, from .bin or else from .txt.

    Raises:
        FormatError: missing, truncated or malformed files, or values that are not usable.
    """
    binary = (folder / "cameras.bin").is_file() and (folder / "images.bin").is_file()
    suffix = ".bin" if binary else ".txt"
    readers = (
        (_read_cameras_bin, _read_images_bin, _read_points_bin)
        if binary
        else (_read_cameras_txt, _read_images_txt, _read_points_txt)
    )
    paths = [folder / f"{part}{suffix}" for part in ("cameras", "images", "points3D")]
    lenses = _guarded(readers[0], paths[0])
    entries = _guarded(readers[1], paths[1])
    points = _guarded(readers[2], paths[2]) if paths[2].is_file() else NO_POINTS
    images: dict[str, PosedLens] = {}
    for entry in entries:
        if entry.camera_id not in lenses:
            _fail(paths[1], f"image {entry.name!r} uses camera {entry.camera_id}, which is missing")
        if entry.name in images:
            _fail(paths[1], f"image {entry.name!r} occurs twice")
        images[entry.name] = PosedLens(lenses[entry.camera_id], entry.cam_from_world)
    return ColmapModel(images, points)


def write_model(folder: Path, model: ColmapModel) -> None:
    """Write a binary model without observations (track lengths are not kept)."""
    folder.mkdir(parents=True, exist_ok=True)
    lenses = list(dict.fromkeys(posed.lens for posed in model.images.values()))
    cameras = [struct.pack("<Q", len(lenses))]
    for number, lens in enumerate(lenses, start=1):
        spelled = colmap_from_lens(lens)
        cameras.append(
            struct.pack(
                f"<IiQQ{len(spelled.params)}d",
                number,
                _MODELS.index(spelled.model),
                lens.width,
                lens.height,
                *spelled.params,
            )
        )
    images = [struct.pack("<Q", len(model.images))]
    for number, (name, posed) in enumerate(model.images.items(), start=1):
        quat = quat_from_rotation(posed.cam_from_world[:3, :3])
        camera_id = lenses.index(posed.lens) + 1
        numbers = (*quat.tolist(), *posed.cam_from_world[:3, 3].tolist())
        images.append(struct.pack("<I7dI", number, *numbers, camera_id))
        images.append(name.encode() + b"\0" + struct.pack("<Q", 0))
    points = [struct.pack("<Q", len(model.points))]
    for number in range(len(model.points)):
        error = float(model.points.error[number])
        points.append(
            struct.pack(
                "<Q3d3BdQ",
                number + 1,
                *model.points.xyz[number].tolist(),
                *model.points.rgb[number].tolist(),
                error if np.isfinite(error) else -1.0,
                0,
            )
        )
    (folder / "cameras.bin").write_bytes(b"".join(cameras))
    (folder / "images.bin").write_bytes(b"".join(images))
    (folder / "points3D.bin").write_bytes(b"".join(points))


@dataclass(frozen=True)
class _ImageEntry:
    name: str
    camera_id: int
    cam_from_world: np.ndarray


def _fail(path: Path, what: str) -> NoReturn:
    raise FormatError(what, where=path, remedy=_REMEDY)


def _guarded(reader, path: Path):
    """Run a reader; everything that malformed input can provoke becomes a FormatError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            _fail(path, "the file is larger than 4 GiB")
        return reader(path)
    except FormatError as error:
        if error.where is not None:
            raise
        raise FormatError(error.what, where=path, remedy=error.remedy or _REMEDY) from error
    except (OSError, ValueError, OverflowError, IndexError, struct.error, OptionError) as error:
        raise FormatError(
            f"not a readable COLMAP model ({error})", where=path, remedy=_REMEDY
        ) from error


def _entry(name: str, camera_id: int, quat_wxyz: list[float], t: list[float]) -> _ImageEntry:
    if not all_near(np.array([*quat_wxyz, *t])):
        raise FormatError(f"the pose of {name!r} is not finite, or farther away than anything")
    pose = np.eye(4)
    pose[:3, :3] = rotation_from_quat(quat_wxyz)
    pose[:3, 3] = t
    if not name or len(name) > 4096:
        raise FormatError("an image has no usable name")
    return _ImageEntry(name, camera_id, pose)


def _points(rows: list[tuple[float, ...]]) -> WorldPoints:
    """`WorldPoints` of rows (x, y, z, r, g, b, error, track length)."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 8)
    if not all_near(table[:, :3]):
        raise FormatError("a point is not finite, or farther away than anything")
    if np.any((table[:, 3:6] < 0) | (table[:, 3:6] > 255)):
        raise FormatError("a point's colour is outside 0..255")
    error = np.where(table[:, 6] >= 0, table[:, 6], np.nan)
    return WorldPoints(
        table[:, :3].copy(), table[:, 3:6].astype(np.uint8), error, table[:, 7].astype(np.int64)
    )


class _Cursor:
    """Reads little-endian records from bytes and never past their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, layout: str) -> tuple:
        record = struct.Struct("<" + layout)
        if self.at + record.size > len(self.data):
            raise FormatError("the file ends in the middle of a record")
        values = record.unpack_from(self.data, self.at)
        self.at += record.size
        return values

    def count(self, smallest: int) -> int:
        """A 64-bit count of records of at least `smallest` bytes, checked against the file."""
        (number,) = self.take("Q")
        if number * smallest > len(self.data) - self.at:
            raise FormatError(f"the file claims {number} records, more than it can hold")
        return number

    def skip(self, size: int) -> None:
        self.at += size

    def name(self) -> str:
        end = self.data.find(b"\0", self.at, self.at + 4097)
        if end < 0:
            raise FormatError("an image name does not end")
        text = self.data[self.at : end].decode()
        self.at = end + 1
        return text


def _read_cameras_bin(path: Path) -> dict[int, Lens]:
    cursor = _Cursor(path.read_bytes())
    lenses: dict[int, Lens] = {}
    for _ in range(cursor.count(24 + 24)):
        camera_id, model, width, height = cursor.take("IiQQ")
        if not 0 <= model < len(_MODELS):
            raise FormatError(f"unknown camera model number {model}")
        params = cursor.take(f"{colmap_param_count(_MODELS[model])}d")
        lenses[camera_id] = lens_from_colmap(_MODELS[model], width, height, params)
    return lenses


def _read_images_bin(path: Path) -> list[_ImageEntry]:
    cursor = _Cursor(path.read_bytes())
    entries = []
    for _ in range(cursor.count(64 + 1 + 8)):
        _, *numbers, camera_id = cursor.take("I7dI")
        name = cursor.name()
        cursor.skip(24 * cursor.count(24))
        entries.append(_entry(name, camera_id, numbers[:4], numbers[4:]))
    return entries


def _read_points_bin(path: Path) -> WorldPoints:
    cursor = _Cursor(path.read_bytes())
    rows = []
    for _ in range(cursor.count(51)):
        _, *values = cursor.take("Q3d3Bd")
        track = cursor.count(8)
        cursor.skip(8 * track)
        rows.append((*values, track))
    return _points(rows)


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [line.strip() for line in text.split("\n") if not line.lstrip().startswith("#")]


def _read_cameras_txt(path: Path) -> dict[int, Lens]:
    lenses: dict[int, Lens] = {}
    for line in filter(None, _lines(path)):
        camera_id, model, width, height, *params = line.split()
        values = [float(value) for value in params]
        lenses[int(camera_id)] = lens_from_colmap(model, int(width), int(height), values)
    return lenses


def _read_images_txt(path: Path) -> list[_ImageEntry]:
    lines = _lines(path)
    while lines and not lines[-1]:
        lines.pop()
    entries = []
    # Every second line lists the observations; it may be empty, so empty lines count.
    for line in lines[::2]:
        fields = line.split(maxsplit=9)
        if len(fields) != 10:
            raise FormatError(f"not an image line: {line[:80]!r}")
        numbers = [float(value) for value in fields[1:8]]
        entries.append(_entry(fields[9], int(fields[8]), numbers[:4], numbers[4:]))
    return entries


def _read_points_txt(path: Path) -> WorldPoints:
    rows = []
    for line in filter(None, _lines(path)):
        fields = line.split()
        if len(fields) < 8:
            raise FormatError(f"not a point line: {line[:80]!r}")
        rows.append((*(float(value) for value in fields[1:8]), (len(fields) - 8) // 2))
    return _points(rows)
