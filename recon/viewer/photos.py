"""The capture's photos and masks as arrays, at the sizes that are shown. Thread-safe."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import numpy as np

from recon.errors import ReconError
from recon.formats.images import load_counted, load_rgb8
from recon.geometry import Camera
from recon.metrics import Mask
from recon.scene import PosedScene, View
from recon.viewer.images import Rgb8

THUMBNAIL = 160
"""Longer side of a photo's thumbnail, pixels."""

Kept = TypeVar("Kept", Rgb8, Mask)


class Photos:
    """The capture's photos and masks at the sizes that are shown; the last few are kept, and all
    thumbnails."""

    def __init__(self, keep: int = 24) -> None:
        self._keep = keep
        self._cache: OrderedDict[tuple[Path, int, int], Rgb8 | Mask] = OrderedDict()
        self._thumbnails: dict[str, Rgb8] = {}
        self._lock = threading.Lock()

    def at(self, view: View, camera: Camera, scene: PosedScene) -> Rgb8:
        """The photo at the camera's size, transparent parts on the scene's background.

        Raises:
            FormatError: the file cannot be read.
        """
        load = partial(load_rgb8, background=scene.background)
        return self._kept(load, view.image_path, camera)

    def counted(self, view: View, camera: Camera) -> Mask | None:
        """Which pixels the photo's mask lets count, at the camera's size; None when all do.

        Raises:
            FormatError: the mask cannot be read.
        """
        if view.mask_path is None:
            return None
        mask = self._kept(load_counted, view.mask_path, camera)
        return None if mask.all() else mask

    def _kept(self, load: Callable[[Path, int, int], Kept], path: Path, camera: Camera) -> Kept:
        key = (path, camera.width, camera.height)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return cast(Kept, self._cache[key])
        loaded = load(*key)
        with self._lock:
            self._cache[key] = loaded
            while len(self._cache) > self._keep:
                self._cache.popitem(last=False)
        return loaded

    def thumbnail(self, view: View, scene: PosedScene) -> Rgb8:
        """A small copy, kept for all clients; grey when the photo cannot be read."""
        with self._lock:
            if view.name in self._thumbnails:
                return self._thumbnails[view.name]
        camera = view.camera.fit_long_side(THUMBNAIL)
        try:
            image = load_rgb8(view.image_path, camera.width, camera.height, scene.background)
        except (ReconError, OSError):
            image = np.full((camera.height, camera.width, 3), 128, np.uint8)
        with self._lock:
            self._thumbnails[view.name] = image
        return image
