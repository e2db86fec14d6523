"""The measures shown beside a comparison: the same functions that `recon eval` uses."""

from __future__ import annotations

import numpy as np

from recon.viewer.images import F32, Rgb8
from recon.viewer.workspace import ViewScore


def measure(truth: Rgb8, render: F32) -> ViewScore:
    """Quality of a render (H, W, 3), sRGB 0..1 not clamped, against the photo."""
    reference = truth.astype(np.float32) / 255.0
    error = np.clip(render, 0.0, 1.0) - reference
    mse = float(np.mean(np.square(error, dtype=np.float64)))
    return ViewScore(psnr=-10.0 * float(np.log10(max(mse, 1e-10))))
