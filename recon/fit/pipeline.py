"""`run_fit`: photos to a trained, evaluated model, stage by stage, skipping what is done."""

from __future__ import annotations

import time
from typing import Any

from recon.capture import Capture
from recon.errors import ReconError
from recon.fit import stages
from recon.fit.estimate import stage_costs, workload_of
from recon.fit.events import (
    TRAIN,
    Listener,
    Notice,
    StageFinished,
    StageStarted,
    StopRequest,
    stages_of,
)
from recon.fit.fingerprint import digest
from recon.fit.jobs import plan_jobs
from recon.fit.manifest import Manifest
from recon.fit.options import FitOptions
from recon.fit.parts import FitParts, default_parts
from recon.fit.rundir import RunDir, now
from recon.fit.session import FitStopped, Session, count_progress
from recon.fit.settings import (
    photo_inputs,
    pose_fingerprint,
    require_outside_photos,
    require_same_photos,
    require_same_settings,
    resolved_settings,
    trained_anew,
    training_fingerprint,
    with_other_methods,
)
from recon.fit.storage import clear_disk_errors, require_space, require_writable
from recon.fit.summary import FitSummary
from recon.fit.versions import package_versions


def run_fit(
    options: FitOptions,
    listener: Listener = lambda event: None,
    stop: StopRequest | None = None,
    parts: FitParts | None = None,
) -> FitSummary:
    """Make models of the photos in `options.scene`, or finish what an earlier run began.

    Args:
        options: what to make.
        listener: hears what happens, in the calling thread.
        stop: ends training early, leaving an evaluated model; the same options then go on.
        parts: the layers below, for tests.

    Raises:
        ReconError: of the stage that cannot do its work; its message has the remedy.
    """
    stop = stop or StopRequest()
    where = options.run_path
    require_writable(where)
    existing = RunDir.existing(where)
    parts = parts or default_parts()
    jobs = plan_jobs(options, parts)
    settings = resolved_settings(options, jobs)
    if existing is not None and options.resume:
        require_same_settings(existing.manifest, settings, where)

    # The photos are read before anything is written: a wrong folder stays as it was.
    start = time.monotonic()
    listener(StageStarted("capture", 1, len(stages_of(options.methods))))
    capture = parts.load_capture(
        options.scene, count_progress(listener, "capture", "photos", stop), options.poses == "sfm"
    )
    require_outside_photos(options, capture)
    if existing is not None and options.resume:
        require_same_photos(existing.manifest, photo_inputs(capture), where)
    if stop():
        raise FitStopped("capture")

    with RunDir.locked(where):
        # Read again under the lock: another process may have finished in between.
        run = RunDir.existing(where) or _new_run(options)
        if not options.resume:
            run.discard_training(trained_anew(run.manifest, settings, photo_inputs(capture), jobs))
        run.update(
            state="running",
            method=options.method,
            settings=with_other_methods(settings, run.manifest),
            backend=", ".join(dict.fromkeys(job.backend for job in jobs)),
            versions=package_versions(),
            error=None,
        )
        session = Session(options, run, parts, jobs, listener, stop)
        try:
            with clear_disk_errors(where):
                _record_capture(session, capture, time.monotonic() - start)
                _require_space(session, capture)
                return _run_stages(session, capture)
        except BaseException as error:
            what = error.what if isinstance(error, ReconError) else repr(error)
            remedy = error.remedy if isinstance(error, ReconError) else ""
            state = "stopped" if stop() else "failed"
            run.try_record(state=state, error={"what": what, "remedy": remedy})
            raise


def _new_run(options: FitOptions) -> RunDir:
    created = now()
    scene = str(options.scene.absolute())
    return RunDir(options.run_path, Manifest("running", created, created, scene, options.method))


def _require_space(session: Session, capture: Capture) -> None:
    """Refuse to start what the disk cannot hold; a stage that is done needs no more."""
    options = session.options
    given = capture.poses_for(options.poses) is not None
    work = workload_of(capture, options.resolution, given, options.threads)
    costs = stage_costs(work, options.preset, {job.name: job.cost(work) for job in session.jobs})
    done = {name for name, record in session.run.manifest.stages.items() if record.status == "done"}
    require_space(session.run.path, sum(c.disk for name, c in costs.items() if name not in done))


def _record_capture(session: Session, capture: Capture, seconds: float) -> None:
    inputs = photo_inputs(capture)
    split: dict[str, Any] = {
        kind: sorted(name for name, side in capture.split.items() if side == kind)
        for kind in ("train", "test")
    }
    session.run.update(
        images=len(capture.photos),
        skipped={item.name: item.reason for item in capture.skipped},
        inputs=inputs,
        split={**split, "source": capture.split_source},
    )
    session.run.set_stage("capture", "done", seconds, digest([inputs, capture.split]))
    for notice in capture.notices:
        session.tell(Notice(notice))
    text = f"{len(capture.photos)} photos, {len(split['test'])} held out"
    session.tell(StageFinished("capture", seconds, text))


def _run_stages(session: Session, capture: Capture) -> FitSummary:
    options, run = session.options, session.run
    poses = pose_fingerprint(options, capture)
    scene = stages.pose(session, capture)
    changed = False
    for job in session.jobs:
        if session.stop() and run.trained_methods:
            break  # what there is, is reported; the same command trains the rest
        trained = training_fingerprint(options, job, poses)
        # Each is measured before the next begins: a look at the first need not wait for the last.
        model = stages.train(session, job, scene, trained)
        changed |= stages.evaluate(session, job, scene, model, trained)
    records = run.manifest.stages
    whole = all(
        TRAIN[job.name] in records and records[TRAIN[job.name]].status == "done"
        for job in session.jobs
    )
    # Before the report, which states it.
    run.update(state="done" if whole else "stopped")
    stages.report(session, changed)
    return FitSummary.of(run)
