"""Masks beside photos: which pixels must not count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from PIL import Image

from recon.capture.digest import file_digest
from recon.capture.types import Photo, PhotoMask
from recon.formats.images import MAX_PIXELS

MASKS_FOLDER = "masks"
_ENDINGS = (".png", ".jpg", ".jpeg")
_ASPECT_TOLERANCE = 0.01


def attach_masks(
    root: Path, image_dir: Path, photos: Sequence[Photo], listed: Mapping[str, Path]
) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    """The photos with their masks, and what to tell of them.

    A mask is a grey picture of the photo's shape, black where pixels must not count. It is named
    by a pose file, or lies as `masks/x.png` or `masks/x.jpg.png` for `x.jpg`, beside the photos'
    folder or in it.

    Args:
        root: the scene; masks that resolve outside of it are not used.
        image_dir: the folder that photo names are relative to.
        photos: without masks.
        listed: photo name -> mask, from a pose file.
    """
    inside = root.resolve()
    folders = [f for f in (root / MASKS_FOLDER, image_dir / MASKS_FOLDER) if f.is_dir()]
    out: list[Photo] = []
    notices: list[str] = []
    for photo in photos:
        path = listed.get(photo.name) or _beside(folders, photo.name)
        if path is None or not path.resolve().is_relative_to(inside):
            out.append(photo)
            continue
        mask, why = _checked(path, photo)
        if mask is None:
            notices.append(f"the mask of {photo.name} is not used: {why}")
        out.append(replace(photo, mask=mask))
    count = sum(photo.mask is not None for photo in out)
    if count:
        notices.insert(
            0,
            f"{count} of {len(out)} photos have masks: what is black in them counts neither for "
            "the cameras nor in training nor in measuring",
        )
    return tuple(out), tuple(notices)


def _beside(folders: Sequence[Path], name: str) -> Path | None:
    pure = PurePosixPath(name)
    for folder in folders:
        for ending in _ENDINGS:
            for candidate in (pure.with_suffix(ending), pure.with_name(pure.name + ending)):
                if (path := folder / candidate).is_file():
                    return path
    return None


def _checked(path: Path, photo: Photo) -> tuple[PhotoMask | None, str]:
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                return None, "it is too large"
            turned = not _fits(image.size, photo)
            if turned and not (
                photo.orientation >= 5 and _fits((image.height, image.width), photo)
            ):
                return None, (
                    f"it is {image.width}x{image.height}, the photo {photo.width}x{photo.height}"
                )
            image.load()
        return PhotoMask(path, file_digest(path), photo.orientation if turned else 1), ""
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return None, f"it cannot be decoded ({str(error)[:80]})"


def _fits(size: tuple[int, int], photo: Photo) -> bool:
    ratio = size[0] * photo.height / (size[1] * photo.width)
    return abs(ratio - 1.0) < _ASPECT_TOLERANCE
