"""Renders that a foreign program left as PNG files, as a model of the held-out views."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.errors import FormatError
from recon.formats.images import load_rgb8
from recon.geometry import Camera
from recon.model import RenderOptions, RenderOutput
from recon.scene import PosedScene


class PictureModel:
    """`RadianceModel` that can only show what it has pictures of.

    Args:
        method: name in the results.
        size: parameters of the model that made the pictures.
        files: photo name -> PNG, of every held-out view of `scene`.
    """

    def __init__(self, method: str, size: int, scene: PosedScene, files: dict[str, Path]) -> None:
        self._method = method
        self._size = size
        self._views = [(view.camera, files[view.name]) for view in scene.test_views]

    @property
    def method(self) -> str:
        return self._method

    @property
    def size(self) -> int:
        return self._size

    def render(self, camera: Camera, options: RenderOptions | None = None) -> RenderOutput:
        """The picture from the camera's pose, 8 bits; at another size it is area-averaged."""
        del options
        for known, path in self._views:
            if np.allclose(known.cam_from_world, camera.cam_from_world):
                rgb = load_rgb8(path, camera.width, camera.height, None)
                color = rgb.astype(np.float32) / 255
                return RenderOutput(color, np.ones(color.shape[:2], np.float32))
        raise FormatError("there is no picture from this camera")

    def save(self, path: Path) -> None:
        raise FormatError("pictures are no model that could be saved", where=path)
