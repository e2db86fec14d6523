"""What a capture is: the photos as found, the split, and poses that came with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.capture.gravity import Direction
from recon.errors import CaptureError
from recon.formats.lens import PosedLens, WorldPoints
from recon.scene import Split

PoseSource = Literal["auto", "sfm", "given"]
"""Where cameras come from: "auto" takes given poses if there are any, else SfM."""

PoseKind = Literal[
    "colmap", "transforms", "blender", "llff", "bundler", "metashape", "realitycapture"
]


@dataclass(frozen=True)
class PhotoMask:
    """Which pixels of a photo count.

    Attributes:
        path: a grey picture of the photo's shape, black where pixels must not count.
        digest: SHA-256 of the file, hexadecimal.
        orientation: EXIF orientation that is to be applied to it, as to its photo.
    """

    path: Path
    digest: str
    orientation: int = 1


@dataclass(frozen=True)
class Photo:
    """A photo that decodes.

    Attributes:
        name: path relative to the capture's image folder, `/` between parts; unique.
        path: the file.
        width, height: pixels after EXIF orientation.
        orientation: EXIF orientation 1..8 that is still to be applied to the decoded pixels.
        focal: focal length in pixels of the full-size photo, from EXIF, if derivable.
        camera: EXIF make and model, "" if unknown.
        has_alpha: the file has an alpha channel.
        digest: SHA-256 of the file, hexadecimal.
        mask: which of its pixels count; None where all do.
        gps: latitude and longitude in degrees, altitude in metres; None where unknown.
        up: the unit vector against gravity in the camera's axes of the upright photo: right,
            down, into the picture; None where unknown.
    """

    name: str
    path: Path
    width: int
    height: int
    orientation: int
    focal: float | None
    camera: str
    has_alpha: bool
    digest: str
    mask: PhotoMask | None = None
    gps: tuple[float, float, float] | None = None
    up: Direction | None = None

    @property
    def content(self) -> str:
        """Changes with the file and with its mask."""
        return self.digest if self.mask is None else f"{self.digest}+{self.mask.digest}"


@dataclass(frozen=True)
class SkippedPhoto:
    """A file that looked like a photo but is not used.

    Attributes:
        name: as of `Photo`.
        reason: in plain words.
        copy: it shows the very same as another photo.
    """

    name: str
    reason: str
    copy: bool = False


@dataclass(frozen=True)
class GivenPoses:
    """Cameras that came with the photos.

    Attributes:
        kind: which format they came in.
        source: the file or folder that was read.
        cameras: photo name -> lens at the photo's size, and pose, in the given world.
        points: sparse points in the given world, None if there were none.
        world_up: (x, y, z) unit up direction that the format promises, None if it does not.
    """

    kind: PoseKind
    source: Path
    cameras: dict[str, PosedLens]
    points: WorldPoints | None = None
    world_up: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Capture:
    """A folder of photos, read once; everything later is derived from this.

    Attributes:
        root: the scene folder.
        image_dir: the folder that photo names are relative to.
        photos: usable photos sorted by name.
        skipped: files that were left out, with reasons.
        split: photo name -> "train" or "test" (held out), for every usable photo.
        split_source: what fixed the split, in plain words.
        given: poses that came with the photos, or None.
        background: colour to composite transparent pixels on; None without alpha.
        notices: things that the person should know, in plain words.
    """

    root: Path
    image_dir: Path
    photos: tuple[Photo, ...]
    skipped: tuple[SkippedPhoto, ...]
    split: dict[str, Split]
    split_source: str
    given: GivenPoses | None = None
    background: tuple[float, float, float] | None = None
    notices: tuple[str, ...] = ()

    def poses_for(self, source: PoseSource) -> GivenPoses | None:
        """The given poses that `source` asks to use, None for SfM.

        Raises:
            CaptureError: "given" was asked for and there are none.
        """
        if source == "given" and self.given is None:
            raise CaptureError(
                "there are no camera poses in this folder",
                where=self.root,
                remedy="add transforms.json, a COLMAP model in sparse/0, poses_bounds.npy, "
                "Bundler's bundle.out with list.txt, Metashape's cameras.xml or RealityCapture's "
                "CSV, or let recon compute the poses (--poses sfm)",
            )
        return None if source == "sfm" else self.given
