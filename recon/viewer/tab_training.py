"""The "Training" tab of a fit that is watched: progress, pause, stop and save."""

from __future__ import annotations

from typing import Protocol

import viser

from recon.viewer.session import Session


class TrainingControl(Protocol):
    """What the buttons act on."""

    @property
    def can_stop(self) -> bool: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def stop_and_save(self) -> None: ...


class TrainingTab:
    """Builds the tab in the present container; `update` follows the content."""

    def __init__(self, session: Session, control: TrainingControl, readonly: bool) -> None:
        self._session = session
        gui = session.client.gui
        self._bar = gui.add_progress_bar(0.0, animated=True)
        self._text = gui.add_markdown("")
        self._active = not readonly
        self._pause = gui.add_button("Pause", icon=viser.Icon.PLAYER_PAUSE, visible=False)
        self._resume = gui.add_button(
            "Resume", icon=viser.Icon.PLAYER_PLAY, color="green", visible=False
        )
        self._stop = gui.add_button(
            "Stop and save",
            icon=viser.Icon.DEVICE_FLOPPY,
            color="red",
            visible=False,
            hint="Training ends after this step; the model is saved and evaluated",
        )
        self._can_stop = control.can_stop
        self._pause.on_click(lambda _: control.pause())
        self._resume.on_click(lambda _: control.resume())
        self._stop.on_click(lambda _: control.stop_and_save())
        self.update()

    def update(self) -> None:
        """Show the training as it stands."""
        training = self._session.content.training
        if training is None:
            return
        self._bar.value = 100.0 * training.fraction
        words = {"paused": "**Paused.** ", "stopping": "**Stopping and saving ...** "}
        self._text.content = words.get(training.state, "") + training.text
        self._pause.visible = self._active and training.state == "training"
        self._resume.visible = self._active and training.state == "paused"
        running = training.state in ("training", "paused")
        self._stop.visible = self._active and self._can_stop and running
