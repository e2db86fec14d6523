"""The run's result for other programs as one download: what `recon export` writes."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from recon.export.options import FILES, ExportFormat, ExportJob, Space

EXPORTS: dict[str, ExportFormat] = {
    "Splats (.ply)": "ply",
    "Splats, small (.spz)": "spz",
    "Splats, no SH (.splat)": "splat",
    "Sparse points (.ply)": "points",
    "Mesh (.ply)": "mesh",
    "COLMAP and photos (.zip)": "colmap",
    "transforms.json, photos (.zip)": "transforms",
    "nerfstudio (.zip)": "nerfstudio",
}
SPACES: dict[str, Space] = {"World of the cameras": "world", "Normalised": "normalised"}


def export_file(
    run_dir: Path, to: ExportFormat, space: Space, progress: Callable[[int, int], None]
) -> tuple[str, bytes]:
    """(ending, content) of one file; data sets of several files are zipped.

    Raises:
        ReconError: as `recon.export.export_run`.
    """
    from recon.export import export_run  # late: it needs torch, and the page must stand before

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / FILES.get(to, to)
        export_run(run_dir, ExportJob(to, out, space), progress)
        if out.is_dir():
            return "zip", _zipped(out)
        return out.suffix.lstrip("."), out.read_bytes()


def _zipped(folder: Path) -> bytes:
    """Photos are compressed already: stored as they are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
    return file.getvalue()
