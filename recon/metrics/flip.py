"""FLIP: where a person who switches between two pictures would see a difference.

Andersson et al., "FLIP: A Difference Evaluator for Alternating Images", 2020. The computation is
that of the authors' own package, which is optional.
"""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray

from recon.errors import BackendUnavailable
from recon.metrics.pair import Picture, checked_pair

FLIP_PACKAGE = "flip-evaluator"
PIXELS_PER_DEGREE = 67.0
"""Of visual angle: the authors' own choice, a 24-inch 4K screen seen from 0.7 m."""


def flip_installed() -> bool:
    """Whether the package is here; `flip_map` needs it."""
    return importlib.util.find_spec("flip_evaluator") is not None


def flip_map(image: Picture, truth: Picture) -> NDArray[np.float32]:
    """The FLIP error of each pixel (H, W), 0 (equal) to 1.

    Args:
        image, truth: (H, W, 3), sRGB; floats in 0..1 (clamped here) or uint8.

    Raises:
        BackendUnavailable: the package is not installed.
        OptionError: shapes that do not fit, or values that are not finite.
    """
    a, b = checked_pair(image, truth, None)
    try:
        from flip_evaluator import evaluate
    except ImportError as error:
        raise BackendUnavailable(
            f"FLIP is not installed ({error})", remedy=f"pip install {FLIP_PACKAGE}"
        ) from error
    parameters = {"ppd": PIXELS_PER_DEGREE}
    found, _, _ = evaluate(
        b, a, "LDR", applyMagma=False, computeMeanError=False, parameters=parameters
    )
    return np.asarray(found, np.float32).reshape(a.shape[:2])
