"""The "Capture" tab: what was photographed, what failed, how training went, the methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import viser
from viser import uplot

from recon.viewer.overlays import TEST_COLOUR, TRAIN_COLOUR
from recon.viewer.session import Session
from recon.viewer.workspace import Content, Curve

LOSS_COLOUR = "#1c7ed6"
PSNR_COLOUR = "#f08c00"


class CaptureTab:
    """Builds the tab in the present container; `update` follows the content."""

    def __init__(self, session: Session) -> None:
        self._session = session
        gui = session.client.gui
        self._text = gui.add_markdown("")
        self._loss = self._psnr = None
        self._curve = Curve()
        self._gui = gui
        self._charts = gui.add_folder("Training", visible=False)
        self.update()

    def update(self) -> None:
        """Show the content as it is now."""
        content = self._session.content
        text = "\n\n".join(filter(None, (_capture(content), _methods(content), _failed(content))))
        if self._text.content != text:
            self._text.content = text
        if content.curve != self._curve:
            self._curve = content.curve
            self._draw(content.curve)

    def _draw(self, curve: Curve) -> None:
        self._charts.visible = bool(curve.steps or curve.eval_steps)
        loss = _Line("Loss", LOSS_COLOUR, curve.steps, curve.losses)
        psnr = _Line("Held-out PSNR (dB)", PSNR_COLOUR, curve.eval_steps, curve.psnrs)
        with self._charts:
            self._loss = _chart(self._gui, self._loss, loss)
            self._psnr = _chart(self._gui, self._psnr, psnr)


@dataclass(frozen=True)
class _Line:
    title: str
    colour: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


def _chart(
    gui: viser.GuiApi, chart: viser.GuiUplotHandle | None, line: _Line
) -> viser.GuiUplotHandle | None:
    """Make or update a chart; a line needs two points."""
    if len(line.steps) < 2:
        return chart
    data = (np.array(line.steps, np.float64), np.array(line.values, np.float64))
    if chart is not None:
        chart.data = data
        return chart
    return gui.add_uplot(
        data=data,
        series=(
            uplot.Series(label="step"),
            uplot.Series(label=line.title, stroke=line.colour, width=2),
        ),
        scales={"x": uplot.Scale(time=False, auto=True), "y": uplot.Scale(auto=True)},
        title=line.title,
        aspect=1.8,
    )


def _capture(content: Content) -> str:
    scene = content.scene
    if scene is None:
        return ""
    return (
        f"**{content.title}**: {len(scene.views)} photos with a camera "
        f"({_swatch(TRAIN_COLOUR)} {len(scene.train_views)} for training, "
        f"{_swatch(TEST_COLOUR)} {len(scene.test_views)} held out), "
        f"{len(scene.points):,} sparse points."
    )


def _swatch(colour: tuple[int, int, int]) -> str:
    return f'<span style="color: rgb{colour}">\N{BLACK SQUARE}</span>'


def _failed(content: Content) -> str:
    if content.scene is None or not content.scene.failed:
        return ""
    rows = [f"- `{name}`: {reason}" for name, reason in content.scene.failed]
    head = "1 photo has" if len(rows) == 1 else f"{len(rows)} photos have"
    return f"**{head} no camera:**\n\n" + "\n".join(rows)


def _methods(content: Content) -> str:
    if not content.scores:
        return ""
    rows = [
        "| method | PSNR | SSIM | time | size |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in content.scores:
        ssim = "-" if row.ssim is None else f"{row.ssim:.3f}"
        time = "-" if row.train_seconds is None else f"{row.train_seconds / 60:.1f} min"
        size = "-" if row.size is None else f"{row.size:,}"
        rows.append(f"| {row.method} | {row.psnr:.2f} | {ssim} | {time} | {size} |")
    return "**Held-out quality**\n\n" + "\n".join(rows)
