"""`load_capture`: a folder on disk to a `Capture`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from recon.capture.collect import GivenResult
from recon.capture.copies import drop_copies
from recon.capture.given import (
    BLENDER_TRAIN,
    LLFF_FILE,
    blender_photos,
    find_given,
    llff_image_dir,
)
from recon.capture.masks import attach_masks
from recon.capture.raw import GET_RAW
from recon.capture.scan import ScanResult, find_photos, scan_photos
from recon.capture.split import every_eighth
from recon.capture.types import Capture
from recon.capture.unfold import unfold
from recon.container import VIDEO_SUFFIXES
from recon.errors import CaptureError

MIN_PHOTOS = 3
_MANY_SKIPPED = 10
_WHITE = (1.0, 1.0, 1.0)


def load_capture(
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    ignore_poses: bool = False,
) -> Capture:
    """Find and check the photos of a scene, fix the split, read poses that came with them.

    Args:
        folder: the scene: photos in `images/` or directly in it, pose files beside them; or
            a video or a zip, which `unfold` makes a folder of.
        progress: called with (done, total) while photos are checked.
        ignore_poses: do not even read pose files, for the case that they are broken. The
            split that they fix is then not used either.

    Raises:
        CaptureError: no such folder, or fewer than three usable photos.
        FormatError: pose files are there but cannot be used.
    """
    folder, told = unfold(folder, progress)
    if not folder.is_dir():
        raise CaptureError(
            "there is no such folder",
            where=folder,
            remedy="give the folder that holds your photos, or a subfolder images/ with them",
        )
    image_dir = _image_dir(folder)
    listed = not ignore_poses and (folder / BLENDER_TRAIN).is_file()
    paths = blender_photos(folder) if listed else find_photos(image_dir, folder)
    scan = scan_photos(paths, image_dir, progress)
    _require_enough(folder, image_dir, len(paths), scan)
    found = None if ignore_poses else find_given(folder, image_dir, scan.photos)
    if found is None:
        kept, copies = drop_copies(scan.photos, scan.thumbs)
        scan = replace(scan, photos=kept, skipped=(*scan.skipped, *copies))
        _require_enough(folder, image_dir, len(paths), scan)
    photos = scan.photos if found is None else found.photos
    photos, mask_notices = attach_masks(
        folder, image_dir, photos, {} if found is None else found.masks
    )
    split = found.split if found is not None and found.split is not None else None
    choice = split or every_eighth([photo.name for photo in photos])
    alpha = any(photo.has_alpha for photo in photos)
    return Capture(
        root=folder,
        image_dir=image_dir,
        photos=photos,
        skipped=scan.skipped,
        split=choice.split | _late_names(photos, choice.split),
        split_source=choice.source,
        given=None if found is None else found.given,
        background=_WHITE if alpha else None,
        notices=told + _notices(scan, found) + mask_notices,
    )


def _image_dir(folder: Path) -> Path:
    if (folder / BLENDER_TRAIN).is_file():
        return folder
    if (folder / LLFF_FILE).is_file():
        return llff_image_dir(folder) or folder
    return folder / "images" if (folder / "images").is_dir() else folder


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _late_names(photos, split) -> dict:
    """Photos that a given split does not name are trained on."""
    return {photo.name: "train" for photo in photos if photo.name not in split}


def _require_enough(folder: Path, image_dir: Path, candidates: int, scan: ScanResult) -> None:
    if len(scan.photos) >= MIN_PHOTOS:
        return
    raw = [item for item in scan.skipped if item.reason == GET_RAW]
    if len(scan.photos) + len(raw) >= MIN_PHOTOS:
        raise CaptureError(
            f"{len(raw)} of the {candidates} photos in this folder are raw files "
            f"({raw[0].name}, ...), which are not read here",
            where=image_dir,
            remedy="pip install 'recon-3d[raw]'; or develop them all alike in your photo program "
            "and export JPEG or TIFF",
        )
    if candidates == 0 and (videos := sorted(filter(_is_video, image_dir.iterdir()))):
        raise CaptureError(
            "there are no photos in this folder, but a video",
            where=image_dir,
            remedy=f"give the video itself: {videos[0]}",
        )
    if candidates == 0:
        raise CaptureError(
            "there are no photos in this folder",
            where=image_dir,
            remedy="put JPEG, PNG, WebP, TIFF, HEIC or raw files in it, or in a subfolder images/",
        )
    reasons = "".join(f"\n  {item.name}: {item.reason}" for item in scan.skipped[:10])
    usable = len(scan.photos)
    raise CaptureError(
        f"there {'is only 1 photo' if usable == 1 else f'are only {usable} photos'}; at least "
        f"{MIN_PHOTOS} are needed"
        if not scan.skipped
        else f"only {usable} of {candidates} photos can be used; at least {MIN_PHOTOS} are needed"
        + reasons,
        where=folder,
        remedy="take 30 to 100 photos, each from another place, in steps so small that neighbours "
        "share two thirds of what they show",
    )


def _notices(scan: ScanResult, found: GivenResult | None) -> tuple[str, ...]:
    skipped = tuple(f"skipped {item.name}: {item.reason}" for item in scan.skipped)
    if len(skipped) > _MANY_SKIPPED:
        skipped = (*skipped[:_MANY_SKIPPED], f"and {len(skipped) - _MANY_SKIPPED} more")
    return skipped + (found.notices if found is not None else ())
