"""Finding photos in a folder and checking that each of them decodes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from PIL import Image

from recon.capture.copies import THUMB, Thumb, thumbnail
from recon.capture.digest import file_digest
from recon.capture.exif import ExifFacts, read_exif
from recon.capture.raw import GET_RAW, RAW_EXTENSIONS, can_read_raw, is_raw, read_raw
from recon.capture.types import Photo, SkippedPhoto
from recon.errors import CaptureError
from recon.formats.images import MAX_PIXELS

_HEIC = frozenset({".heic", ".heif"})
EXTENSIONS = _HEIC | RAW_EXTENSIONS | {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
MAX_FILES = 20_000
MAX_ENTRIES = 200_000
"""Files and folders of any kind that are looked through for photos."""

MAX_DEPTH = 8
MIN_SIDE = 32

# What recon itself, and tools beside it, write into a scene folder.
_NOT_PHOTOS = frozenset({"recon", "masks", "sparse", "colmap", "depth", "depths", "__MACOSX"})


@dataclass(frozen=True)
class ScanResult:
    """Usable photos and the rest, both sorted by name.

    `thumbs` holds a THUMB x THUMB grey thumbnail of each photo by name.
    """

    photos: tuple[Photo, ...]
    skipped: tuple[SkippedPhoto, ...]
    thumbs: dict[str, Thumb]


def find_photos(image_dir: Path, root: Path) -> list[Path]:
    """Files under `image_dir` that look like photos, sorted by relative name.

    Hidden files, recon's own output and whatever resolves outside `root` are left out.

    Raises:
        CaptureError: more than MAX_FILES photos, or MAX_ENTRIES files.
    """
    inside = root.resolve()
    found: list[Path] = []
    for count, path in enumerate(_walk(image_dir, inside, MAX_DEPTH), start=1):
        if path is not None:
            found.append(path)
        if len(found) > MAX_FILES or count > MAX_ENTRIES:
            raise CaptureError(
                f"more than {MAX_FILES:,} photos"
                if len(found) > MAX_FILES
                else f"more than {MAX_ENTRIES:,} files, most of which are no photos",
                where=image_dir,
                remedy="choose a few hundred photos that overlap well and put them in a folder "
                "of their own",
            )
    return sorted(found, key=lambda path: path.relative_to(image_dir).as_posix())


def _walk(folder: Path, inside: Path, depth: int) -> Iterator[Path | None]:
    """Photos in and below a folder, and None for whatever else lies there."""
    try:
        entries = sorted(islice(os.scandir(folder), MAX_ENTRIES + 1), key=lambda e: e.name)
    except OSError:
        return
    for entry in entries:
        path = Path(entry.path)
        hidden = entry.name.startswith(".")
        if not hidden and path.suffix.lower() in EXTENSIONS and entry.is_file():
            yield path if _is_inside(path, inside) else None
            continue
        yield None
        # Links to folders are not followed: they may form cycles.
        wanted = not hidden and depth > 0 and entry.name not in _NOT_PHOTOS
        if wanted and entry.is_dir(follow_symlinks=False):
            yield from _walk(path, inside, depth - 1)


def _is_inside(path: Path, inside: Path) -> bool:
    try:
        return path.resolve().is_relative_to(inside)
    except (OSError, RuntimeError):
        return False


def scan_photos(
    paths: list[Path],
    image_dir: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ScanResult:
    """Decode every photo once, in threads; skip what does not decode and exact duplicates.

    Of a camera that writes each photo twice, raw and developed, the developed one is taken.

    Args:
        paths: candidates under `image_dir`, sorted.
        image_dir: the folder that names are relative to.
        progress: called with (done, total) as photos are checked.
    """
    _register_heic()
    photos: list[Photo] = []
    skipped: list[SkippedPhoto] = []
    first_with: dict[str, str] = {}
    thumbs: dict[str, Thumb] = {}
    developed = {path.with_suffix(""): path.name for path in paths if not is_raw(path)}

    def check(path: Path) -> tuple[Photo, Thumb] | SkippedPhoto:
        name = path.relative_to(image_dir).as_posix()
        if is_raw(path) and (twin := developed.get(path.with_suffix(""))):
            return SkippedPhoto(name, f"the raw file of {twin}", copy=True)
        return _check(path, name)

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for done, result in enumerate(pool.map(check, paths), start=1):
            progress(done, len(paths))
            if isinstance(result, SkippedPhoto):
                skipped.append(result)
                continue
            photo, thumb = result
            twin = first_with.setdefault(photo.digest, photo.name)
            if twin != photo.name:
                skipped.append(SkippedPhoto(photo.name, f"the same file as {twin}", copy=True))
            else:
                photos.append(photo)
                thumbs[photo.name] = thumb
    return ScanResult(tuple(photos), tuple(skipped), thumbs)


def _register_heic() -> None:
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]
    except ImportError:
        return
    pillow_heif.register_heif_opener()


def _check(path: Path, name: str) -> tuple[Photo, Thumb] | SkippedPhoto:
    """Decode a photo at the smallest scale its format allows, which still reads every byte."""
    try:
        read = _read_raw(path) if is_raw(path) else _read(path)
    except _Refused as error:
        return SkippedPhoto(name, str(error))
    except Image.DecompressionBombError:
        return SkippedPhoto(name, f"more than {MAX_PIXELS // 1_000_000} megapixels")
    except Exception as error:  # decoders of hostile files raise almost anything
        if path.suffix.lower() in _HEIC:
            return SkippedPhoto(name, "HEIC cannot be read here; pip install 'recon-3d[heic]'")
        return SkippedPhoto(name, f"cannot be decoded ({_brief(error)})")
    try:
        digest = file_digest(path)
    except OSError as error:
        return SkippedPhoto(name, f"cannot be read ({_brief(error)})")
    facts = read.facts
    photo = Photo(
        name=name,
        path=path,
        width=read.size[0],
        height=read.size[1],
        orientation=facts.orientation,
        focal=facts.focal,
        camera=facts.camera,
        has_alpha=read.has_alpha,
        digest=digest,
        gps=facts.gps,
        up=facts.up,
    )
    return upright(photo), read.thumb


# Pillow would clip the one to black and white, and cannot convert the other.
_UNREAD_MODES = {
    "F": "floating-point pixels; save it with 8 or 16 bits",
    "LAB": "colours in LAB; save it as RGB",
}


class _Refused(Exception):
    """Why a file that decodes is not used."""


@dataclass(frozen=True)
class _Read:
    """What is kept of a decoded photo; `size` is (width, height) as stored."""

    size: tuple[int, int]
    facts: ExifFacts
    has_alpha: bool
    thumb: Thumb


def _read(path: Path) -> _Read:
    with Image.open(path) as image:
        width, height = image.size
        _require_size(width, height)
        if getattr(image, "n_frames", 1) > 1 and image.format in ("WEBP", "PNG"):
            raise _Refused("an animation, not a photo")
        if image.mode in _UNREAD_MODES:
            raise _Refused(_UNREAD_MODES[image.mode])
        facts = read_exif(image)
        has_alpha = "A" in image.getbands() or "transparency" in image.info
        # Enough pixels are left for the thumbnail to be that of the full-size photo.
        image.draft("RGB", (max(width // 8, 4 * THUMB), max(height // 8, 4 * THUMB)))
        image.load()
        return _Read((width, height), facts, has_alpha, thumbnail(image))


def _read_raw(path: Path) -> _Read:
    if not can_read_raw():
        raise _Refused(GET_RAW)
    image, size, facts = read_raw(path)
    _require_size(*size)
    return _Read(size, facts, False, thumbnail(image))


def _require_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _Refused(f"more than {MAX_PIXELS // 1_000_000} megapixels")
    if min(width, height) < MIN_SIDE:
        raise _Refused(f"only {width}x{height} pixels")


def upright(photo: Photo) -> Photo:
    """Swap width and height where the EXIF orientation lies on its side."""
    if photo.orientation < 5:
        return photo
    return replace(photo, width=photo.height, height=photo.width)


def _brief(error: Exception) -> str:
    text = str(error).split("\n")[0].strip() or type(error).__name__
    return text[:120]
