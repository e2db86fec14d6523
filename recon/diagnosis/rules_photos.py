"""Findings that a look at the photos alone gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from statistics import median

import numpy as np

from recon.capture.types import Capture
from recon.diagnosis.types import Finding
from recon.diagnosis.words import count_photos, some
from recon.sfm.context import Evidence
from recon.sfm.reasons import FEW_KEYPOINTS, blurred, typical_blur

FEW_PHOTOS = 15
_SOFT_CAPTURE = 2.0
_STOPS = 1.5
_CLIPPED = 0.25
_MANY_CLIPPED = 0.2
_SMALL = 400_000
_SKIPPED_SHARE = 0.1


def photo_findings(capture: Capture, evidence: Evidence) -> Iterator[Finding]:
    """Number, size, kind, sharpness, exposure and detail."""
    yield from _skipped(capture)
    yield from _number_and_size(capture)
    yield from _blur(evidence)
    yield from _exposure(evidence)
    yield from _detail(evidence)


def _skipped(capture: Capture) -> Iterator[Finding]:
    copies = [item for item in capture.skipped if item.copy]
    broken = [item for item in capture.skipped if not item.copy]
    total = len(capture.photos) + len(capture.skipped)
    if copies:
        yield Finding(
            "copies",
            "warning" if len(copies) > _SKIPPED_SHARE * total else "note",
            f"{count_photos(len(copies))} {_are(copies)} the same picture as another, or its "
            f"mirror image, and {_are(copies)} left out ({some([item.name for item in copies])})",
            "every photo must be taken from another place: copies add nothing",
            tuple(item.name for item in copies),
        )
    if broken:
        first = broken[0]
        yield Finding(
            "unreadable",
            "warning" if len(broken) > _SKIPPED_SHARE * total else "note",
            f"{count_photos(len(broken), 'file')} cannot be used ({first.name}: {first.reason})",
            "copy them again from the camera, or remove them",
            tuple(item.name for item in broken),
        )


def _are(items: list) -> str:
    return "is" if len(items) == 1 else "are"


def _number_and_size(capture: Capture) -> Iterator[Finding]:
    count = len(capture.photos)
    if count < FEW_PHOTOS:
        yield Finding(
            "few",
            "warning",
            f"{count_photos(count)} {'are' if count > 1 else 'is'} few",
            "30 to 100 that overlap by two thirds do well",
        )
    typical = median(photo.width * photo.height for photo in capture.photos)
    if typical < _SMALL:
        yield Finding(
            "small",
            "note",
            f"the photos are small ({typical / 1e6:.1f} megapixels)",
            "use the originals where there are larger ones: messengers shrink what they send",
        )
    kinds = Counter(
        (photo.camera, max(photo.width, photo.height), round(photo.focal or 0.0))
        for photo in capture.photos
    )
    if len(kinds) > max(3, count // 4) and capture.given is None:
        yield Finding(
            "cameras",
            "warning",
            f"the photos come from {len(kinds)} different cameras, sizes or zooms",
            "one camera without zooming gives the best cameras; do not crop photos",
        )


def _blur(evidence: Evidence) -> Iterator[Finding]:
    typical = typical_blur(evidence)
    if typical > _SOFT_CAPTURE:
        yield Finding(
            "soft",
            "fault" if typical > 2 * _SOFT_CAPTURE else "warning",
            f"all photos are blurred: edges are {typical:.1f} pixels soft in a picture of 1000 "
            "pixels, sharp photos have under 1",
            "hold still at each photo, use more light or a shorter exposure, wipe the lens and "
            "let it focus",
        )
        return
    names = blurred(evidence)
    if names:
        yield Finding(
            "blur",
            "warning" if len(names) > 0.1 * len(evidence.looks) else "note",
            f"{count_photos(len(names))} {_are(list(names))} blurred ({some(names)})",
            "remove them where others show the same, or take them again, holding still",
            names,
        )


def _exposure(evidence: Evidence) -> Iterator[Finding]:
    looks = evidence.looks
    if len(looks) < 3:
        return
    low, high = np.percentile([look.brightness for look in looks.values()], [5, 95])
    if high - low > _STOPS:
        middle = median(look.brightness for look in looks.values())
        far = [n for n, look in looks.items() if abs(look.brightness - middle) > _STOPS / 2]
        yield Finding(
            "exposure",
            "warning",
            f"brightness varies by {high - low:.1f} stops between the photos "
            f"(furthest off: {some(far)})",
            "lock exposure and white balance (on a phone: press long on the scene), and keep the "
            "sun or a lamp out of the picture",
            tuple(far),
        )
    for what, names in (
        ("too dark", [n for n, look in looks.items() if look.dark > _CLIPPED]),
        ("overexposed", [n for n, look in looks.items() if look.bright > _CLIPPED]),
    ):
        if len(names) > _MANY_CLIPPED * len(looks):
            yield Finding(
                "clipped",
                "note",
                f"{count_photos(len(names))} are {what} in over a quarter of their area "
                f"({some(names)})",
                "what is black or white shows no detail; soft light, such as a cloudy sky, helps",
                tuple(names),
            )


def _detail(evidence: Evidence) -> Iterator[Finding]:
    counts = [facts.keypoints for facts in evidence.photos.values()]
    if counts and median(counts) < FEW_KEYPOINTS and not typical_blur(evidence) > _SOFT_CAPTURE:
        yield Finding(
            "detail",
            "fault" if median(counts) < FEW_KEYPOINTS / 3 else "warning",
            f"the photos show little detail: {median(counts):.0f} features in a typical one",
            "put a patterned cloth or a newspaper under and behind the object; glass, mirrors and "
            "plain walls cannot be reconstructed",
        )


def stops_of(evidence: Evidence) -> dict[str, float]:
    """Photo name -> brightness against the median photo, in stops."""
    if not evidence.looks:
        return {}
    middle = median(look.brightness for look in evidence.looks.values())
    return {name: look.brightness - middle for name, look in evidence.looks.items()}


def blur_of(evidence: Evidence, name: str) -> float | None:
    """Blur of a photo, None where it is unknown."""
    look = evidence.looks.get(name)
    return None if look is None or not math.isfinite(look.blur) else look.blur
