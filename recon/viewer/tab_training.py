"""The "Training" tab of a fit that is watched: progress, pause, stop and save."""

from __future__ import annotations

from typing import Protocol

import viser

from recon.viewer.charts import Charts
from recon.viewer.session import Session
from recon.viewer.wire import on_click
from recon.viewer.wording import as_html


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
        self._text = gui.add_html("")
        self._buttons: tuple[viser.GuiButtonHandle, ...] = ()
        if not readonly:
            self._buttons = self._add_buttons(control)
        self._charts = Charts(gui)
        self.update()

    def _add_buttons(self, control: TrainingControl) -> tuple[viser.GuiButtonHandle, ...]:
        """Pause, resume, stop. A page that may only look does not even get them hidden."""
        gui = self._session.client.gui
        pause = gui.add_button(
            "Pause",
            icon=viser.Icon.PLAYER_PAUSE,
            visible=False,
            hint="Hold training up between two steps: pictures are as fast as can be meanwhile",
        )
        resume = gui.add_button("Resume", icon=viser.Icon.PLAYER_PLAY, color="green", visible=False)
        stop = gui.add_button(
            "Stop and save",
            icon=viser.Icon.DEVICE_FLOPPY,
            color="red",
            visible=False,
            disabled=not control.can_stop,
            hint="Training ends after this step; the model is saved and evaluated",
        )
        on_click(self._session, pause, control.pause)
        on_click(self._session, resume, control.resume)
        on_click(self._session, stop, control.stop_and_save)
        return pause, resume, stop

    def update(self) -> None:
        """Show the training as it stands."""
        content = self._session.content
        training = content.training
        if training is None:
            return
        self._bar.value = 100.0 * training.fraction
        words = {"paused": "Paused.", "stopping": "Stopping and saving ..."}
        self._text.content = as_html(training.text, state=words.get(training.state, ""))
        shown = (
            training.state == "training",
            training.state == "paused",
            training.state in ("training", "paused"),
        )
        for button, visible in zip(self._buttons, shown, strict=False):
            button.visible = visible
        self._charts.update(content.curve)
