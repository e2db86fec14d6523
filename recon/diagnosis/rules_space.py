"""Findings about where the cameras stood: coverage, jumps, turning on the spot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recon.capture.look import resemblance
from recon.diagnosis.types import Finding
from recon.diagnosis.words import some
from recon.sfm.normalise import look_at_point
from recon.sfm.pairs import numbered
from recon.sfm.survey import Survey

F64 = NDArray[np.float64]

_ROUND_ENOUGH, _WIDE_GAP = 200.0, 60.0
_ONE_HEIGHT = 6.0
_NARROW = 15.0
_JUMP = 12.0
_ENOUGH = 12

_SAME_PLACE, _SAME_DEGREES = 0.04, 2.5
_UNLIKE, _FEWEST_PAIRS = 0.75, 3
"""Photos of opposite sides of a box that looks alike from both resembled each other by 0.32 to
0.73; photos from the same place by 0.99 (median) and more than 0.79 (99 of 100)."""


def space_findings(survey: Survey) -> Iterator[Finding]:
    """Gaps in an orbit, one height only, narrow baselines, look-alikes, jumps in a numbered
    sequence."""
    if survey.norm_from_world is None or len(survey.cameras) < 3:
        return
    names = sorted(survey.cameras)
    poses = np.stack([survey.cameras[name].cam_from_world for name in names])
    moved = np.stack([survey.norm_from_world.move_camera(pose) for pose in poses])
    rotation = moved[:, :3, :3]
    centres = -np.einsum("nji,nj->ni", rotation, moved[:, :3, 3])
    target = look_at_point(centres, rotation[:, 2])
    if target is not None:
        yield from _orbit(names, centres - target)
    if survey.pose_source == "sfm":
        yield from _look_alikes(survey, names, rotation, centres)
        if numbered(names):
            yield from _jumps(names, centres)


def _orbit(names: list[str], offset: F64) -> Iterator[Finding]:
    """Coverage of an object by cameras (N, 3) around it, +Z up."""
    azimuth = np.degrees(np.arctan2(offset[:, 1], offset[:, 0]))
    height = np.degrees(np.arctan2(offset[:, 2], np.linalg.norm(offset[:, :2], axis=1)))
    order = np.argsort(azimuth, kind="stable")
    around = azimuth[order]
    gaps = np.diff(np.append(around, around[0] + 360.0))
    widest = int(np.argmax(gaps))
    covered = 360.0 - float(gaps[widest])
    edge = (names[order[widest]], names[order[(widest + 1) % len(order)]])
    if covered > _ROUND_ENOUGH and gaps[widest] > _WIDE_GAP:
        yield Finding(
            "gap",
            "note",
            f"the photos go around the scene by {covered:.0f} degrees; the side between "
            f"{edge[0]} and {edge[1]} was not photographed",
            "add photos there if it should look right from there too",
            edge,
        )
    elif covered < _NARROW:
        yield Finding(
            "narrow",
            "warning",
            f"all photos look from nearly the same side: within {covered:.0f} degrees",
            "walk sideways around the scene: depth comes from seeing it from different sides",
        )
    spread = float(np.percentile(height, 95) - np.percentile(height, 5))
    if covered > _ROUND_ENOUGH / 2 and spread < _ONE_HEIGHT and len(names) >= _ENOUGH:
        yield Finding(
            "one_height",
            "note",
            f"all photos are from the same height ({float(np.median(height)):.0f} degrees above "
            "the middle of the scene)",
            "a second round from higher up shows the tops of things",
        )


def _look_alikes(
    survey: Survey, names: list[str], rotation: F64, centres: F64
) -> Iterator[Finding]:
    """Photos that the model puts at one place though they show different things.

    So it comes out where an object looks alike from two sides: half of the photos lie upon the
    other half, matches and all. Only the surroundings tell.
    """
    near = np.linalg.norm(centres[:, None] - centres[None], axis=-1) < _SAME_PLACE
    turned = np.einsum("iab,jab->ij", rotation, rotation)
    same = near & (turned > 1.0 + 2.0 * np.cos(np.radians(_SAME_DEGREES)))
    looks = survey.evidence.looks
    pairs: list[tuple[float, str, str]] = []
    for i, j in zip(*np.nonzero(np.triu(same, 1)), strict=True):
        one, other = names[i], names[j]
        if one in looks and other in looks:
            alike = resemblance(looks[one], looks[other])
            if alike is not None:
                pairs.append((alike, one, other))
    wrong = sorted(pair for pair in pairs if pair[0] < _UNLIKE)
    # A lamp switched on or a passer-by is no symmetry: most pairs must be unlike.
    if len(wrong) < _FEWEST_PAIRS or 2 * len(wrong) < len(pairs):
        return
    involved = tuple(sorted({name for _, *both in wrong for name in both}))
    yield Finding(
        "look_alikes",
        "fault" if len(involved) > 0.2 * len(names) else "warning",
        f"{len(wrong)} pairs of photos came out at the very same place but show different things "
        f"({some([f'{one} with {other}' for _, one, other in wrong])}): two sides that look alike "
        "were taken for one",
        "put something unique beside each side, and leave more of the surroundings in the picture",
        involved,
    )


def _jumps(names: list[str], centres: F64) -> Iterator[Finding]:
    """Neighbours in the sequence that lie implausibly far apart."""
    if len(names) < _ENOUGH:
        return
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    extent = float(np.linalg.norm(np.ptp(centres, axis=0)))
    limit = max(_JUMP * float(np.median(steps)), 0.25 * extent)
    far = [i for i, step in enumerate(steps) if step > limit]
    if far:
        pairs = [f"{names[i]} to {names[i + 1]}" for i in far]
        involved = tuple(dict.fromkeys(name for i in far for name in (names[i], names[i + 1])))
        yield Finding(
            "jumps",
            "note",
            f"neighbours in the sequence lie far apart ({some(pairs)})",
            "if you did not move that far between them, things that look alike were confused: "
            "see the cameras in recon view",
            involved,
        )
