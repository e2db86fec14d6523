"""Which attempts structure from motion makes, and which it spares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recon.sfm.job import JobResult, Link, PhotoFacts
from recon.sfm.jobs import EFFORTS
from recon.sfm.solve import Attempt, _attempts, _worth_trying


def outcome(
    parts: list[int | None], keypoints: int = 2000, *, across: bool = False, linked: bool = True
) -> JobResult:
    """Photos in parts; neighbours match within their part, and across it if asked."""
    names = [f"{index:02d}.jpg" for index in range(len(parts))]
    links = [
        Link(names[i], names[i + 1], 100)
        for i in range(len(parts) - 1)
        if linked and (across or parts[i] == parts[i + 1])
    ]
    photos = {name: PhotoFacts(keypoints, 3, part) for name, part in zip(names, parts, strict=True)}
    return JobResult(photos, tuple(links), 500, 1.0, 4.0, 0.0, {})


def mixed(one: list[int | None], other: list[int | None]) -> JobResult:
    """Photos of two scenes; neighbours match within each."""
    both = outcome(one + other, across=True)
    border = (f"{len(one) - 1:02d}.jpg", f"{len(one):02d}.jpg")
    links = tuple(link for link in both.links if (link.first, link.second) != border)
    return replace(both, links=links)


def tried(result: JobResult, quality="draft", largest: int = 4000) -> list[str]:
    """Attempts after the first that would be made if none of them changed anything."""

    def name(attempt: Attempt) -> str:
        if attempt.finer or attempt.init_angle < 16:
            return "finer" if attempt.finer else "last"
        return "wide" if attempt.effort.affine else attempt.reach

    attempts = _attempts(EFFORTS[quality], quality, largest)[1:]
    return [name(a) for a in attempts if _worth_trying(result, a, len(result.photos))]


@pytest.mark.parametrize(
    ("result", "attempts"),
    [
        (outcome([0] * 16), []),
        (outcome([0] * 15 + [None]), ["bridges", "wide", "finer"]),
        (outcome([0] * 48 + [None] * 2), ["bridges"]),
        (outcome([0] * 8 + [None] * 8, across=True), ["all", "wide", "finer", "last"]),
        # Two scenes in one folder: no effort would join them.
        (outcome([0] * 10 + [1] * 10), ["all"]),
        (outcome([0] * 10 + [1] * 10, across=True), ["all", "wide", "last"]),
        # Of two scenes, the lesser one is itself in parts, or incomplete: that is no reason.
        (mixed([0] * 50, [1] * 8 + [2] * 6 + [None] * 2), ["all"]),
        (mixed([0] * 12, [1] * 5 + [None] * 2), ["all"]),
        # But that the larger one is incomplete is one.
        (mixed([0] * 30 + [None] * 20, [1] * 16), ["all", "wide"]),
        (mixed([0] * 11 + [None], [1] * 6), ["all", "wide", "finer"]),
        # Nothing overlaps.
        (outcome([None] * 8, linked=False), ["all"]),
    ],
)
def test_attempts_follow_from_what_was_found(result, attempts):
    assert tried(result) == attempts


def test_finer_copies_need_finer_photos_and_a_draft():
    lost = outcome([0] * 15 + [None])
    assert "finer" not in tried(lost, largest=800)
    assert "finer" not in tried(lost, quality="standard")
    assert "finer" not in tried(outcome([0] * 15 + [None], keypoints=50))
