"""`PosedScene`: photos with cameras and a sparse cloud, in a normalised space.

What the capture and SfM layers hand to every trainer, to the evaluation and to the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recon.geometry import Camera, Sim3

Split = Literal["train", "test"]


@dataclass(frozen=True)
class View:
    """One undistorted photo with its camera.

    Attributes:
        name: the photo's name relative to the capture's image folder; unique in a scene.
        image_path: the undistorted image on disk, RGB or RGBA, of the camera's size.
        camera: pinhole camera in normalised space, at the image's size.
        split: "train" or "test" (held out: no trainer ever loads it).
        mask_path: grey image of the same size, 0 where pixels must not count; or None.
    """

    name: str
    image_path: Path
    camera: Camera
    split: Split
    mask_path: Path | None = None


@dataclass(frozen=True)
class SparsePoints:
    """Sparse cloud in normalised space: xyz (N, 3) float32, rgb (N, 3) uint8."""

    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass(frozen=True)
class PosedScene:
    """Views, cloud and the way back to the capture's own world.

    Attributes:
        views: sorted by name.
        points: in normalised space: centred, +Z up, cameras within about unit distance.
        norm_from_world: Sim3 from the capture's (SfM's or given) world.
        background: sRGB colour that transparent pixels are composited on (Blender-style
            captures with alpha: white), or None for ordinary photos without alpha.
        failed: photos that have no camera: name -> reason in plain words.
    """

    views: tuple[View, ...]
    points: SparsePoints
    norm_from_world: Sim3
    background: tuple[float, float, float] | None = None
    failed: tuple[tuple[str, str], ...] = ()

    def view(self, name: str) -> View | None:
        """The view of a name."""
        return next((v for v in self.views if v.name == name), None)

    @property
    def train_views(self) -> tuple[View, ...]:
        return tuple(v for v in self.views if v.split == "train")

    @property
    def test_views(self) -> tuple[View, ...]:
        return tuple(v for v in self.views if v.split == "test")
