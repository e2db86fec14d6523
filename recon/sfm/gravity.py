"""What is up in the world of a model, from the phones' sense of gravity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recon.capture.gravity import Direction
from recon.formats.lens import PosedLens

_FEWEST, _SHARE = 3, 0.5
_DEGREES = 5.0
"""How far the typical photo may be off: hands shake, and a wrong reading differs by far more."""


def up_from_gravity(
    cameras: Mapping[str, PosedLens], ups: Mapping[str, Direction]
) -> Direction | None:
    """The unit up direction of the world that most photos know, if they agree on it.

    Args:
        cameras: photo name -> pose.
        ups: photo name -> what is up in the camera's axes, where that is known.
    """
    known = [name for name in sorted(cameras) if name in ups]
    if len(known) < max(_FEWEST, _SHARE * len(cameras)):
        return None
    turns = np.stack([cameras[name].cam_from_world[:3, :3] for name in known])
    found = np.einsum("nji,nj->ni", turns, np.array([ups[name] for name in known]))
    mean = np.median(found, axis=0)
    length = float(np.linalg.norm(mean))
    if length < 0.5:
        return None
    mean = mean / length
    off = np.degrees(np.arccos(np.clip(found @ mean, -1.0, 1.0)))
    if float(np.median(off)) > _DEGREES:
        return None
    x, y, z = mean.tolist()
    return x, y, z
