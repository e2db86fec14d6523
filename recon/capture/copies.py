"""Photos that show the very same: saved again, sent by messenger, or taken without moving.

They add nothing to a reconstruction, and a held-out photo with a twin among the training photos
would be no test. Mirror images are worse: they make a mirrored scene beside the true one. Copies
that are byte for byte alike are found by their digest instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.capture.types import Photo, SkippedPhoto

THUMB = 32
Thumb = NDArray[np.float32]

_SAME = 0.8
"""Root mean square difference of two thumbnails, in grey levels, up to which they are copies.
JPEG at qualities 70 to 89 gave up to 0.45 on fox; the most alike of lego's different views 1.2."""

_SAME_SHARE = 0.02
"""The same, as a share of the thumbnail's own contrast: blank pictures are no copies."""


def thumbnail(image: Image.Image) -> Thumb:
    """(THUMB * THUMB,) grey levels of a decoded image, averaged with overlap.

    Pillow's box filter counts whole pixels: thumbnails of a copy of another size, or of a JPEG
    decoded at another scale, would differ by the pixels at the seams.
    """
    small = image.convert("L").resize((THUMB, THUMB), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.float32).reshape(-1)


def drop_copies(
    photos: Sequence[Photo], thumbs: Mapping[str, Thumb]
) -> tuple[tuple[Photo, ...], tuple[SkippedPhoto, ...]]:
    """The photos to keep, and the copies. Of several alike, the largest stays, then the first.

    Args:
        photos: in the order of their names.
        thumbs: photo name -> thumbnail.
    """
    ranked = sorted(photos, key=lambda photo: -photo.width * photo.height)
    kept: list[Photo] = []
    copies: dict[str, SkippedPhoto] = {}
    # Alike thumbnails have alike means: only those within _SAME of each other are compared.
    by_mean: dict[int, list[Photo]] = {}
    for photo in ranked:
        thumb = thumbs[photo.name]
        bucket = int(thumb.mean() / _SAME)
        near = [other for b in (bucket - 1, bucket, bucket + 1) for other in by_mean.get(b, ())]
        flipped = thumb.reshape(THUMB, THUMB)[:, ::-1].reshape(-1)
        for other in near:
            if _alike(thumb, thumbs[other.name]):
                reason = f"shows the very same as {other.name}"
            elif _alike(flipped, thumbs[other.name]):
                reason = f"is the mirror image of {other.name}"
            else:
                continue
            copies[photo.name] = SkippedPhoto(photo.name, reason, copy=True)
            break
        else:
            kept.append(photo)
            by_mean.setdefault(bucket, []).append(photo)
    names = {photo.name for photo in kept}
    return (
        tuple(photo for photo in photos if photo.name in names),
        tuple(copies[photo.name] for photo in photos if photo.name in copies),
    )


def _alike(one: Thumb, other: Thumb) -> bool:
    difference = float(np.sqrt(np.mean(np.square(one - other))))
    return difference <= min(_SAME, _SAME_SHARE * float(one.std()))
