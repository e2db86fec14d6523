"""The neutral splat container that trainers, renderers and file formats exchange."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import FormatError

F32 = NDArray[np.float32]


def normalised_quats(quats: F32) -> F32:
    """Unit quaternions (N, 4); the identity where the norm is 0."""
    # float64, so that neither tiny nor huge values leave its range when squared.
    q = quats.astype(np.float64)
    norm = np.linalg.norm(q, axis=1, keepdims=True)
    identity = np.array([1.0, 0.0, 0.0, 0.0])
    return np.where(norm > 0, q / np.where(norm > 0, norm, 1.0), identity).astype(np.float32)


@dataclass(frozen=True)
class SplatCloud:
    """N Gaussian splats, unconstrained parameterisation, C-contiguous float32.

    Attributes:
        means: (N, 3) centres, in the space named by whoever holds the cloud.
        quats: (N, 4) rotations, wxyz, not necessarily normalised.
        log_scales: (N, 3) natural log of the standard deviations.
        logit_opacities: (N,).
        sh: (N, K, 3) spherical-harmonic coefficients, K in 1, 4, 9, 16; the colour is
            0.5 + sum_k sh_k Y_k(direction), clamped at 0 from below.
    """

    means: F32
    quats: F32
    log_scales: F32
    logit_opacities: F32
    sh: F32

    def __post_init__(self) -> None:
        n = len(self.means)
        k = self.sh.shape[1] if self.sh.ndim == 3 else -1
        good = (
            self.means.shape == (n, 3)
            and self.quats.shape == (n, 4)
            and self.log_scales.shape == (n, 3)
            and self.logit_opacities.shape == (n,)
            and self.sh.shape == (n, k, 3)
            and k in (1, 4, 9, 16)
        )
        if not good:
            raise FormatError(
                "the arrays of a splat cloud do not fit together: "
                f"means {self.means.shape}, quats {self.quats.shape}, "
                f"log_scales {self.log_scales.shape}, "
                f"logit_opacities {self.logit_opacities.shape}, sh {self.sh.shape}"
            )

    def require_finite(self, where: Path) -> None:
        """Raise `FormatError`, naming `where` they should have gone, unless all values are."""
        for field in ("means", "quats", "log_scales", "logit_opacities", "sh"):
            if not np.isfinite(getattr(self, field)).all():
                raise FormatError(
                    f"the splats have {field} that are not finite",
                    where=where,
                    remedy="this model is broken; take an earlier checkpoint",
                )

    def unit_quats(self) -> F32:
        """(N, 4) normalised rotations; the identity where the norm is 0."""
        return normalised_quats(self.quats)

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        return {1: 0, 4: 1, 9: 2, 16: 3}[self.sh.shape[1]]
