"""Rough costs of a run before it starts: for `--dry-run`, and to refuse a disk that is too full.

The rates were measured on two cores of an AVX2 server CPU (see docs/performance.md); other
machines differ, by a factor of two as a rule. They scale with cores, pixels and splats. How long
training takes on a GPU was never measured, and is not estimated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recon.fit.events import EVALUATE, TRAIN, StageName
from recon.fit.machine import usable_threads
from recon.fit.options import MethodName, Preset

if TYPE_CHECKING:
    from recon.capture import Capture

# CPU seconds a photo of SfM: features, pairs and mapping, by preset.
_POSE_CPU_SECONDS: dict[Preset, float] = {"draft": 0.9, "standard": 2.5, "high": 8.0}
_GIVEN_POSE_CPU_SECONDS = 0.6
_READ_CPU_SECONDS_PER_MEGAPIXEL = 0.01
_EVALUATE_CPU_SECONDS_PER_MEGAPIXEL = 1.2
_REPORT_SECONDS = 3.0
# Undistorted photos are PNG: about two bytes a pixel; SfM's database comes on top.
_PNG_BYTES_PER_PIXEL = 2.0
_DATABASE_BYTES_PER_PHOTO = 3_000_000
_BASE_MEMORY = 450_000_000


@dataclass(frozen=True)
class Workload:
    """What the costs depend on.

    Attributes:
        photos, held_out: numbers of photos.
        source_megapixels: of a photo as it is on disk.
        width, height: of the largest photo as trained on.
        given_poses: cameras need not be found.
        alpha: photos are transparent around the object.
        threads: that may be used.
    """

    photos: int
    held_out: int
    source_megapixels: float
    width: int
    height: int
    given_poses: bool
    alpha: bool
    threads: int

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6


@dataclass(frozen=True)
class Cost:
    """Wall-clock seconds, peak memory and lasting disk space in bytes of one stage. Seconds are
    None where nobody knows them. Memory is main memory, not a GPU's."""

    seconds: float | None
    memory: int
    disk: int


def workload_of(
    capture: Capture, resolution: int, given_poses: bool, threads: int | None
) -> Workload:
    photo = max(capture.photos, key=lambda p: p.width * p.height)
    scale = min(1.0, resolution / max(photo.width, photo.height))
    return Workload(
        photos=len(capture.photos),
        held_out=sum(side == "test" for side in capture.split.values()),
        source_megapixels=photo.width * photo.height / 1e6,
        width=max(1, round(photo.width * scale)),
        height=max(1, round(photo.height * scale)),
        given_poses=given_poses,
        alpha=capture.background is not None,
        threads=threads or usable_threads(),
    )


def stage_costs(
    work: Workload, preset: Preset, training: Mapping[MethodName, Cost]
) -> dict[StageName, Cost]:
    """Costs of every stage in order, those of training given."""
    read = work.photos * work.source_megapixels * _READ_CPU_SECONDS_PER_MEGAPIXEL
    per_photo = _GIVEN_POSE_CPU_SECONDS if work.given_poses else _POSE_CPU_SECONDS[preset]
    evaluate = work.held_out * work.megapixels * _EVALUATE_CPU_SECONDS_PER_MEGAPIXEL
    renders = round(2 * work.held_out * work.megapixels * 1e6 * _PNG_BYTES_PER_PIXEL)
    picture = round(work.source_megapixels * 1e6 * 4)
    costs: dict[StageName, Cost] = {
        "capture": Cost(read / work.threads, _BASE_MEMORY, 0),
        "sfm": Cost(
            work.photos * per_photo / work.threads,
            _BASE_MEMORY + work.threads * 12 * picture,
            pose_bytes(work.photos, work.megapixels),
        ),
    }
    for method, cost in training.items():
        costs[TRAIN[method]] = cost
        costs[EVALUATE[method]] = Cost(evaluate / work.threads, cost.memory, renders)
    costs["report"] = Cost(_REPORT_SECONDS, _BASE_MEMORY, renders // 4)
    return costs


def pose_bytes(photos: int, megapixels: float) -> int:
    """Disk space that undistorted photos and SfM's database take."""
    return round(photos * (megapixels * 1e6 * _PNG_BYTES_PER_PIXEL + _DATABASE_BYTES_PER_PHOTO))
