"""The stages of a fit, in order. Each reads its input from the run directory or the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recon.errors import TrainingError
from recon.fit.eventlog import EventLog
from recon.fit.events import (
    EVALUATE,
    TRAIN,
    Notice,
    StageProgress,
    Training,
    TrainingStarted,
)
from recon.fit.fingerprint import digest
from recon.fit.jobs import Job
from recon.fit.options import parse_scale
from recon.fit.quality import quality_text, size_unit
from recon.fit.session import Session, StageClock
from recon.fit.settings import pose_fingerprint, pose_source
from recon.fit.storage import clear_disk_errors
from recon.model import CheckpointEvent, FinishedEvent, RadianceModel
from recon.scene import PosedScene

if TYPE_CHECKING:
    from recon.capture import Capture
    from recon.sfm.options import SfmProgress


def pose(session: Session, capture: Capture) -> PosedScene:
    """Cameras and sparse points, by SfM or as given."""
    from recon.sfm import KnownDistance, SfmOptions

    options, run = session.options, session.run
    fingerprint = pose_fingerprint(options, capture)
    if run.is_done("sfm", fingerprint) and run.scene_file.is_file():
        scene = session.parts.load_scene(run.path)
        session.skip("sfm", f"{len(scene.views)} photos have cameras already")
        return scene

    def progress(event: SfmProgress) -> None:
        fraction = event.done / event.total if event.total else None
        count = f" {event.done}/{event.total}" if event.total > 1 else ""
        session.tell(StageProgress("sfm", fraction, f"{event.text}{count}"))

    with session.stage("sfm", fingerprint) as clock:
        session.check_stop("sfm")
        known = options.scale
        sfm_options = SfmOptions(
            pose_source=options.poses,
            quality=options.preset,
            long_side=options.resolution,
            seed=options.seed,
            threads=options.threads,
            known_distance=None if known is None else KnownDistance(*parse_scale(known)),
        )
        scene = session.parts.pose_capture(capture, run.path, sfm_options, progress, session.stop)
        to_norm = scene.norm_from_world
        run.update(
            registered=len(scene.views),
            failed=dict(scene.failed),
            poses=pose_source(options, capture),
            norm_from_world={
                "scale": to_norm.scale,
                "rotation": to_norm.rotation.tolist(),
                "translation": to_norm.translation.tolist(),
            },
        )
        for text in session.parts.pose_notices(run.path):
            session.tell(Notice(text))
        for photo, reason in scene.failed:
            session.tell(Notice(f"no camera for {photo}: {reason}"))
        registered = f"{len(scene.views)} of {len(capture.photos)} photos have cameras"
        clock.text = f"{registered}, {len(scene.points):,} points"
    return scene


def train(session: Session, job: Job, scene: PosedScene, fingerprint: str) -> RadianceModel | None:
    """A trained model, saved and exported; None when an earlier run did it."""
    run = session.run
    name = TRAIN[job.name]
    if run.is_done(name, fingerprint) and run.model(job.name).is_file():
        session.skip(name, "trained already")
        return None
    with session.stage(name, fingerprint) as clock:
        session.check_stop(name)
        if not scene.train_views:
            raise TrainingError("no photo is left to train on", remedy="add photos")
        checkpoints = run.checkpoints(job.name)
        checkpoints.mkdir(parents=True, exist_ok=True)
        trainer = job.method.trainer(scene, job.plan, checkpoints)
        with session.stop.heard_by(trainer.stop):
            session.tell(TrainingStarted(trainer, scene, job.name))
            log = EventLog(run.events, job.name)
            finished: FinishedEvent | None = None
            for event in trainer.run():
                log.append(event)
                session.tell(Training(event, job.name))
                if isinstance(event, CheckpointEvent):
                    # So that an attempt that is killed later leaves its time behind.
                    run.set_stage(name, "running", clock.seconds(), fingerprint)
                if isinstance(event, FinishedEvent):
                    finished = event
        if finished is None:
            raise TrainingError("training ended without saying why; this is a bug in the trainer")
        model = trainer.snapshot()
        with clear_disk_errors(run.path):
            job.method.export(model, run.exported(job.name))
            model.save(run.model(job.name))
        _describe(clock, finished, f"{model.size:,} {size_unit(job.name)}")
        outcome = {
            "seconds": round(finished.seconds, 3),
            "steps": finished.step,
            "reason": finished.reason,
        }
        run.update(training={**run.manifest.training, job.name: outcome})
    return model


def _describe(clock: StageClock, finished: FinishedEvent, size: str) -> None:
    clock.text = f"{finished.step:,} steps, {size}"
    if finished.reason == "time":
        clock.text += " (time budget used up)"
    if finished.reason == "stopped":
        clock.status = "stopped"
        clock.text += " (stopped on request)"


def evaluate(
    session: Session,
    job: Job,
    scene: PosedScene,
    model: RadianceModel | None,
    fingerprint: str,
) -> bool:
    """Quality on held-out views into eval.json, renders beside it; False when done already."""
    run, name = session.run, EVALUATE[job.name]
    entry = run.read_eval().get(job.name) if run.eval_path.exists() else None
    if model is None and entry is not None and run.is_done(name, fingerprint):
        session.skip(name, "evaluated already")
        return False
    with session.stage(name, fingerprint) as clock:
        if model is None:
            model = job.method.load(run.model(job.name), job.backend)
        result = session.parts.evaluate(
            model,
            scene,
            session.options.resolution,
            run.renders,
            session.counter(name, "held-out views"),
        )
        seconds = run.manifest.training.get(job.name, {}).get("seconds")
        entry = {**result.to_json(), "train_seconds": seconds}
        run.write_eval(job.name, entry)
        clock.text = quality_text(entry)
    return True


def report(session: Session, changed: bool) -> None:
    """report.html, made anew whenever something before it changed."""
    run = session.run
    records = run.manifest.stages
    measured = {name: records[name].fingerprint for name in EVALUATE.values() if name in records}
    fingerprint = digest(["report", measured])
    if not changed and run.is_done("report", fingerprint) and run.report.is_file():
        session.skip("report", "written already")
        return
    with session.stage("report", fingerprint) as clock:
        with clear_disk_errors(run.path):
            path = session.parts.write_report(run.path)
        clock.text = path.name
