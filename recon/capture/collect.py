"""Tying cameras of pose files to the photos of a capture."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from recon.capture.split import SplitChoice
from recon.capture.types import GivenPoses, Photo, PoseKind
from recon.errors import FormatError
from recon.formats.lens import PosedLens

_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class GivenResult:
    """Poses tied to photos.

    Attributes:
        given: the poses.
        photos: the photos, some with their EXIF orientation withdrawn where the poses were
            made for the pixels as stored.
        split: the split that the poses' files fix, if they do.
        notices: in plain words.
        masks: photo name -> mask that the poses' file names.
    """

    given: GivenPoses
    photos: tuple[Photo, ...]
    split: SplitChoice | None = None
    notices: tuple[str, ...] = ()
    masks: dict[str, Path] = field(default_factory=dict)


class Collector:
    """Gathers cameras by photo name and withdraws EXIF orientation where poses need it."""

    def __init__(self, photos: tuple[Photo, ...]) -> None:
        self.photos = {photo.name: photo for photo in photos}
        self.cameras: dict[str, PosedLens] = {}
        self.masks: dict[str, Path] = {}
        self.missing = 0

    def photo_for_size(self, name: str, width: int, height: int) -> Photo:
        """The photo as the poses saw it: upright, or as stored if only that fits the size."""
        photo = self.photos[name]
        if same_shape(photo.width, photo.height, width, height):
            return photo
        if photo.orientation >= 5 and same_shape(photo.height, photo.width, width, height):
            photo = replace(photo, orientation=1, width=photo.height, height=photo.width)
            self.photos[name] = photo
            return photo
        raise FormatError(
            f"the poses say that {name} is {width}x{height}, but it is "
            f"{photo.width}x{photo.height}",
            remedy="use the photos that the poses were made from, or recompute the poses "
            "(--poses sfm)",
        )

    def result(
        self,
        kind: PoseKind,
        source: Path,
        *,
        split: SplitChoice | None = None,
        world_up: tuple[float, float, float] | None = None,
        notices: tuple[str, ...] = (),
    ) -> GivenResult:
        if len(self.cameras) < 3:
            raise FormatError(
                f"holds poses for {len(self.cameras)} of the {len(self.photos)} photos",
                where=source,
                remedy="check that its photo names fit the files, or recompute the poses "
                "(--poses sfm)",
            )
        if self.missing:
            notices += (f"{source.name} lists {self.missing} photos that are not there: skipped",)
        bare = len(self.photos) - len(self.cameras)
        if bare:
            notices += (f"{bare} photos have no pose in {source.name}: not used",)
        given = GivenPoses(kind, source, self.cameras, None, world_up)
        return GivenResult(given, tuple(self.photos.values()), split, notices, self.masks)


class NameFinder:
    """Finds a photo by a model's name for it: in full, else by a file name that is unique,
    with or without its ending."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = set(names)
        self.by_file: dict[str, list[str]] = defaultdict(list)
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self.by_file[PurePosixPath(name).name].append(name)
            self.by_stem[PurePosixPath(name).stem].append(name)

    def __call__(self, listed: str) -> str | None:
        listed = listed.replace("\\", "/")
        if listed in self.names:
            return listed
        file = PurePosixPath(listed).name
        same = self.by_file.get(file) or self.by_stem.get(file, [])
        return same[0] if len(same) == 1 else None


def same_shape(width: int, height: int, other_width: int, other_height: int) -> bool:
    """Equal aspect ratios, up to the rounding that resizing brings."""
    ratio = (width * other_height) / (height * other_width)
    return abs(ratio - 1.0) < max(_ASPECT_TOLERANCE, 1.5 / min(width, height, other_width))
