"""`recon fit --view`: watches a fit and shows the model as it grows.

A `LiveView` is a listener of the fit's events, called on the thread that trains, between steps.
That is where snapshots are taken (rarely, and only while a page is open) and where a pause
holds training up. All rendering is done on the viewer's thread, for a small share of the time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from recon.errors import ReconError
from recon.fit.events import (
    TRAIN,
    FitEvent,
    Notice,
    StageFinished,
    StageProgress,
    StageStarted,
    Training,
    TrainingStarted,
)
from recon.fit.quality import size_unit
from recon.model import EvalEvent, FinishedEvent, StepEvent, Trainer
from recon.viewer.cost import Allowance
from recon.viewer.governor import Governor, HelperClock
from recon.viewer.run import Loader, load_run
from recon.viewer.scheduler import RENDER_THREAD
from recon.viewer.server import ServerOptions, ViewerServer
from recon.viewer.workspace import (
    Content,
    Curve,
    NamedModel,
    TrainingPhase,
    TrainingState,
    Workspace,
)

SNAPSHOT_SHARE = 0.02
"""Of the time, for copying the model."""

SNAPSHOT_SECONDS = 2.0
"""Least time between two snapshots."""

MESSAGE_SECONDS = 1.0
"""Least time between two updates of the figures on the pages."""

CURVE_POINTS = 400
"""Most points of the loss curve that the pages are sent."""

PARTING_SECONDS = 1.0
"""For pages to hear why the fit ended, before the server does."""

STAGE_WORDS = {
    "capture": "reading the photos",
    "sfm": "finding the cameras",
    "train_splat": "training the splats",
    "evaluate_splat": "evaluating the splats on the held-out photos",
    "train_nerf": "training the NeRF",
    "evaluate_nerf": "evaluating the NeRF on the held-out photos",
    "report": "writing the report",
}


class LiveView:
    """Serves a fit while it runs. A `recon.fit.events.Listener`; close it at the end.

    Args:
        stop: asks the fit to finish early and save; None hides the button.
        clock: seconds.
    """

    def __init__(
        self,
        title: str,
        options: ServerOptions | None = None,
        stop: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._workspace = Workspace(
            Content(title=title, note="Starting ...", training=TrainingState())
        )
        self._running = threading.Event()
        self._running.set()
        self._trainer: Trainer | None = None
        self._next_snapshot = 0.0
        self._next_message = 0.0
        self._curve = Curve()
        self._governor: Governor | None = None
        self.server = ViewerServer(
            self._workspace, options, allowance=Allowance(share=1.0), training=self
        )

    # What the fit calls.

    def __call__(self, event: FitEvent) -> None:
        """Take an event of the fit; returns late while training is paused.

        Training goes on whatever happens to the view of it: an error here is told on the pages.
        """
        try:
            self._take(event)
        except Exception as error:
            self._say(f"The view of the training met an error, training goes on: {error}")

    def _take(self, event: FitEvent) -> None:
        match event:
            case StageStarted():
                what = STAGE_WORDS.get(event.stage, event.stage)
                self._say(f"Step {event.index} of {event.of}: {what} ...")
            case StageProgress() if event.stage not in TRAIN.values():
                part = "" if event.fraction is None else f"{event.fraction:.0%} "
                self._say(f"{STAGE_WORDS.get(event.stage, event.stage)}: {part}{event.text}")
            case TrainingStarted():
                self._begin(event)
            case Training():
                self._train(event)
            case Notice():
                self._say(event.text)
            case StageFinished() | StageProgress():
                pass

    def finish(self, run_dir: Path, load: Loader = load_run) -> None:
        """The fit is over: show what it saved, with the figures of the evaluation."""
        self._ungoverned()
        self._trainer = None
        try:
            content = load(run_dir)
        except ReconError as error:
            self._say(f"Training ended; the result could not be read: {error}")
            return
        ended = TrainingState("ended", "Finished and saved.", 1.0)
        self._workspace.update(lambda now: replace(content, title=now.title, training=ended))

    def fail(self, text: str, *, stays: bool) -> None:
        """The fit ended with an error: the pages tell it in these words, and whether the server
        stays. If it does not, returns when they had time to."""
        self._ungoverned()
        self._trainer = None
        until = "This page is served until Ctrl-C in the terminal."
        end = until if stays else "The viewer has ended, too."
        note = f"The fit ended with an error.\n\n{text}\n\n{end}"

        def change(content: Content) -> Content:
            training = replace(content.training or TrainingState(), state="ended", text=note)
            return replace(content, phase="failed", note=note, training=training)

        self._workspace.update(change)
        if self.server.watched and not stays:
            time.sleep(PARTING_SECONDS)

    def close(self) -> None:
        """Stop serving."""
        self._running.set()
        self.server.stop()

    # What the pages call, from any thread.

    @property
    def can_stop(self) -> bool:
        return self._stop is not None

    def pause(self) -> None:
        """Hold training up after the step in hand."""
        self._running.clear()
        self._set_state("paused")

    def resume(self) -> None:
        if self._governor is not None:
            self._governor.start()
        self._running.set()
        self._set_state("training")

    def stop_and_save(self) -> None:
        """Ask the fit to end with a usable model."""
        if self._stop is not None:
            self._set_state("stopping")
            self._stop()
            self._running.set()

    # Inside.

    def _begin(self, event: TrainingStarted) -> None:
        self._trainer = event.trainer
        self._curve = Curve()
        scheduler, others = self.server.scheduler, HelperClock(RENDER_THREAD)
        self._governor = Governor(
            scheduler.set_share, lambda: scheduler.stats.busy, others.seconds, self._clock
        )
        self._workspace.update(
            lambda now: replace(
                now,
                phase="ready",
                note="",
                scene=event.scene,
                training=TrainingState("training", "Training begins ..."),
            )
        )

    def _train(self, message: Training) -> None:
        event = message.event
        curve = self._curve
        if isinstance(event, StepEvent):
            self._curve = _thinned(
                replace(
                    curve,
                    steps=(*curve.steps, event.step),
                    losses=(*curve.losses, event.loss),
                )
            )
            self._progress(message, event)
        elif isinstance(event, EvalEvent):
            self._curve = replace(
                curve,
                eval_steps=(*curve.eval_steps, event.step),
                psnrs=(*curve.psnrs, event.psnr),
            )
        elif isinstance(event, FinishedEvent):
            self._next_snapshot = 0.0
            self._set_state("ended")  # what follows can be neither paused nor stopped
        self._snapshot()
        if self._governor is not None:
            self._governor.tick()
        if not self._running.is_set():
            self.server.scheduler.set_share(1.0)  # there is no training to be slowed down
            self._running.wait()

    def _progress(self, message: Training, event: StepEvent) -> None:
        now = self._clock()
        if now < self._next_message:
            return
        self._next_message = now + MESSAGE_SECONDS
        psnr = f", held-out PSNR {self._curve.psnrs[-1]:.2f} dB" if self._curve.psnrs else ""
        text = (
            f"step {event.step:,} of {event.total_steps:,}, {event.steps_per_second:.1f} step/s, "
            f"{event.size:,} {size_unit(message.method)}, loss {event.loss:.4f}{psnr}, "
            f"{event.eta_seconds / 60:.1f} min left"
        )
        fraction = event.step / max(1, event.total_steps)

        def change(content: Content) -> Content:
            state = content.training.state if content.training else "training"
            return replace(
                content, curve=self._curve, training=TrainingState(state, text, fraction)
            )

        self._workspace.update(change)

    def _snapshot(self) -> None:
        """Show the model as it is now, if it is time and someone looks."""
        now = self._clock()
        if self._trainer is None or now < self._next_snapshot or not self.server.watched:
            return
        self._next_snapshot = now + SNAPSHOT_SECONDS  # even if this one fails
        model = self._trainer.snapshot()
        took = self._clock() - now
        if self._governor is not None:
            self._governor.hold_up(took)
        self._next_snapshot = now + max(SNAPSHOT_SECONDS, took / SNAPSHOT_SHARE)
        key = model.method

        def change(content: Content) -> Content:
            named = NamedModel(key, f"{key} (training)", model)
            others = tuple(m for m in content.models if m.key != key)
            return replace(content, models=(named, *others))

        self._workspace.update(change)

    def _ungoverned(self) -> None:
        self._governor = None
        self.server.scheduler.set_share(1.0)

    def _say(self, text: str) -> None:
        """A line for the pages: large while there is no picture yet."""

        def change(content: Content) -> Content:
            state = content.training or TrainingState()
            note = text if content.phase == "loading" else content.note
            return replace(content, note=note, training=replace(state, text=text))

        self._workspace.update(change)

    def _set_state(self, state: TrainingPhase) -> None:
        def change(content: Content) -> Content:
            training = content.training or TrainingState()
            return replace(content, training=replace(training, state=state))

        self._workspace.update(change)


def _thinned(curve: Curve) -> Curve:
    """Every second point once there are too many: the shape stays, the page stays light."""
    if len(curve.steps) <= CURVE_POINTS:
        return curve
    return replace(curve, steps=curve.steps[::2], losses=curve.losses[::2])
