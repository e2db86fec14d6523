"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_scene() -> Callable[[str], Path]:
    """Gives the folder of a public capture by name, or skips the test with the reason.

    They lie in `../shared/scenes` beside the project, or where RECON_SCENES points.
    """
    folder = Path(os.environ.get("RECON_SCENES", ROOT.parent / "shared" / "scenes"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.is_dir():
            pytest.skip(f"the public capture {name!r} is not at {path} (set RECON_SCENES)")
        return path

    return find


@pytest.fixture
def write_photo() -> Callable[..., Path]:
    """Writes a small photo of noise; every seed gives another one."""

    def write(
        path: Path,
        seed: int = 0,
        size: tuple[int, int] = (64, 48),
        mode: str = "RGB",
        exif: Image.Exif | None = None,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
        pixels = rng.integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
        image = Image.frombytes(mode, size, pixels.tobytes())
        options = {} if exif is None else {"exif": exif}
        image.save(path, **options)
        return path

    return write
