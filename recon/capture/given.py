"""Poses that came with the photos: finding them and tying them to the photos."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from recon.capture.split import SplitChoice, from_lists
from recon.capture.types import GivenPoses, Photo, PoseKind
from recon.errors import FormatError
from recon.formats.colmap import find_model, read_model
from recon.formats.lens import Lens, PosedLens
from recon.formats.llff import read_llff
from recon.formats.metashape import is_metashape, read_metashape
from recon.formats.transforms_json import Frame, read_transforms

_COLMAP_FOLDERS = ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse")
_LLFF_IMAGES = ("images_4", "images_8", "images")
BLENDER_TRAIN, BLENDER_TEST, BLENDER_VAL = (
    f"transforms_{part}.json" for part in ("train", "test", "val")
)
LLFF_FILE = "poses_bounds.npy"
TRANSFORMS_FILE = "transforms.json"
_ASPECT_TOLERANCE = 0.01
_MOST_XML = 20


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


def llff_image_dir(root: Path) -> Path | None:
    """The image folder that `poses_bounds.npy` speaks of: images_4 first, as is usual."""
    return next((root / name for name in _LLFF_IMAGES if (root / name).is_dir()), None)


def blender_photos(root: Path) -> list[Path]:
    """Photos that a Blender scene's split files list and that exist, sorted by name."""
    files = [root / BLENDER_TRAIN, root / _blender_held_out(root)]
    names = {name for file in files for name in _blender_names(root, file)}
    return [root / name for name in sorted(names)]


def find_given(root: Path, image_dir: Path, photos: tuple[Photo, ...]) -> GivenResult | None:
    """Poses beside the photos, in order of preference: Blender, COLMAP, transforms, LLFF,
    Metashape.

    Raises:
        FormatError: a pose file is there but cannot be used.
    """
    if (root / BLENDER_TRAIN).is_file():
        return _from_blender(root, image_dir, photos)
    for folder in _COLMAP_FOLDERS:
        model = find_model(root / folder)
        if model is not None:
            return _from_colmap(model, photos)
    if (root / TRANSFORMS_FILE).is_file():
        return _from_transforms(root / TRANSFORMS_FILE, image_dir, photos)
    if (root / LLFF_FILE).is_file():
        return _from_llff(root / LLFF_FILE, photos)
    exports = [path for path in sorted(root.glob("*.xml"))[:_MOST_XML] if is_metashape(path)]
    return _from_metashape(exports[0], photos) if exports else None


class _Collector:
    """Gathers cameras by photo name and withdraws EXIF orientation where poses need it."""

    def __init__(self, photos: tuple[Photo, ...]) -> None:
        self.photos = {photo.name: photo for photo in photos}
        self.cameras: dict[str, PosedLens] = {}
        self.masks: dict[str, Path] = {}
        self.missing = 0

    def photo_for_size(self, name: str, width: int, height: int) -> Photo:
        """The photo as the poses saw it: upright, or as stored if only that fits the size."""
        photo = self.photos[name]
        if _same_shape(photo.width, photo.height, width, height):
            return photo
        if photo.orientation >= 5 and _same_shape(photo.height, photo.width, width, height):
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


def _same_shape(width: int, height: int, other_width: int, other_height: int) -> bool:
    """Equal aspect ratios, up to the rounding that resizing brings."""
    ratio = (width * other_height) / (height * other_width)
    return abs(ratio - 1.0) < max(_ASPECT_TOLERANCE, 1.5 / min(width, height, other_width))


def _from_colmap(folder: Path, photos: tuple[Photo, ...]) -> GivenResult:
    model = read_model(folder)
    collector = _Collector(photos)
    find = _NameFinder(tuple(collector.photos))
    for listed, posed in model.images.items():
        name = find(listed)
        if name is None:
            collector.missing += 1
            continue
        lens = posed.lens
        photo = collector.photo_for_size(name, lens.width, lens.height)
        collector.cameras[name] = PosedLens(_sized(lens, photo), posed.cam_from_world)
    result = collector.result("colmap", folder)
    points = model.points if len(model.points) else None
    return replace(result, given=replace(result.given, points=points))


