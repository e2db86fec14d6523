"""What an export is asked for. Standard library only, so that `recon --help` can name it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from recon.errors import OptionError
from recon.fit.options import MethodName

ExportFormat = Literal[
    "ply", "splat", "spz", "points", "colmap", "colmap-text", "transforms", "nerfstudio", "mesh"
]
Space = Literal["world", "normalised"]

EXPORTS_FOLDER = "exports"
FILES: dict[str, str] = {
    "ply": "splats.ply",
    "splat": "splats.splat",
    "spz": "splats.spz",
    "points": "points.ply",
    "mesh": "mesh.ply",
}


@dataclass(frozen=True)
class ExportJob:
    """What to write.

    Attributes:
        to: the format.
        out: a file, or a folder for data sets; None for a name of its own in the run directory.
        space: "world" is that of the given cameras or of SfM, "normalised" the one that
            training works in: centred, +Z up, cameras within about unit distance.
        method: whose model a mesh is of; None for the first that the run has.
        voxel: edge of a mesh's cells in units of the space; None for a share of its size.
    """

    to: ExportFormat
    out: Path | None = None
    space: Space = "world"
    method: MethodName | None = None
    voxel: float | None = None

    def __post_init__(self) -> None:
        if self.to not in get_args(ExportFormat):
            raise OptionError(f"there is no format {self.to!r}")
        if self.voxel is not None and not 0 < self.voxel < float("inf"):
            raise OptionError("--voxel must be a positive length")

    @property
    def is_folder(self) -> bool:
        """Whether the format is a data set of several files."""
        return self.to not in FILES
