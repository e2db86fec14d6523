"""Findings about the cameras: who was placed, whether the parts connect, whether to believe it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from statistics import median

from recon.capture.types import Capture
from recon.diagnosis.graph import cut_photos
from recon.diagnosis.types import Finding
from recon.diagnosis.words import count_photos, some
from recon.sfm.job import SUSPICIOUS, Link
from recon.sfm.survey import Survey

_BAD_SHARE = 0.6
_FOCAL_SHARES = (0.4, 3.0)
_FOCAL_SPREAD = 1.15
_ERROR_SHARE = 0.002
_SHORT_TRACKS = 3.0
_FIRM = 30
_LOST_REMEDY = "take more photos around the lost ones, in small steps from those that were placed"
_LOST_REMEDIES = {
    "blurred": "take them again, holding still; where others show the same, just remove them",
    "hardly any detail": "plain, shiny or blurred surfaces give nothing to hold on to: step back "
    "so that something patterned is in the picture",
}


def camera_findings(capture: Capture, survey: Survey) -> Iterator[Finding]:
    """Registration, components, contradictions, lenses, precision, thin connections."""
    if survey.failure is not None:
        yield Finding("cameras_fail", "fault", *survey.failure)
        return
    yield from _placed(capture, survey)
    yield from _components(survey)
    yield from _contradictions(survey)
    yield from _lenses(capture, survey)
    yield from _precision(survey)
    yield from _thin(survey)


def _placed(capture: Capture, survey: Survey) -> Iterator[Finding]:
    if survey.pose_source != "sfm":
        return
    facts = survey.evidence.photos
    # Those of other parts have a finding of their own.
    lost = [item for item in survey.failed if facts[item[0]].component is None]
    if not lost:
        return
    total, placed = len(capture.photos), len(survey.cameras)
    names = tuple(name for name, _ in lost)
    reasons = Counter(reason.split(":")[0] for _, reason in lost)
    why = "; ".join(
        reason if len(reasons) == 1 else f"{reason} ({count})"
        for reason, count in reasons.most_common(3)
    )
    verb = "has" if len(lost) == 1 else "have"
    yield Finding(
        "lost",
        "fault" if placed < _BAD_SHARE * total else "warning",
        f"{placed} of {total} photos have cameras, {some(names)} {verb} none: {why}"
        + (" (recon fit will try harder)" if survey.hasty else ""),
        _LOST_REMEDIES.get(reasons.most_common(1)[0][0], _LOST_REMEDY),
        names,
    )


def _components(survey: Survey) -> Iterator[Finding]:
    if len(survey.components) < 2:
        return
    members: dict[int, list[str]] = {}
    for name, facts in survey.evidence.photos.items():
        if facts.component is not None:
            members.setdefault(facts.component, []).append(name)
    largest = survey.components[0]
    apart: list[str] = []
    for number in range(1, len(survey.components)):
        photos = tuple(sorted(members.get(number, ())))
        if set(photos) <= set(survey.evidence.mirrored):
            yield Finding(
                "mirrored",
                "fault" if len(photos) > 0.5 * largest else "warning",
                f"{count_photos(len(photos))} ({some(photos)}) are mirrored: they match the "
                "others only when they are flipped",
                "switch off mirroring in the camera's settings (front cameras often do it), and "
                "flip these photos back",
                photos,
            )
            continue
        bridge = _best_bridge(survey, members.get(0, []), list(photos))
        if bridge is None:
            apart += photos
            continue
        yield Finding(
            "parts",
            "fault" if len(photos) > 0.5 * largest else "warning",
            f"{count_photos(len(photos))} ({some(photos)}) form part {number + 1}, which does not "
            f"connect with the largest part of {count_photos(largest)}, the only one used",
            f"add photos between {bridge.first} and {bridge.second}, which show something in "
            f"common ({bridge.inliers} matches)",
            photos,
        )
    if apart:
        yield Finding(
            "parts",
            "fault" if len(apart) > 0.5 * largest else "warning",
            f"{count_photos(len(apart))} ({some(sorted(apart))}) have nothing in common with the "
            f"largest part of {count_photos(largest)}, the only one used",
            "if they show another scene, put them in a folder of their own; if it is the same, add "
            "photos that show both, walking from one to the other",
            tuple(sorted(apart)),
        )


def _best_bridge(survey: Survey, one: list[str], other: list[str]) -> Link | None:
    first, second = set(one), set(other)
    links = [
        link
        for link in survey.evidence.links
        if (link.first in first and link.second in second)
        or (link.first in second and link.second in first)
    ]
    return max(links, key=lambda link: link.inliers, default=None)


def _contradictions(survey: Survey) -> Iterator[Finding]:
    share = survey.inconsistent_pairs
    if share is None or share <= SUSPICIOUS:
        return
    wrong = [link for link in survey.evidence.links if link.agrees is False]
    wrong.sort(key=lambda link: -link.inliers)
    pairs = ", ".join(f"{link.first} with {link.second}" for link in wrong[:3])
    names = tuple(sorted({name for link in wrong for name in (link.first, link.second)}))
    if survey.pose_source == "sfm":
        yield Finding(
            "contradictions",
            "fault" if share > 4 * SUSPICIOUS else "warning",
            f"{share:.0%} of the well matched pairs contradict the cameras ({pairs}): things that "
            "look alike, or a symmetric object, were probably confused",
            "put something unique beside each of the like things, and add photos on the way "
            "from one to the other",
            names,
        )
    else:
        yield Finding(
            "contradictions",
            "warning",
            f"the given cameras contradict {share:.0%} of the well matched pairs ({pairs})",
            "if the result is blurred, let recon compute the cameras (--poses sfm)",
            names,
        )


def _lenses(capture: Capture, survey: Survey) -> Iterator[Finding]:
    shares = {
        name: 0.5 * (posed.lens.fx + posed.lens.fy) / max(posed.lens.width, posed.lens.height)
        for name, posed in survey.cameras.items()
    }
    low, high = _FOCAL_SHARES
    odd = tuple(sorted(name for name, share in shares.items() if not low < share < high))
    if odd:
        yield Finding(
            "focal",
            "warning",
            f"the focal length came out at {shares[odd[0]]:.2f} times the photo's longer side "
            f"({some(odd)}), which no ordinary camera has: the shape may be bent",
            "add photos from more directions, also closer and further away",
            odd,
        )
    groups: dict[tuple[str, int], set[float]] = {}
    for photo in capture.photos:
        if photo.name in shares and photo.focal is None:
            key = (photo.camera, max(photo.width, photo.height))
            groups.setdefault(key, set()).add(shares[photo.name])
    for values in groups.values():
        if max(values) > _FOCAL_SPREAD * min(values) and survey.pose_source == "sfm" and not odd:
            yield Finding(
                "focal_drift",
                "warning",
                f"the focal length drifts between {min(values):.2f} and {max(values):.2f} times "
                "the longer side among photos of one camera",
                "do not zoom between photos, and do not crop or stabilise them afterwards",
            )


def _precision(survey: Survey) -> Iterator[Finding]:
    if survey.reprojection_error is not None and survey.cameras:
        side = median(max(p.lens.width, p.lens.height) for p in survey.cameras.values())
        if survey.reprojection_error > _ERROR_SHARE * side:
            yield Finding(
                "imprecise",
                "warning",
                f"cameras fit the photos to {survey.reprojection_error:.1f} pixels only, "
                f"{survey.reprojection_error / side:.2%} of the longer side",
                "blur, moving things, rolling shutter or stabilised video do this: hold still "
                "and keep the scene still",
            )
    if survey.track_length is not None and survey.track_length < _SHORT_TRACKS:
        yield Finding(
            "overlap",
            "note",
            f"a typical point is seen by {survey.track_length:.1f} photos only",
            "smaller steps between photos make cameras more exact and the result more complete",
        )


def _thin(survey: Survey) -> Iterator[Finding]:
    if survey.pose_source != "sfm":
        return
    placed = {name for name, facts in survey.evidence.photos.items() if facts.component == 0}
    edges = [
        (link.first, link.second)
        for link in survey.evidence.links
        if link.inliers >= _FIRM and link.first in placed and link.second in placed
    ]
    cuts = cut_photos(sorted(placed), edges)
    if cuts:
        names = tuple(name for name, _ in cuts)
        yield Finding(
            "thin",
            "note",
            f"the model hangs together by single photos: without {cuts[0][0]}, "
            f"{count_photos(cuts[0][1])} would fall off"
            + (f" (also {some(names[1:])})" if len(cuts) > 1 else ""),
            "a few more photos around there would hold it together",
            names,
        )
