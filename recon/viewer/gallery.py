"""All photos as thumbnails on the canvas: a click picks the one to compare."""

from __future__ import annotations

from dataclasses import dataclass

from recon.scene import View
from recon.viewer.compose import Arrangement, Pane, compose, place_panes
from recon.viewer.images import Rgb8, crop_to_aspect
from recon.viewer.photos import Photos
from recon.viewer.workspace import Content, NamedModel

HINT = "click a photo to compare it   |   Esc: back to exploring"
AT_MOST = 120
"""More thumbnails than this could not be told apart."""


@dataclass(frozen=True)
class Gallery:
    """Photos in the order shown, with the PSNR of a model where it was measured."""

    views: tuple[View, ...]
    captions: tuple[str, ...]

    @classmethod
    def of(cls, content: Content, named: NamedModel | None, split: str) -> Gallery:
        """The photos of a split ("test" or "train"), worst first."""
        scene = content.scene
        if scene is None:
            return cls((), ())
        views = list(scene.test_views if split == "test" else scene.train_views)
        if named is not None:
            views = content.worst_first(views, named)
        views = views[:AT_MOST]
        captions: list[str] = []
        for view in views:
            score = None if named is None else content.score(named.model.method, view.name)
            captions.append(view.name if score is None else f"{score.psnr:.1f} dB")
        return cls(tuple(views), tuple(captions))

    def compose(self, photos: Photos, content: Content, size: tuple[int, int], dark: bool) -> Rgb8:
        """The canvas of `size` (width, height)."""
        scene = content.scene
        aspect = self._aspect()
        panes = [
            Pane(caption, crop_to_aspect(photos.thumbnail(view, scene), aspect))
            for view, caption in zip(self.views, self.captions, strict=True)
            if scene is not None
        ]
        arrangement = Arrangement(dark=dark, hint=HINT)
        return compose(panes, aspect, arrangement, *size)

    def pick(self, at: tuple[float, float], size: tuple[int, int]) -> View | None:
        """The photo at fractions of the canvas."""
        width, height = size
        spots = place_panes(len(self.views), self._aspect(), width, height)
        for view, place in zip(self.views, spots, strict=True):
            if place.fraction(at[0] * width, at[1] * height) is not None:
                return view
        return None

    def _aspect(self) -> float:
        """Of all places; photos of other shapes are cropped to it."""
        if not self.views:
            return 1.0
        camera = self.views[0].camera
        return camera.width / camera.height
