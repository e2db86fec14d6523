"""Writing `transforms.json`, as nerfstudio and instant-ngp read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recon.formats.output import write_whole
from recon.geometry import Camera, Sim3

_INTRINSICS = ("w", "h", "fl_x", "fl_y", "cx", "cy")


@dataclass(frozen=True)
class OutFrame:
    """One photo: paths relative to the file, and its pinhole camera in the file's space."""

    file_path: str
    camera: Camera
    held_out: bool
    mask_path: str | None = None


def write_transforms(
    path: Path,
    frames: Sequence[OutFrame],
    *,
    applied: Sim3,
    points_file: str | None = None,
) -> None:
    """Write the file, atomically; the held-out photos are its test and validation split.

    Args:
        applied: leads from the original world to the space of `frames`, which has +Z up; its
            scale must be 1.
        points_file: a .ply in the space of `frames`.

    Raises:
        OSError: the disk is full or the folder cannot be written to.
    """
    stated = [_frame(frame) for frame in frames]
    # Intrinsics that all share stand once, at the top: older readers look only there.
    shared = {k: stated[0][k] for k in _INTRINSICS if all(f[k] == stated[0][k] for f in stated)}
    data: dict[str, Any] = {
        "camera_model": "PINHOLE",
        **shared,
        "applied_transform": applied.matrix()[:3].tolist(),
        **({} if points_file is None else {"ply_file_path": points_file}),
        "train_filenames": [f.file_path for f in frames if not f.held_out],
        "val_filenames": [f.file_path for f in frames if f.held_out],
        "test_filenames": [f.file_path for f in frames if f.held_out],
        "frames": [{k: v for k, v in f.items() if k not in shared} for f in stated],
    }
    write_whole(path, (json.dumps(data, indent=1) + "\n").encode())


def _frame(frame: OutFrame) -> dict[str, Any]:
    camera = frame.camera
    # OpenGL axes: y up, looking along -z.
    world_from_cam = camera.world_from_cam * np.array([1.0, -1.0, -1.0, 1.0])
    mask = {} if frame.mask_path is None else {"mask_path": frame.mask_path}
    return {
        "file_path": frame.file_path,
        **mask,
        "w": camera.width,
        "h": camera.height,
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "transform_matrix": world_from_cam.tolist(),
    }