def _from_metashape(path: Path, photos: tuple[Photo, ...]) -> GivenResult:
    collector = _Collector(photos)
    find = _NameFinder(tuple(collector.photos))
    for label, posed in read_metashape(path).items():
        name = find(label)
        if name is None:
            collector.missing += 1
            continue
        photo = collector.photo_for_size(name, posed.lens.width, posed.lens.height)
        collector.cameras[name] = PosedLens(_sized(posed.lens, photo), posed.cam_from_world)
    return collector.result("metashape", path)


def _from_transforms(path: Path, image_dir: Path, photos: tuple[Photo, ...]) -> GivenResult:
    transforms = read_transforms(path)
    collector = _Collector(photos)
    names_of: dict[str, str] = {}
    for frame in transforms.frames:
        name = _photo_of_frame(path.parent, image_dir, frame, collector.photos)
        if name is None:
            collector.missing += 1
            continue
        names_of[frame.file_path] = name
        if frame.mask_path is not None and (path.parent / frame.mask_path).is_file():
            collector.masks[name] = path.parent / frame.mask_path
        size = frame.intrinsics.stated_size
        photo = collector.photos[name]
        if size is not None:
            photo = collector.photo_for_size(name, *size)
        lens = frame.intrinsics.lens(photo.width, photo.height)
        collector.cameras[name] = PosedLens(lens, frame.cam_from_world)
    split = None
    held_out = transforms.test or transforms.val
    if held_out:
        names = [names_of[item] for item in held_out if item in names_of]
        split = from_lists(list(collector.cameras), names, f"the file lists of {path.name}")
    return collector.result("transforms", path, split=split, world_up=(0.0, 0.0, 1.0))


def _from_blender(root: Path, image_dir: Path, photos: tuple[Photo, ...]) -> GivenResult:
    collector = _Collector(photos)
    held_out: list[str] = []
    test_file = _blender_held_out(root)
    for file in (BLENDER_TRAIN, test_file):
        if not (root / file).is_file():
            continue
        for frame in read_transforms(root / file).frames:
            name = _photo_of_frame(root, image_dir, frame, collector.photos)
            if name is None:
                collector.missing += 1
                continue
            photo = collector.photos[name]
            lens = frame.intrinsics.lens(photo.width, photo.height)
            collector.cameras[name] = PosedLens(lens, frame.cam_from_world)
            if file == test_file:
                held_out.append(name)
    split = from_lists(list(collector.cameras), held_out, f"the views of {test_file}")
    return collector.result("blender", root / BLENDER_TRAIN, split=split, world_up=(0.0, 0.0, 1.0))


def _from_llff(path: Path, photos: tuple[Photo, ...]) -> GivenResult:
    poses = read_llff(path)
    if len(poses) != len(photos):
        raise FormatError(
            f"holds {len(poses)} poses for {len(photos)} usable photos",
            where=path,
            remedy="restore the missing photos, or recompute the poses (--poses sfm)",
        )
    collector = _Collector(photos)
    for photo, pose in zip(photos, poses, strict=True):
        sized = collector.photo_for_size(photo.name, pose.width, pose.height)
        lens = pose.lens(sized.width, sized.height)
        collector.cameras[photo.name] = PosedLens(lens, pose.cam_from_world)
    return collector.result("llff", path)


def _sized(lens: Lens, photo: Photo) -> Lens:
    if (lens.width, lens.height) == (photo.width, photo.height):
        return lens
    return lens.resized(photo.width, photo.height)


def _blender_held_out(root: Path) -> str:
    return BLENDER_TEST if (root / BLENDER_TEST).is_file() else BLENDER_VAL


def _blender_names(root: Path, file: Path) -> list[str]:
    if not file.is_file():
        return []
    listed = (frame.file_path for frame in read_transforms(file).frames)
    existing = (_existing(root, name) for name in listed)
    return [name for name in existing if name is not None]


def _existing(root: Path, name: str) -> str | None:
    """`name`, or `name.png` where the file leaves the ending off, if it lies in the scene."""
    inside = root.resolve()
    for candidate in (name, f"{name}.png"):
        path = root / candidate
        if path.is_file() and path.resolve().is_relative_to(inside):
            return candidate
    return None


def _photo_of_frame(
    root: Path, image_dir: Path, frame: Frame, photos: dict[str, Photo]
) -> str | None:
    existing = _existing(root, frame.file_path)
    if existing is None:
        return None
    path = root / existing
    if not path.is_relative_to(image_dir):
        return None
    name = path.relative_to(image_dir).as_posix()
    return name if name in photos else None


class _NameFinder:
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
