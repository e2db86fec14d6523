"""Why photos found no camera, in plain words."""

from __future__ import annotations

import math
from statistics import median

from recon.capture.types import Capture
from recon.errors import SfmError
from recon.sfm.context import Evidence

FEW_KEYPOINTS = 300
"""A photo with fewer features than this shows too little detail to be placed reliably."""

_FEW_SHARE = 0.25
SOFT, SOFTER = 1.6, 2.0
"""A photo is blurred if its `PhotoLook.blur` exceeds SOFT and SOFTER times the median's."""


class NothingPlaced(SfmError):
    """No model at all; `evidence` has what was found out about the photos."""

    def __init__(self, what: str, remedy: str, capture: Capture, evidence: Evidence) -> None:
        super().__init__(what, remedy=remedy, where=capture.image_dir)
        self.evidence = evidence


def typical_blur(evidence: Evidence) -> float:
    """Median over the photos, NaN where nothing is known."""
    known = [look.blur for look in evidence.looks.values() if math.isfinite(look.blur)]
    return median(known) if known else math.nan


def blurred(evidence: Evidence) -> tuple[str, ...]:
    """Names of the photos that are much less sharp than the others."""
    limit = max(SOFT, SOFTER * typical_blur(evidence))
    return tuple(name for name, look in evidence.looks.items() if look.blur > limit)


def why_lost(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """(name, reason) of each photo that is not in the largest model, by name."""
    counts = [facts.keypoints for facts in evidence.photos.values()]
    typical = median(counts) if counts else 0
    soft = set(blurred(evidence))
    failed: list[tuple[str, str]] = []
    for name, facts in sorted(evidence.photos.items()):
        if facts.component == 0:
            continue
        if facts.component is not None:
            reason = f"belongs to part {facts.component + 1}, which does not connect with the rest"
        elif name in soft:
            blur, usual = evidence.looks[name].blur, typical_blur(evidence)
            reason = f"blurred: {blur:.1f} pixels against {usual:.1f} in a typical photo here"
        elif facts.keypoints < max(FEW_KEYPOINTS, _FEW_SHARE * typical):
            usual = (
                f", {typical:.0f} are typical here"
                if typical > 2 * facts.keypoints
                else "; photos that are easily placed have a thousand or more"
            )
            reason = f"hardly any detail: {facts.keypoints} features{usual}"
        elif facts.partners == 0:
            reason = "does not overlap with any other photo"
        else:
            others = "1 other photo" if facts.partners == 1 else f"{facts.partners} other photos"
            reason = f"overlaps too little: it matches {others}, but too weakly to be placed"
        failed.append((name, reason))
    return tuple(failed)


def nothing_placed(capture: Capture, evidence: Evidence) -> NothingPlaced:
    """The error for a capture of which SfM made no model, with the likeliest cause."""
    count = len(capture.photos)
    typical = median(facts.keypoints for facts in evidence.photos.values())
    if typical < FEW_KEYPOINTS:
        return NothingPlaced(
            f"the photos show too little detail: {typical:.0f} features in a typical one",
            "avoid blur and plain surfaces; put a textured cloth or newspaper under and behind "
            "the object",
            capture,
            evidence,
        )
    if len(evidence.links) < count - 1:
        return NothingPlaced(
            f"the photos hardly overlap: {len(evidence.links)} pairs of {count} photos show the "
            "same thing",
            "take photos in small steps, so that neighbours share two thirds of what they show",
            capture,
            evidence,
        )
    return NothingPlaced(
        "no two photos see the same thing from different places",
        "walk sideways between photos; turning on the spot gives no depth",
        capture,
        evidence,
    )
