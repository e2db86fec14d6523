"""`export_run`: from a run directory to files for other programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recon.errors import OptionError, RunDirError
from recon.export.dataset import write_colmap, write_transforms_set
from recon.export.move import moved
from recon.export.options import EXPORTS_FOLDER, FILES, ExportJob
from recon.fit.models import load_model, trained_methods
from recon.fit.parts import FitParts, default_parts
from recon.fit.rundir import RunDir
from recon.fit.storage import clear_disk_errors, make_writable_folder
from recon.formats.points_ply import write_points_ply
from recon.formats.splat_cloud import SplatCloud
from recon.formats.splat_file import write_splat_file
from recon.formats.splat_ply import write_splat_ply
from recon.formats.spz import write_spz
from recon.geometry import Sim3
from recon.scene import PosedScene
from recon.splat import SplatModel

# Axes right, down, forward (the nominal ones of splats in .ply) to right, up, back.
_FLIPPED = Sim3(rotation=np.diag([1.0, -1.0, -1.0]))


@dataclass(frozen=True)
class ExportOutcome:
    """What was written: the path, and what is worth knowing of it in plain words."""

    path: Path
    text: str


def export_run(
    path: Path,
    job: ExportJob,
    progress: Callable[[int, int], None] = lambda done, total: None,
    parts: FitParts | None = None,
) -> ExportOutcome:
    """Write a run's result for other programs.

    Raises:
        RunDirError: there is no run, it has no such model, or `job.out` cannot be written to.
        OptionError: the format cannot hold what the run has.
        BackendUnavailable: a package is missing; the message says which.
    """
    run = RunDir.find(path)
    parts = parts or default_parts()
    scene = parts.load_scene(run.path)
    out = job.out or run.path / EXPORTS_FOLDER / FILES.get(job.to, job.to)
    _require_free(out, job)
    make_writable_folder(out if job.is_folder else out.parent)
    space_from_norm = scene.norm_from_world.inverse() if job.space == "world" else Sim3()
    with clear_disk_errors(out):
        return ExportOutcome(out, _write(run, parts, scene, space_from_norm, job, out, progress))


def _require_free(out: Path, job: ExportJob) -> None:
    """Data sets go into folders of their own: stale photos among them would be taken for data."""
    if job.is_folder and out.is_dir() and any(out.iterdir()):
        raise RunDirError(
            "this folder is not empty",
            where=out,
            remedy="choose a new one with --out, or remove it first",
        )
    if not job.is_folder and out.is_dir():
        raise RunDirError("this is a folder, a file is needed", where=out, remedy="name a file")


def _write(
    run: RunDir,
    parts: FitParts,
    scene: PosedScene,
    space_from_norm: Sim3,
    job: ExportJob,
    out: Path,
    progress: Callable[[int, int], None],
) -> str:
    match job.to:
        case "ply" | "splat" | "spz":
            return _write_splats(run, parts, space_from_norm, job.to, out)
        case "points":
            write_points_ply(out, space_from_norm.apply(scene.points.xyz), scene.points.rgb)
            return f"{len(scene.points):,} points"
        case "colmap" | "colmap-text":
            text = job.to == "colmap-text"
            write_colmap(scene, space_from_norm, out, progress, text=text)
        case "transforms" | "nerfstudio":
            points = job.to == "nerfstudio"
            write_transforms_set(scene, space_from_norm, out, progress, points=points)
        case "mesh":
            from recon.export.mesh import MeshOptions, write_mesh

            method = trained_methods(run, job.method)[0]
            model = load_model(run, parts, method)
            options = MeshOptions(voxel=job.voxel)
            return write_mesh(out, model, scene, space_from_norm, options, progress)
    return f"{len(scene.views)} photos, {len(scene.points):,} points"


def _write_splats(run: RunDir, parts: FitParts, space_from_norm: Sim3, to: str, out: Path) -> str:
    model = load_model(run, parts, "splat")
    if not isinstance(model, SplatModel):
        raise OptionError(f"a {model.method} model is not made of splats")
    cloud: SplatCloud = moved(model.to_cloud(), space_from_norm)
    if to == "ply":
        write_splat_ply(out, cloud)
    elif to == "splat":
        write_splat_file(out, cloud)
    else:
        write_spz(out, moved(cloud, _FLIPPED))
    lost = ", colours without SH" if to == "splat" else ""
    return f"{len(cloud):,} splats{lost}"
