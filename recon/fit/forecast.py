"""What a fit would do, and roughly at what cost, without doing it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from recon.errors import RunDirError
from recon.fit.estimate import stage_costs, workload_of
from recon.fit.events import EVALUATE, TRAIN, StageName
from recon.fit.jobs import plan_jobs
from recon.fit.machine import existing_parent, free_memory
from recon.fit.manifest import Manifest
from recon.fit.options import FitOptions, MethodName
from recon.fit.parts import FitParts, default_parts
from recon.fit.rundir import RunDir
from recon.fit.settings import (
    photo_inputs,
    pose_fingerprint,
    pose_source,
    require_outside_photos,
    require_same_photos,
    require_same_settings,
    resolved_settings,
    training_fingerprint,
)
from recon.fit.storage import megabytes, require_writable


@dataclass(frozen=True)
class StageForecast:
    """One stage; seconds, memory and disk as in `recon.fit.estimate.Cost`."""

    name: StageName
    done: bool
    seconds: float | None
    memory: int
    disk: int


@dataclass(frozen=True)
class Forecast:
    """A run that has not begun.

    Attributes:
        run: the run directory.
        found: what lies there already, in plain words; "" for nothing.
        photos, held_out: numbers of photos.
        width, height: of the largest photo as trained on.
        poses: "sfm", or the kind of the given cameras.
        backend: who would do the arithmetic.
        stages: in order.
        seconds, memory, disk: together; memory is the largest; seconds are None where those of a
            stage that is left are.
        free_memory: bytes, None where unknown.
        free_disk: bytes.
        warnings: what would go wrong or is worth knowing, in plain words.
    """

    run: str
    found: str
    photos: int
    held_out: int
    width: int
    height: int
    poses: str
    backend: str
    stages: tuple[StageForecast, ...]
    seconds: float | None
    memory: int
    disk: int
    free_memory: int | None
    free_disk: int
    warnings: tuple[str, ...]


def forecast(options: FitOptions, parts: FitParts | None = None) -> Forecast:
    """Read the photos, plan, and estimate. Nothing is written.

    Raises:
        ReconError: the photos or the options cannot be used.
    """
    parts = parts or default_parts()
    existing = RunDir.existing(options.run_path)
    jobs = plan_jobs(options, parts)
    capture = parts.load_capture(options.scene, lambda done, total: None, options.poses == "sfm")
    require_outside_photos(options, capture)
    given = capture.poses_for(options.poses) is not None
    work = workload_of(capture, options.resolution, given, options.threads)
    poses = pose_fingerprint(options, capture)
    trained: dict[MethodName, str] = {
        job.name: training_fingerprint(options, job, poses) for job in jobs
    }
    done = _done(existing, options, poses, trained)
    costs = stage_costs(work, options.preset, {job.name: job.cost(work) for job in jobs})
    stages = tuple(
        StageForecast(name, name in done, cost.seconds, cost.memory, cost.disk)
        for name, cost in costs.items()
    )
    left = [stage for stage in stages if not stage.done]
    seconds = [s.seconds for s in left if s.seconds is not None]
    memory, disk = max((s.memory for s in left), default=0), sum(s.disk for s in left)
    available, free = free_memory(), shutil.disk_usage(existing_parent(options.run_path)).free
    warnings = [f"skipped {item.name}: {item.reason}" for item in capture.skipped]
    if available is not None and memory > available:
        warnings.append(
            f"about {megabytes(memory)} of memory are needed and {megabytes(available)} are free: "
            "lower --resolution or --max-splats"
        )
    if disk > free:
        warnings.append(f"about {megabytes(disk)} of disk are needed: choose another with --out")
    settings = resolved_settings(options, jobs)
    try:
        require_writable(options.run_path)
        if existing is not None and options.resume:
            require_same_settings(existing.manifest, settings, options.run_path)
            require_same_photos(existing.manifest, photo_inputs(capture), options.run_path)
    except RunDirError as error:
        warnings.append(f"this would be refused: {error}")
    return Forecast(
        run=str(options.run_path.absolute()),
        found=_found(existing.manifest) if existing else "",
        photos=work.photos,
        held_out=work.held_out,
        width=work.width,
        height=work.height,
        poses=pose_source(options, capture),
        backend=", ".join(dict.fromkeys(job.backend for job in jobs)),
        stages=stages,
        seconds=sum(seconds) if len(seconds) == len(left) else None,
        memory=memory,
        disk=disk,
        free_memory=available,
        free_disk=free,
        warnings=tuple(warnings),
    )


def _done(
    existing: RunDir | None,
    options: FitOptions,
    poses: str,
    trained: Mapping[MethodName, str],
) -> frozenset[str]:
    """Stages that would be skipped."""
    if existing is None:
        return frozenset()
    wanted: dict[StageName, str] = {"sfm": poses}
    if options.resume:
        for method, mark in trained.items():
            wanted |= {TRAIN[method]: mark, EVALUATE[method]: mark}
    done = {name for name, mark in wanted.items() if existing.is_done(name, mark)}
    # The report is made anew when anything before it is.
    whole = done == set(wanted) and options.resume and existing.report.is_file()
    return frozenset(done | {"report"} if whole else done)


def _found(manifest: Manifest) -> str:
    if manifest.state == "done":
        return "a finished run lies there"
    stages = ", ".join(name for name, r in manifest.stages.items() if r.status == "done")
    return f"an unfinished run lies there, done: {stages or 'nothing yet'}"
