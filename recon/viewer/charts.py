"""The training curve: loss and held-out PSNR over steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import viser
from viser import uplot

from recon.viewer.workspace import Curve

LOSS_COLOUR = "#1c7ed6"
PSNR_COLOUR = "#f08c00"


@dataclass(frozen=True)
class _Line:
    title: str
    colour: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


class Charts:
    """Two charts in the present container; each appears once it has two points."""

    def __init__(self, gui: viser.GuiApi) -> None:
        self._gui = gui
        self._folder = gui.add_folder("Course of training", visible=False)
        self._psnr: viser.GuiUplotHandle | None = None
        self._loss: viser.GuiUplotHandle | None = None
        self._shown = Curve()

    def update(self, curve: Curve) -> None:
        """Draw the curve if it changed."""
        if curve == self._shown:
            return
        self._shown = curve
        self._folder.visible = max(len(curve.steps), len(curve.eval_steps)) > 1
        with self._folder:
            self._psnr = self._draw(
                self._psnr,
                _Line("Held-out PSNR (dB)", PSNR_COLOUR, curve.eval_steps, curve.psnrs),
            )
            self._loss = self._draw(
                self._loss, _Line("Loss", LOSS_COLOUR, curve.steps, curve.losses)
            )

    def _draw(self, chart: viser.GuiUplotHandle | None, line: _Line) -> viser.GuiUplotHandle | None:
        if len(line.steps) < 2:
            return chart
        data = (np.array(line.steps, np.float64), np.array(line.values, np.float64))
        if chart is not None:
            chart.data = data
            return chart
        return self._gui.add_uplot(
            data=data,
            series=(
                uplot.Series(label="step"),
                uplot.Series(label=line.title, stroke=line.colour, width=2),
            ),
            scales={"x": uplot.Scale(time=False, auto=True), "y": uplot.Scale(auto=True)},
            title=line.title,
            aspect=1.8,
        )
