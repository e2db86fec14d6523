"""Truth, renders and error at a photo's own camera: what is compared and how it is measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from recon.model import RenderOutput
from recon.scene import View
from recon.viewer.compose import Arrangement, Pane, compose
from recon.viewer.images import HEAT, Rgb8, colour_map, resize_rgb, to_rgb8
from recon.viewer.quality import measure
from recon.viewer.scheduler import Frame
from recon.viewer.workspace import Content, NamedModel, ViewScore

ERROR_FULL_SCALE = 0.25
"""Mean absolute difference over the channels that is drawn white."""

MAX_METHODS = 3
HINTS = {
    "Panes": "drag: magnifier   |   Esc: back to exploring",
    "Split": "drag: divider   |   Esc: back to exploring",
    "Flicker": "F: switch   |   Esc: back to exploring",
}


@dataclass(frozen=True)
class Comparison:
    """What one client compares.

    Attributes:
        view: name of the photo.
        all_methods: render every method, not only the chosen one.
    """

    view: str
    arrangement: Arrangement = field(default_factory=Arrangement)
    all_methods: bool = True

    def methods(self, content: Content, chosen: str) -> tuple[NamedModel, ...]:
        """The models rendered, the chosen one first."""
        first = content.model(chosen)
        if first is None:
            return ()
        others = [m for m in content.models if m.key != first.key and "@" not in m.key]
        return (first, *others[: MAX_METHODS - 1]) if self.all_methods else (first,)


@dataclass(frozen=True)
class Rendered:
    """One method's picture at the view; the score once it is at full size."""

    named: NamedModel
    image: Rgb8
    score: ViewScore | None


@dataclass(frozen=True)
class ComparisonPicture:
    """The pictures of one comparison, at the size that `recon eval` compares."""

    view: View
    truth: Rgb8
    rendered: tuple[Rendered, ...]

    @classmethod
    def of(
        cls, view: View, truth: Rgb8, named: tuple[NamedModel, ...], frame: Frame
    ) -> ComparisonPicture:
        """From a frame of the view's camera; measured when the frame is final."""
        return cls(
            view,
            truth,
            tuple(
                _rendered(truth, one, output, frame.final)
                for one, output in zip(named, frame.outputs, strict=True)
            ),
        )

    def panes(self) -> list[Pane]:
        """Truth, each method, then the first method's error."""
        kind = "photo (held out)" if self.view.split == "test" else "photo (TRAINED ON)"
        panes = [Pane(f"{kind}  {self.view.name}", self.truth)]
        for one in self.rendered:
            score = "" if one.score is None else f"  {one.score.psnr:.2f} dB"
            if one.score is not None and one.score.ssim is not None:
                score += f"  SSIM {one.score.ssim:.3f}"
            panes.append(Pane(one.named.label + score, one.image))
        if self.rendered:
            first = self.rendered[0]
            title = f"error of {first.named.label}  (white: {ERROR_FULL_SCALE:.0%} and more)"
            panes.append(Pane(title, error_picture(self.truth, first.image)))
        return panes

    def compose(self, comparison: Comparison, width: int, height: int, dark: bool) -> Rgb8:
        """The canvas."""
        arrangement = comparison.arrangement
        hint = HINTS[arrangement.layout] if width >= 480 else ""
        return compose(self.panes(), replace(arrangement, dark=dark, hint=hint), width, height)


def error_picture(truth: Rgb8, render: Rgb8) -> Rgb8:
    """Mean absolute difference over the channels, black to white at the full scale."""
    difference = np.abs(truth.astype(np.int16) - render.astype(np.int16)).mean(axis=2)
    return colour_map((difference / (255.0 * ERROR_FULL_SCALE)).astype(np.float32), HEAT)


def _rendered(truth: Rgb8, named: NamedModel, output: RenderOutput, final: bool) -> Rendered:
    height, width = truth.shape[:2]
    image = resize_rgb(to_rgb8(output.color), width, height)
    score = measure(truth, output.color) if final else None
    return Rendered(named, image, score)
