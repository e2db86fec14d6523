"""What a splat backend computes: the semantics that all backends share.

Space and units: means in scene units; pixels with centres at 0.5; OpenCV camera axes.

Rendering of N splats from a pinhole camera (Kerbl et al. 2023; Zwicker et al. 2002):

1. `p = R m + t` in camera space; a splat is used when `p.z > NEAR`.
2. 3D covariance `M M^T` with `M = rot(quat / |quat|) diag(exp(log_scales))`.
3. 2D covariance `J W cov W^T J^T + BLUR I` with the Jacobian J of the perspective projection
   taken at p with `x/z` and `y/z` clamped to the image's field of view widened by
   CLAMP_FOV (15 %) of the image's size on each side (in the Jacobian only; the mean
   is not clamped, and a clamped coordinate passes no gradient through J's x/z or y/z).
4. `o = sigmoid(logit_opacity)`; with `antialias` it is multiplied by
   `sqrt(max(det(cov2d without blur) / det(cov2d), COMPENSATION_FLOOR))` (Yu et al. 2024).
   A splat with `o < ALPHA_MIN` is dropped.
5. colour `max(0, 0.5 + sum_k sh_k Y_k(d))`, d the unit vector from the camera centre to m.
6. Splats in the order of `p.z` (ties by index) are blended at each pixel centre:
   `alpha = min(ALPHA_MAX, o exp(-1/2 d^T cov2d^-1 d))`; skipped when `alpha < ALPHA_MIN`;
   `w = alpha T`, `T <- T (1 - alpha)`; when T falls under T_MIN it becomes 0 exactly.
7. `color = sum w c + T background`, `alpha = 1 - T`, `depth_sum = sum w p.z`.

Gradients: of everything but the choices (culling, order, thresholds), with a zero gradient where
a clamp is active (alpha at ALPHA_MAX, colour at 0, T set to 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

NEAR = 0.01
BLUR = 0.3
CLAMP_FOV = 0.15
COMPENSATION_FLOOR = 2.5e-5
ALPHA_MIN = 1.0 / 255.0
ALPHA_MAX = 0.999
T_MIN = 2e-3  # half a grey level: what lies behind changes no picture that can be shown


@dataclass(frozen=True)
class PinholeView:
    """The camera as backends take it: plain numbers, `cam_from_world` rotation row-major."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    rotation: tuple[float, ...]
    translation: tuple[float, float, float]


@dataclass(frozen=True)
class RasterOptions:
    """background: sRGB colour; sh_degree: highest degree used; antialias: see step 4."""

    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sh_degree: int = 3
    antialias: bool = False


@dataclass(frozen=True)
class SplatTensors:
    """Shapes as in `SplatCloud`, as torch tensors (float32; the reference takes float64 too)."""

    means: torch.Tensor
    quats: torch.Tensor
    log_scales: torch.Tensor
    logit_opacities: torch.Tensor
    sh: torch.Tensor


@dataclass(frozen=True)
class RasterOutput:
    """color (H, W, 3), alpha (H, W), depth_sum (H, W): differentiable torch tensors."""

    color: torch.Tensor
    alpha: torch.Tensor
    depth_sum: torch.Tensor


class SplatBackend(Protocol):
    """Differentiable rendering of splats."""

    name: str

    def render(
        self, splats: SplatTensors, view: PinholeView, options: RasterOptions
    ) -> RasterOutput: ...
