"""Writing COLMAP sparse models as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.formats.colmap import ColmapModel
from recon.formats.lens import colmap_from_lens
from recon.formats.output import write_whole
from recon.geometry import quat_from_rotation


def write_model_text(folder: Path, model: ColmapModel) -> None:
    """Write `cameras.txt`, `images.txt` and `points3D.txt`, without observations.

    Raises:
        OSError: the disk is full or the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lenses = list(dict.fromkeys(posed.lens for posed in model.images.values()))
    cameras = []
    for number, lens in enumerate(lenses, start=1):
        spelled = colmap_from_lens(lens)
        numbers = " ".join(map(repr, spelled.params))
        cameras.append(f"{number} {spelled.model} {lens.width} {lens.height} {numbers}")
    images = []
    for number, (name, posed) in enumerate(model.images.items(), start=1):
        quat = quat_from_rotation(posed.cam_from_world[:3, :3])
        numbers = " ".join(map(repr, [*quat.tolist(), *posed.cam_from_world[:3, 3].tolist()]))
        # The line of observations is empty, and must be there.
        images.append(f"{number} {numbers} {lenses.index(posed.lens) + 1} {name}\n")
    points = []
    for number in range(len(model.points)):
        xyz, rgb = model.points.xyz[number].tolist(), model.points.rgb[number].tolist()
        error = float(model.points.error[number])
        numbers = " ".join([*map(repr, xyz), *map(str, rgb)])
        points.append(f"{number + 1} {numbers} {error if np.isfinite(error) else -1.0}")
    _write(folder / "cameras.txt", "id, model, width, height, parameters", cameras)
    _write(folder / "images.txt", "id, qw, qx, qy, qz, tx, ty, tz, camera, name", images)
    _write(folder / "points3D.txt", "id, x, y, z, r, g, b, error", points)


def _write(path: Path, columns: str, lines: list[str]) -> None:
    write_whole(path, "\n".join([f"# {columns}", *lines, ""]).encode())
