"""What covers one page's canvas in place of the free view: a comparison, or the thumbnails."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np

from recon.viewer.compare import Comparison, ComparisonPicture
from recon.viewer.compose import Arrangement, divider_at
from recon.viewer.gallery import Gallery

SAME_PLACE = 0.06
"""A click so near the magnifier's middle, in fractions of the picture, puts it away."""


class Board:
    """State of what covers the canvas; shows nothing itself. Thread-safe.

    Places are (x, y) in fractions of the canvas, sizes (width, height) of the canvas in pixels.

    Attributes:
        arrangement: how this comparison and those to come are laid out.
        comparison: what is compared; None when nothing is.
        picture: the newest renders of the comparison; None until there are any.
        gallery: the thumbnails; None when there are none, and during a comparison.
    """

    def __init__(self) -> None:
        self.arrangement = Arrangement()
        self.comparison: Comparison | None = None
        self.picture: ComparisonPicture | None = None
        self.gallery: Gallery | None = None
        self._lock = threading.RLock()

    @property
    def fixed(self) -> bool:
        """Whether the canvas shows pictures that do not follow the camera."""
        with self._lock:
            at_photo = self.comparison is not None and self.comparison.view is not None
            return at_photo or self.gallery is not None

    @property
    def shown(self) -> tuple[Comparison | None, ComparisonPicture | None]:
        """The comparison and its picture, as they belong together."""
        with self._lock:
            return self.comparison, self.picture

    # What lies there.

    def clear(self) -> bool:
        """Back to the free view; returns whether anything lay there."""
        with self._lock:
            covered = self.comparison is not None or self.gallery is not None
            self.comparison = self.picture = self.gallery = None
            return covered

    def compare(self, view: str | None) -> None:
        """Begin a comparison at a photo, or from the free camera."""
        with self._lock:
            self.comparison = Comparison(view, self.arrangement)
            self.picture = self.gallery = None

    def show_gallery(self, gallery: Gallery) -> None:
        """Put the thumbnails there."""
        with self._lock:
            self.comparison = self.picture = None
            self.gallery = gallery

    def put(self, view: str | None, picture: ComparisonPicture) -> bool:
        """Newer renders of the comparison at `view`; False when that is over."""
        with self._lock:
            if self.comparison is None or self.comparison.view != view:
                return False
            self.picture = picture
            return True

    def arrange(self, **changes: Any) -> bool:
        """Change fields of the arrangement; returns whether other renders are needed for it."""
        with self._lock:
            self.arrangement = replace(self.arrangement, **changes)
            if self.comparison is None:
                return False
            # From a free camera, the layout decides what the panes see.
            other = "layout" in changes and self.comparison.view is None
            self.comparison = replace(self.comparison, arrangement=self.arrangement)
            if other:
                self.picture = None
            return other

    # Presses and drags.

    def dragged(self, at: tuple[float, float], size: tuple[int, int]) -> dict[str, Any]:
        """What a drag changes in the arrangement: the divider or the magnifier."""
        comparison, picture = self.shown
        if comparison is None or picture is None:
            return {}
        place = picture.locate(comparison, at, *size)
        if place is not None and comparison.arrangement.layout == "Split":
            return {"split": place[0]}
        return {"magnifier": place}

    def pressed(self, at: tuple[float, float], size: tuple[int, int]) -> dict[str, Any]:
        """What a press changes: the same as a drag; from a free camera, where drags move that, the
        magnifier is put there or away."""
        comparison, picture = self.shown
        if comparison is None or picture is None or comparison.view is not None:
            return self.dragged(at, size)
        place = picture.locate(comparison, at, *size)
        here = comparison.arrangement.magnifier
        if place is not None and here is not None:
            away = float(np.abs(np.subtract(place, here)).max())
            place = None if away < SAME_PLACE else place
        return {"magnifier": place}

    def divider(self, size: tuple[int, int]) -> float | None:
        """Where a divider lies over pictures that follow the camera, as a fraction of the canvas's
        width; None when there is none."""
        comparison, picture = self.shown
        if comparison is None or comparison.view is not None or picture is None:
            return None
        if comparison.arrangement.layout != "Split" or len(picture.rendered) < 2:
            return None
        return divider_at(comparison.arrangement, picture.width / picture.height, size)
