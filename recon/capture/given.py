"""Poses that came with the photos: finding them and tying them to the photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from recon.capture.collect import Collector, GivenResult, NameFinder
from recon.capture.split import from_lists
from recon.capture.types import Photo, PoseKind
from recon.errors import FormatError
from recon.formats.bundler import read_bundler
from recon.formats.colmap import find_model, read_model
from recon.formats.lens import F64, Lens, PosedLens, WorldPoints
from recon.formats.llff import read_llff
from recon.formats.metashape import is_metashape, read_metashape
from recon.formats.realitycapture import is_realitycapture, read_realitycapture
from recon.formats.transforms_json import Frame, read_transforms

_COLMAP_FOLDERS = ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse")
_LLFF_IMAGES = ("images_4", "images_8", "images")
BLENDER_TRAIN, BLENDER_TEST, BLENDER_VAL = (
    f"transforms_{part}.json" for part in ("train", "test", "val")
)
LLFF_FILE = "poses_bounds.npy"
TRANSFORMS_FILE = "transforms.json"
_BUNDLES = ("bundle.out", "bundle/bundle.out")
_BUNDLE_LISTS = ("list.txt", "image_list.txt", "list_images.txt", "imagelist.lst")
_MOST_FILES = 20
_Z = (0.0, 0.0, 1.0)


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
    Bundler, Metashape, RealityCapture.

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
    for name in _BUNDLES:
        if (root / name).is_file():
            return _from_bundler(root / name, photos)
    for path in sorted(root.glob("*.xml"))[:_MOST_FILES]:
        if is_metashape(path):
            return _from_metashape(path, photos)
    for path in sorted(root.glob("*.csv"))[:_MOST_FILES]:
        if is_realitycapture(path):
            return _from_unsized("realitycapture", path, read_realitycapture(path), photos, up=_Z)
    return None


def _from_colmap(folder: Path, photos: tuple[Photo, ...]) -> GivenResult:
    model = read_model(folder)
    collector = Collector(photos)
    find = NameFinder(tuple(collector.photos))
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
    collector = Collector(photos)
    find = NameFinder(tuple(collector.photos))
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
    collector = Collector(photos)
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
    return collector.result("transforms", path, split=split, world_up=_Z)


def _from_blender(root: Path, image_dir: Path, photos: tuple[Photo, ...]) -> GivenResult:
    collector = Collector(photos)
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
    return collector.result("blender", root / BLENDER_TRAIN, split=split, world_up=_Z)


def _from_llff(path: Path, photos: tuple[Photo, ...]) -> GivenResult:
    poses = read_llff(path)
    if len(poses) != len(photos):
        raise FormatError(
            f"holds {len(poses)} poses for {len(photos)} usable photos",
            where=path,
            remedy="restore the missing photos, or recompute the poses (--poses sfm)",
        )
    collector = Collector(photos)
    for photo, pose in zip(photos, poses, strict=True):
        sized = collector.photo_for_size(photo.name, pose.width, pose.height)
        lens = pose.lens(sized.width, sized.height)
        collector.cameras[photo.name] = PosedLens(lens, pose.cam_from_world)
    return collector.result("llff", path)


class _UnsizedCamera(Protocol):
    """A camera of a file that does not tell how large the photos are."""

    @property
    def cam_from_world(self) -> F64: ...

    def lens(self, width: int, height: int) -> Lens: ...


def _from_bundler(path: Path, photos: tuple[Photo, ...]) -> GivenResult:
    lists = [path.parent / name for name in _BUNDLE_LISTS]
    lists += sorted(path.parent.glob("*.lst"))[:_MOST_FILES]
    listing = next((found for found in lists if found.is_file()), None)
    if listing is None:
        raise FormatError(
            "there is no list of its photos beside it",
            where=path,
            remedy=f"put a {_BUNDLE_LISTS[0]} there that names the photos in the order of the "
            "cameras, one a line, or let recon compute the cameras (--poses sfm)",
        )
    cameras, points = read_bundler(path, listing)
    return _from_unsized("bundler", path, cameras, photos, points=points)


def _from_unsized(
    kind: PoseKind,
    path: Path,
    cameras: Mapping[str, _UnsizedCamera],
    photos: tuple[Photo, ...],
    *,
    up: tuple[float, float, float] | None = None,
    points: WorldPoints | None = None,
) -> GivenResult:
    collector = Collector(photos)
    find = NameFinder(tuple(collector.photos))
    for listed, camera in cameras.items():
        name = find(listed)
        if name is None:
            collector.missing += 1
            continue
        photo = collector.photos[name]
        lens = camera.lens(photo.width, photo.height)
        collector.cameras[name] = PosedLens(lens, camera.cam_from_world)
    result = collector.result(kind, path, world_up=up)
    return replace(result, given=replace(result.given, points=points or None))


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
