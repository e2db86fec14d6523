"""Truth, renders and error at a photo's own camera: what is compared and how it is measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from recon.geometry import Camera
from recon.metrics import Mask, about_left_out, veil
from recon.model import RenderOutput
from recon.scene import PosedScene, View
from recon.viewer.compose import Arrangement, Pane, compose, place_panes
from recon.viewer.error_pane import ErrorKind, ErrorMap, map_error
from recon.viewer.images import Rgb8, resize_rgb, to_rgb8
from recon.viewer.photos import Photos
from recon.viewer.quality import measure
from recon.viewer.request import Frame
from recon.viewer.workspace import Content, NamedModel, ViewScore

MAX_METHODS = 3


@dataclass(frozen=True)
class Comparison:
    """What one client compares.

    Attributes:
        view: name of the photo; None compares the methods from the free camera.
        all_methods: render every method, not only the chosen one.
    """

    view: str | None
    arrangement: Arrangement = field(default_factory=Arrangement)
    all_methods: bool = True

    def methods(self, content: Content, chosen: str) -> tuple[NamedModel, ...]:
        """The models rendered, the chosen one first."""
        first = content.model(chosen)
        if first is None:
            return ()
        others = [m for m in content.models if m.key != first.key]
        if self.view is not None or any(not m.aside for m in others):
            others = [m for m in others if not m.aside]
        return (first, *others[: MAX_METHODS - 1]) if self.all_methods else (first,)

    def hint(self) -> str:
        """The line at the bottom of the canvas."""
        act = {
            "Panes": "drag: magnifier",
            "Split": "drag: divider",
            "Flicker": "F: switch, drag: magnifier",
        }[self.arrangement.layout]
        if self.view is None:
            act = {
                "Panes": "drag: move all at once, click: magnifier",
                "Split": "drag the divider, or beside it to move",
                "Flicker": "F: switch, drag: move, click: magnifier",
            }[self.arrangement.layout]
        return f"{act}   |   Esc: back to exploring"


@dataclass(frozen=True)
class PhotoTask:
    """A photo to compare with, as `recon eval` compares it.

    Attributes:
        camera: the photo's own, at the evaluation's size.
        truth: the photo at that size.
        counted: (H, W), False where its mask leaves pixels out; None when it leaves out none.
    """

    view: View
    scene: PosedScene
    long_side: int | None
    camera: Camera
    truth: Rgb8
    counted: Mask | None

    @classmethod
    def load(cls, content: Content, name: str, photos: Photos) -> PhotoTask | None:
        """None when there is no such photo.

        Raises:
            FormatError: the photo or its mask cannot be read.
        """
        view = content.view(name)
        if view is None or content.scene is None:
            return None
        camera = content.eval_camera(view)
        truth = photos.at(view, camera, content.scene)
        counted = photos.counted(view, camera)
        return cls(view, content.scene, content.eval_long_side, camera, truth, counted)

    def measure(self, output: RenderOutput) -> ViewScore | None:
        """Quality of a render of `camera`."""
        return measure(output, self.view, self.scene, self.long_side)


@dataclass(frozen=True)
class Rendered:
    """One method's picture; the score against the photo once it is at full size."""

    named: NamedModel
    image: Rgb8
    score: ViewScore | None = None


@dataclass(frozen=True)
class ComparisonPicture:
    """The pictures of one comparison.

    Attributes:
        width, height: of each picture at full size.
        view, truth: the photo, at the size that `recon eval` compares; None for a free camera.
        final: the renders are at full size.
        counted: see `PhotoTask`.
        errors: maps that were made already: dragging shows them many times.
    """

    width: int
    height: int
    rendered: tuple[Rendered, ...]
    final: bool
    view: View | None = None
    truth: Rgb8 | None = None
    counted: Mask | None = None
    errors: dict[ErrorKind, ErrorMap] = field(default_factory=dict, compare=False)

    @classmethod
    def at_photo(
        cls, photo: PhotoTask, named: tuple[NamedModel, ...], frame: Frame
    ) -> ComparisonPicture:
        """From a frame of the photo's camera; not measured yet."""
        height, width = photo.truth.shape[:2]
        rendered = tuple(
            Rendered(one, resize_rgb(to_rgb8(output.color), width, height))
            for one, output in zip(named, frame.outputs, strict=True)
        )
        return cls(width, height, rendered, frame.final, photo.view, photo.truth, photo.counted)

    def measured(self, photo: PhotoTask, frame: Frame) -> ComparisonPicture:
        """With the scores of a final frame."""
        rendered = tuple(
            replace(one, score=photo.measure(output))
            for one, output in zip(self.rendered, frame.outputs, strict=True)
        )
        return replace(self, rendered=rendered)

    @classmethod
    def at_camera(
        cls, camera: Camera, named: tuple[NamedModel, ...], frame: Frame
    ) -> ComparisonPicture:
        """From a frame of a free camera."""
        rendered = tuple(
            Rendered(one, to_rgb8(output.color))
            for one, output in zip(named, frame.outputs, strict=True)
        )
        return cls(camera.width, camera.height, rendered, frame.final)

    def error(self, kind: ErrorKind) -> ErrorMap | None:
        """The first method's error; None without a photo or a method.

        Raises:
            BackendUnavailable: what was asked for is not installed.
        """
        if self.truth is None or not self.rendered:
            return None
        if kind not in self.errors:
            self.errors[kind] = map_error(kind, self.rendered[0].image, self.truth, self.counted)
        return self.errors[kind]

    def panes(self, error: ErrorKind = "Absolute") -> list[Pane]:
        """Truth, each method, then the first method's error; what does not count is hatched."""
        panes: list[Pane] = []
        masked = about_left_out(self.counted)
        if self.view is not None and self.truth is not None:
            kind = "photo, held out" if self.view.split == "test" else "photo, TRAINED ON"
            panes.append(Pane(f"{kind}: {self.view.name}", veil(self.truth, self.counted)))
        for one in self.rendered:
            score = "" if one.score is None else f"  {one.score.psnr:.2f} dB"
            if one.score is not None and one.score.ssim is not None:
                score += f"  SSIM {one.score.ssim:.3f}"
            score += f", {masked}" if masked else ""
            panes.append(Pane(one.named.label + score, veil(one.image, self.counted)))
        shown = self.error(error)
        if shown is not None:
            panes.append(Pane(f"{self.rendered[0].named.label}: {shown.title}", shown.picture))
        return panes

    @property
    def pane_count(self) -> int:
        """Length of `panes`."""
        return len(self.rendered) + (0 if self.truth is None else 1 + bool(self.rendered))

    def compose(self, comparison: Comparison, width: int, height: int, dark: bool) -> Rgb8:
        """The canvas."""
        arrangement = replace(comparison.arrangement, dark=dark, hint=comparison.hint())
        panes = self.panes(arrangement.error)
        return compose(panes, self.width / self.height, arrangement, width, height)

    def locate(
        self, comparison: Comparison, at: tuple[float, float], width: int, height: int
    ) -> tuple[float, float] | None:
        """Canvas fractions to fractions of the picture that lies there; None beside all."""
        arrangement = comparison.arrangement
        count = self.pane_count if arrangement.layout == "Panes" else 1
        for place in place_panes(count, self.width / self.height, width, height):
            found = place.fraction(at[0] * width, at[1] * height)
            if found is not None:
                return found
        return None
