"""Photos that were mirrored: do the parts of a capture match once one of them is flipped?

Front cameras of phones and some conversions mirror pictures. Mirrored photos match one another
and make a sound model of their own, but never connect with the others.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageOps

from recon.sfm.context import SfmContext
from recon.sfm.job import JobImage, JobResult
from recon.sfm.jobs import Effort, copies_folder, run_on_copies

_FLIPPED, _STRAIGHT = 4, 12
_MATCHES = 40
"""Verified matches that prove it: chance gives fewer than 30."""


def mirrored_photos(
    context: SfmContext, effort: Effort, images: tuple[JobImage, ...], result: JobResult
) -> tuple[str, ...]:
    """Names of the photos in parts that match the largest part only when flipped.

    A few photos of each other part are flipped and matched with some of the largest.

    Raises:
        SfmError, SfmCancelled: see `run_job`.
    """
    by_name = {image.name: image for image in images}
    parts: dict[int, list[str]] = {}
    for name, facts in sorted(result.photos.items()):
        if facts.component is not None:
            parts.setdefault(facts.component, []).append(name)
    if len(parts) < 2:
        return ()
    straight = [by_name[name] for name in _spread(parts[0], _STRAIGHT)]
    folder = copies_folder(context, effort)
    flipped: dict[str, int] = {}
    extra: list[JobImage] = []
    for number in sorted(set(parts) - {0}):
        for name in _spread(parts[number], _FLIPPED):
            image = _flip(by_name[name], folder)
            extra.append(image)
            flipped[image.name] = number
    jobs = (*straight, *extra)
    pairs = [(i, j) for i in range(len(straight)) for j in range(len(straight), len(jobs))]
    answer = run_on_copies(
        context, effort, jobs, pairs, context.folder / "flipped", match_only=True
    )
    proven = {
        flipped[name]
        for link in answer.links
        if link.inliers >= _MATCHES
        for name in (link.first, link.second)
        if name in flipped
    }
    return tuple(sorted(name for number in proven for name in parts[number]))


def _spread(names: list[str], count: int) -> list[str]:
    """At most `count` of the names, evenly spread."""
    step = max(1.0, len(names) / count)
    return [names[int(i * step)] for i in range(min(count, len(names)))]


def _flip(image: JobImage, folder: Path) -> JobImage:
    """The job's image of a flipped working copy, which is written."""
    file = f"flipped-{image.file}"
    with Image.open(folder / image.file) as copy:
        ImageOps.mirror(copy).save(folder / file, quality=95)
    return replace(image, file=file, name=f"flipped/{image.name}")
