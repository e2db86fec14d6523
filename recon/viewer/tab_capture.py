"""The "Capture" tab: what was photographed, what failed, how training went, the methods."""

from __future__ import annotations

from recon.fit.quality import size_unit
from recon.viewer.charts import Charts
from recon.viewer.overlays import TEST_COLOUR, TRAIN_COLOUR
from recon.viewer.session import Session
from recon.viewer.workspace import Content


class CaptureTab:
    """Builds the tab in the present container; `update` follows the content."""

    def __init__(self, session: Session) -> None:
        self._session = session
        gui = session.client.gui
        self._text = gui.add_markdown("")
        self._charts = Charts(gui)
        self.update()

    def update(self) -> None:
        """Show the content as it is now."""
        content = self._session.content
        text = "\n\n".join(filter(None, (_capture(content), _methods(content), _failed(content))))
        if self._text.content != text:
            self._text.content = text
        self._charts.update(content.curve)


def _capture(content: Content) -> str:
    scene = content.scene
    if scene is None:
        return ""
    return (
        f"**{_plain(content.title)}**: {len(scene.views)} photos with a camera "
        f"({_swatch(TRAIN_COLOUR)} {len(scene.train_views)} for training, "
        f"{_swatch(TEST_COLOUR)} {len(scene.test_views)} held out), "
        f"{len(scene.points):,} sparse points."
    )


def _swatch(colour: tuple[int, int, int]) -> str:
    return f'<span style="color: rgb{colour}">\N{BLACK SQUARE}</span>'


def _failed(content: Content) -> str:
    if content.scene is None or not content.scene.failed:
        return ""
    rows = [f"- {_plain(name)}: {_plain(reason)}" for name, reason in content.scene.failed]
    head = "1 photo has" if len(rows) == 1 else f"{len(rows)} photos have"
    return f"**{head} no camera:**\n\n" + "\n".join(rows)


def _methods(content: Content) -> str:
    if not content.scores:
        return ""
    rows = [
        "| method | PSNR, dB | SSIM | training | size |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in content.scores:
        ssim = "-" if row.ssim is None else f"{row.ssim:.3f}"
        time = "-" if row.train_seconds is None else f"{row.train_seconds / 60:.1f} min"
        size = "-" if row.size is None else f"{row.size:,} {size_unit(row.method)}"
        rows.append(f"| {row.method} | {row.psnr:.2f} | {ssim} | {time} | {size} |")
    return "**Quality at the held-out photos**\n\n" + "\n".join(rows)


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is: file names may hold anything."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-.!|~" else c for c in text)
