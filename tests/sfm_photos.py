"""What tests of single photos share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from recon.capture.types import Photo


def photo_of(path: Path, image: Image.Image, orientation: int = 1) -> Photo:
    image.save(path)
    width, height = image.size if orientation < 5 else image.size[::-1]
    has_alpha = "A" in image.getbands()
    return Photo(path.name, path, width, height, orientation, None, "", has_alpha, "0" * 64)


def pixel_grid(width: int, height: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
