"""What the parent tells the worker and what it hears back: the only contract between them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recon.sfm.options import SfmStage

SUSPICIOUS = 0.03
"""Above this share of contradicting pairs a model is probably wrong."""


@dataclass(frozen=True)
class JobImage:
    """A working copy.

    Attributes:
        file: name of the working copy in the job's photo folder.
        name: the photo's own name, used in the model that is written.
        width, height: pixels of the photo, upright.
        work_width, work_height: pixels of the working copy.
        group: photos of one group share a camera.
        model: COLMAP's camera model of the group.
        params: its parameters in pixels of the working copy; () to let COLMAP guess.
        pose: cam_from_world, 16 numbers row by row, in given-pose jobs; else ().
    """

    file: str
    name: str
    width: int
    height: int
    work_width: int
    work_height: int
    group: int
    model: str
    params: tuple[float, ...] = ()
    pose: tuple[float, ...] = ()


@dataclass(frozen=True)
class KnownCamera:
    """A photo's camera in an earlier model.

    Attributes:
        file: the working copy.
        model, params: COLMAP's camera, in pixels of the working copy.
        pose: cam_from_world, 16 numbers row by row.
    """

    file: str
    model: str
    params: tuple[float, ...]
    pose: tuple[float, ...]


@dataclass(frozen=True)
class Job:
    """One attempt at structure from motion, or one triangulation.

    Attributes:
        photos: folder of the working copies.
        masks: folder of masks, FILE.png for a working copy FILE; "" without any.
        database: COLMAP's database; kept, so that nothing is extracted or matched twice.
        donors: other databases with the same kind of features, but other cameras.
        scratch: folder for the mapper's output, emptied by the worker.
        output: folder that the final model is written to.
        images, pairs: photos, and pairs of indices into them.
        neighbours: match each photo also with so many that look most like it.
        first_octave, max_features, affine: of SIFT.
        init_min_tri_angle: degrees that the starting pair must subtend.
        triangulate: poses are given; only points are computed.
        known: cameras to start from, where only the other photos are to be placed.
        match_only: find no cameras at all.
        seed, threads: see `SfmOptions`.
    """

    photos: str
    database: str
    scratch: str
    output: str
    images: tuple[JobImage, ...]
    pairs: tuple[tuple[int, int], ...]
    first_octave: int
    max_features: int
    donors: tuple[str, ...] = ()
    neighbours: int = 0
    masks: str = ""
    affine: bool = False
    init_min_tri_angle: float = 16.0
    triangulate: bool = False
    known: tuple[KnownCamera, ...] = ()
    match_only: bool = False
    seed: int = 0
    threads: int = 1

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Job:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        data["images"] = tuple(
            JobImage(**{**image, "params": tuple(image["params"]), "pose": tuple(image["pose"])})
            for image in data["images"]
        )
        data["known"] = tuple(
            KnownCamera(**{**c, "params": tuple(c["params"]), "pose": tuple(c["pose"])})
            for c in data["known"]
        )
        data["donors"] = tuple(data["donors"])
        data["pairs"] = tuple((int(i), int(j)) for i, j in data["pairs"])
        return Job(**data)


@dataclass(frozen=True)
class Link:
    """A pair of photos with verified matches, `inliers` of them.

    `agrees` says whether the model fits them; None where that was not judged.
    """

    first: str
    second: str
    inliers: int
    agrees: bool | None = None


@dataclass(frozen=True)
class PhotoFacts:
    """What structure from motion came to know of one photo.

    Attributes:
        keypoints: number of features.
        partners: verified pairs that it occurs in.
        component: of the separate models, largest first, the one that it is in; None if in none.
        points: points of the largest model that it sees.
        error: their mean reprojection error in pixels of the full-size photo; None without.
    """

    keypoints: int
    partners: int
    component: int | None = None
    points: int = 0
    error: float | None = None


@dataclass(frozen=True)
class JobResult:
    """The worker's answer.

    Attributes:
        photos: name -> facts, for every photo of the job.
        links: verified pairs.
        points: number of points.
        reprojection_error: mean, in pixels of the full-size photos; NaN without a model.
        track_length: mean; NaN without a model.
        inconsistent_pairs: share of well matched pairs that contradict the poses, 0..1.
        stages: stage name -> (wall seconds, CPU seconds).
    """

    photos: dict[str, PhotoFacts]
    links: tuple[Link, ...]
    points: int
    reprojection_error: float
    track_length: float
    inconsistent_pairs: float
    stages: dict[SfmStage, tuple[float, float]]

    @property
    def registered(self) -> tuple[str, ...]:
        """Names of the photos in the largest model."""
        return tuple(sorted(name for name, facts in self.photos.items() if facts.component == 0))

    @property
    def components(self) -> tuple[int, ...]:
        """Photos of each separate model, largest first."""
        sizes = Counter(
            facts.component for facts in self.photos.values() if facts.component is not None
        )
        return tuple(sizes[number] for number in sorted(sizes))

    @property
    def suspicious(self) -> bool:
        """Whether the model is probably wrong; False without one."""
        return self.inconsistent_pairs > SUSPICIOUS

    @staticmethod
    def from_json(data: dict[str, Any]) -> JobResult:
        data["photos"] = {name: PhotoFacts(**facts) for name, facts in data["photos"].items()}
        data["links"] = tuple(Link(**link) for link in data["links"])
        data["stages"] = {key: (value[0], value[1]) for key, value in data["stages"].items()}
        return JobResult(**data)
