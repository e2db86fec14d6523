"""What a diagnosis says: findings in plain words, and a line for every photo."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["fault", "warning", "note"]
"""fault: the result will be unusable or badly incomplete; warning: it will suffer; note: good to
know."""

Verdict = Literal["good", "reservations", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a capture, or worth knowing.

    Attributes:
        code: stable name for scripts, such as "blur".
        level: how bad.
        what: one sentence.
        remedy: what the person can do; "" for nothing.
        photos: names of the photos concerned; empty where it concerns all.
    """

    code: str
    level: Level
    what: str
    remedy: str = ""
    photos: tuple[str, ...] = ()

    def __str__(self) -> str:
        remedy = f" {self.remedy[0].upper()}{self.remedy[1:]}." if self.remedy else ""
        return f"{self.what}.{remedy}"


@dataclass(frozen=True)
class PhotoHealth:
    """One photo.

    Attributes:
        name: of the photo.
        status: "placed", "lost" (no camera), "skipped" (not usable as a file) or "unknown".
        why: the reason where it is lost or skipped, else "".
        blur: pixels at 1000 pixels of longer side (see `PhotoLook`); None where unknown.
        stops: brightness against the capture's median photo, in stops; None where unknown.
        keypoints, partners, points: see `PhotoFacts`; None where unknown.
        error: mean reprojection error in pixels of the full-size photo; None where unknown.
        part: number of the separate model that it is in, from 1; None where in none.
    """

    name: str
    status: Literal["placed", "lost", "skipped", "unknown"]
    why: str = ""
    blur: float | None = None
    stops: float | None = None
    keypoints: int | None = None
    partners: int | None = None
    points: int | None = None
    error: float | None = None
    part: int | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What is known of a capture before, or after, its long run.

    Attributes:
        poses: "sfm" or the kind of the given poses.
        photos: every file that looked like a photo, by name.
        findings: the worst first.
        components: photos of each separate model, largest first.
        points: number of sparse points.
        reprojection_error: mean, pixels of the full-size photos; None where unknown.
        track_length: mean number of photos that see a point; None where unknown.
    """

    poses: str
    photos: tuple[PhotoHealth, ...]
    findings: tuple[Finding, ...]
    components: tuple[int, ...]
    points: int
    reprojection_error: float | None
    track_length: float | None

    @property
    def placed(self) -> int:
        """Number of photos with a camera."""
        return sum(photo.status == "placed" for photo in self.photos)

    @property
    def usable(self) -> int:
        """Number of photos that decode and are no copies."""
        return sum(photo.status != "skipped" for photo in self.photos)

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        levels = {finding.level for finding in self.findings}
        return "bad" if "fault" in levels else "reservations" if "warning" in levels else "good"

    def to_json(self) -> dict[str, Any]:
        """For scripts; see docs/captures.md."""
        return {
            "version": 1,
            "verdict": self.verdict,
            "placed": self.placed,
            "usable": self.usable,
            **asdict(self),
        }
