"""Sub-commands and their options, as people type them. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro import conf

from recon.errors import OptionError
from recon.export.options import ExportFormat, Space
from recon.fit.options import (
    DEFAULT_RESOLUTION,
    Device,
    FitOptions,
    Method,
    MethodName,
    Poses,
    Preset,
    parse_duration,
)

DEFAULT_PORT = 8080

_PRESET_INT = conf.arg(metavar="INT", help_behavior_hint="(default: the preset's)")
_THREADS = conf.arg(metavar="INT", help_behavior_hint="(default: all that recon may use)")

Where = Annotated[Path, conf.Positional, conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Fit:
    """Photos to an explorable, evaluated scene of Gaussian splats, a NeRF, or both.

    Finds the cameras (or takes those that lie beside the photos), trains on all photos but every
    eighth, measures how well those are predicted, and writes everything to SCENE/recon. Typed
    again after an interruption, the same command goes on where it ended.
    """

    scene: Annotated[Path, conf.Positional, conf.arg(metavar="SCENE")]
    """Folder of photos: SCENE/images/* or directly in it. Camera poses that lie beside them
    (transforms.json, a COLMAP model, poses_bounds.npy) are found and used."""

    preset: Preset = "standard"
    """Effort: draft for a first look, standard for daily use, high for the best picture."""

    steps: Annotated[int | None, _PRESET_INT] = None
    """Training steps; not with --method both."""

    max_splats: Annotated[int | None, _PRESET_INT] = None
    """Ceiling on the number of splats."""

    time_budget: Annotated[
        str | None, conf.arg(metavar="TIME", help_behavior_hint="(default: no limit)")
    ] = None
    """Finish training within this time, such as 90s, 5m or 1h; schedules are planned for it. With
    --method both each method has this time."""

    resolution: int = DEFAULT_RESOLUTION
    """Longest side, in pixels, of the photos that are trained and evaluated on."""

    device: Device = "auto"
    """Where training runs."""

    poses: Poses = "auto"
    """Cameras: sfm computes them, given takes those beside the photos, auto prefers given."""

    method: Method = "splat"
    """What is trained: splats, a NeRF, or both, one after the other from the same cameras. Methods
    may be added to a run later: those that are there are kept."""

    scale: Annotated[str | None, conf.arg(metavar="A,B=M", help_behavior_hint="(default: GPS)")] = (
        None
    )
    """Metres between the cameras of two photos, a.jpg,b.jpg=2.5: gives the scene its size."""

    seed: int = 0
    """Of everything that is random."""

    threads: Annotated[int | None, _THREADS] = None
    """CPU threads."""

    out: Annotated[
        Path | None, conf.arg(metavar="DIR", help_behavior_hint="(default: SCENE/recon)")
    ] = None
    """Run directory."""

    resume: bool = True
    """Go on with an unfinished run of the same photos and settings; --no-resume trains anew."""

    dry_run: Annotated[bool, conf.FlagCreatePairsOff] = False
    """Say what would be done, with estimates of time, memory and disk, and do nothing."""

    view: Annotated[bool, conf.FlagCreatePairsOff] = False
    """Open the viewer while training, and show the model as it grows."""

    port: int = DEFAULT_PORT
    """Of the viewer, with --view."""

    json: Annotated[bool, conf.FlagCreatePairsOff] = False
    """Print the summary as JSON, alone on standard output."""

    def options(self) -> FitOptions:
        """Raises `OptionError` where a value makes no sense."""
        return FitOptions(
            scene=self.scene,
            out=self.out,
            method=self.method,
            preset=self.preset,
            steps=self.steps,
            max_splats=self.max_splats,
            time_budget=None if self.time_budget is None else parse_duration(self.time_budget),
            resolution=self.resolution,
            device=self.device,
            poses=self.poses,
            scale=self.scale,
            seed=self.seed,
            threads=self.threads,
            resume=self.resume,
        )


@dataclass(frozen=True)
class Check:
    """Tell what is right and wrong with a capture, and what to do about it, before the long run.

    Judges sharpness and exposure, finds draft cameras, and says which photos have none and why,
    whether the model hangs together, and what a run would take. What it computes, fit uses.
    The exit code is 0 for a good capture, 10 with reservations, 11 where it will not work.
    """

    scene: Annotated[Path, conf.Positional, conf.arg(metavar="SCENE")]
    """Folder of photos, as for fit."""

    poses: Poses = "auto"
    """Cameras: sfm computes them, given takes those beside the photos, auto prefers given."""

    threads: Annotated[int | None, _THREADS] = None
    """CPU threads."""

    out: Annotated[
        Path | None, conf.arg(metavar="DIR", help_behavior_hint="(default: SCENE/recon)")
    ] = None
    """Run directory, where what was found is kept."""

    all: Annotated[bool, conf.FlagCreatePairsOff] = False
    """List every photo, not only those that stand out."""

    json: Annotated[bool, conf.FlagCreatePairsOff] = False
    """Print the diagnosis as JSON, alone on standard output."""


@dataclass(frozen=True)
class View:
    """Walk through a run in the browser: the scene, its cameras, truth beside render."""

    path: Where
    """Scene or run directory."""

    host: str = "127.0.0.1"
    """Address to listen on. Anybody who reaches it can look: keep 127.0.0.1 unless you mean it."""

    port: int = DEFAULT_PORT
    """Port to listen on; when it is taken, the next free one."""

    open: Annotated[bool, conf.FlagCreatePairsOff] = False
    """Open the page in the browser of this machine."""

    readonly: Annotated[bool, conf.FlagCreatePairsOff] = False
    """For demonstrations: nothing can be changed from the page."""


@dataclass(frozen=True)
class Eval:
    """Measure all methods of a run again: PSNR and SSIM into eval.json, renders, the report."""

    path: Where
    """Scene or run directory."""

    json: Annotated[bool, conf.FlagCreatePairsOff] = False
    """Print eval.json, alone on standard output."""


@dataclass(frozen=True)
class Render:
    """Render a run: held-out or training views, or a flight around the scene; PNG or mp4."""

    path: Where
    """Scene or run directory."""

    out: Annotated[Path, conf.arg(metavar="PATH")]
    """A folder for PNG files, or a file that ends in .mp4."""

    views: Literal["test", "train", "all", "orbit"] = "orbit"
    """Whose cameras: held-out photos, training photos, all, or a flight around the scene."""

    size: Annotated[
        str | None, conf.arg(metavar="WxH", help_behavior_hint="(default: that of the photos)")
    ] = None
    """Size of the pictures, such as 1280x720."""

    frames: int = 120
    """Pictures of the flight."""

    fps: int = 30
    """Pictures a second of an mp4."""

    method: Annotated[
        MethodName | None, conf.arg(help_behavior_hint="(default: all that the run has)")
    ] = None
    """Whose model. Of several, an mp4 shows them side by side, PNG files go to a folder each."""

    def parsed_size(self) -> tuple[int, int] | None:
        """Width and height. Raises `OptionError` where `size` is none."""
        if self.size is None:
            return None
        width, _, height = self.size.lower().partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise OptionError(f"this is no size: {self.size!r}", remedy="write it like 1280x720")
        return int(width), int(height)


@dataclass(frozen=True)
class Export:
    """Write a run for other programs, in the world of its cameras."""

    path: Where
    """Scene or run directory."""

    to: ExportFormat
    """ply, splat, spz: the splats (spz is small; splat has no colour that depends on direction).
    points: the sparse cloud. mesh: a triangle mesh with vertex colours (.ply, .obj, .glb).
    colmap, colmap-text: undistorted photos and a COLMAP model. transforms: photos and
    transforms.json. nerfstudio: the same with the sparse cloud, for ns-train."""

    out: Annotated[
        Path | None, conf.arg(metavar="PATH", help_behavior_hint="(default: in RUN/exports)")
    ] = None
    """A file; a new folder for colmap, transforms and nerfstudio."""

    space: Space = "world"
    """world: that of the given cameras, or of SfM; normalised: centred, +Z up, unit scale."""

    method: Annotated[
        MethodName | None, conf.arg(help_behavior_hint="(default: the run's first)")
    ] = None
    """Whose model becomes a mesh."""

    voxel: Annotated[
        float | None, conf.arg(metavar="LENGTH", help_behavior_hint="(default: from the scene)")
    ] = None
    """Edge of the cells of a mesh, in units of the space."""


@dataclass(frozen=True)
class Doctor:
    """Check this machine: what is installed, which backends work, why others do not."""

    json: Annotated[bool, conf.FlagCreatePairsOff] = False
    """Print the findings as JSON, alone on standard output."""


Command = (
    Annotated[Fit, conf.subcommand("fit", description="Make a scene of a folder of photos.")]
    | Annotated[Check, conf.subcommand("check", description="Judge a capture before the run.")]
    | Annotated[View, conf.subcommand("view", description="Walk through a scene in the browser.")]
    | Annotated[Eval, conf.subcommand("eval", description="Measure held-out quality again.")]
    | Annotated[Render, conf.subcommand("render", description="Render pictures or a video.")]
    | Annotated[Export, conf.subcommand("export", description="Write files for other programs.")]
    | Annotated[Doctor, conf.subcommand("doctor", description="Check this machine.")]
)
