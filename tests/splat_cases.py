"""Splat scenes with known answers: what the tests of every backend share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch

from recon.geometry import Camera, look_at
from recon.kernels import layout, ops
from recon.kernels.ops import RasterOptions, SplatTensors
from recon.kernels.reference import ReferenceBackend

FIELDS = ("means", "quats", "log_scales", "logit_opacities", "sh")


def make_splats(n: int, seed: int, *, scale: float = -2.2, k: int = 16) -> SplatTensors:
    """Splats in a unit ball, some large, some thin, float64."""
    g = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    return SplatTensors(
        means=0.6 * randn(n, 3),
        quats=randn(n, 4),
        log_scales=scale + 0.8 * randn(n, 3),
        logit_opacities=randn(n),
        sh=torch.cat([randn(n, 1, 3), 0.2 * randn(n, k - 1, 3)], 1),
    )


def cast(splats: SplatTensors, dtype: torch.dtype) -> SplatTensors:
    return SplatTensors(*(getattr(splats, f).detach().to(dtype).requires_grad_() for f in FIELDS))


def make_view(width: int = 75, height: int = 52) -> ops.PinholeView:
    camera = Camera(
        width=width,
        height=height,
        fx=70.0,
        fy=66.0,
        cx=width / 2 + 1.3,
        cy=height / 2 - 2.1,
        cam_from_world=look_at([0.4, -2.2, 0.7], [0.0, 0.1, 0.0], [0, 0, 1]),
    )
    return layout.pinhole_view(camera)


def boundary_band(splats: SplatTensors, view: ops.PinholeView, antialias: bool) -> torch.Tensor:
    """(H, W) bool: pixels where some threshold (alpha, transmittance) is within float error, so
    that two correct implementations may differ."""
    options = RasterOptions(antialias=antialias)
    backend = ReferenceBackend()
    with torch.no_grad():
        outs = [backend.render(splats, view, options)]
        nudged = replace(splats, logit_opacities=splats.logit_opacities + 3e-5)
        outs.append(backend.render(nudged, view, options))
        nudged = replace(splats, logit_opacities=splats.logit_opacities - 3e-5)
        outs.append(backend.render(nudged, view, options))
    spread = torch.stack([o.color for o in outs]).amax(0) - torch.stack(
        [o.color for o in outs]
    ).amin(0)
    return spread.amax(-1) > 4e-4


@dataclass(frozen=True)
class Case:
    """A scene with the reference's images, the clean pixels, and the gradients of a random sum."""

    splats: SplatTensors
    options: RasterOptions
    expected: ops.RasterOutput
    clean: torch.Tensor
    weights: tuple[torch.Tensor, ...]
    grads: dict[str, torch.Tensor]


def weighted_sum(out: ops.RasterOutput, weights: tuple[torch.Tensor, ...]) -> torch.Tensor:
    parts = (out.color, out.alpha, out.depth_sum)
    return sum((w.to(p.dtype) * p).sum() for w, p in zip(weights, parts, strict=True))


@cache
def reference_case(count: int, scale: float, antialias: bool) -> Case:
    splats = cast(make_splats(count, seed=count, scale=scale), torch.float64)
    view, options = make_view(), RasterOptions((0.3, 0.6, 0.1), 3, antialias)
    expected = ReferenceBackend().render(splats, view, options)
    clean = ~boundary_band(splats, view, antialias)
    g = torch.Generator().manual_seed(7)
    # Pixels in the band get no weight: two correct implementations may choose differently there.
    weights = tuple(
        torch.randn(part.shape, generator=g, dtype=torch.float64)
        * (clean[..., None] if part.ndim == 3 else clean)
        for part in (expected.color, expected.alpha, expected.depth_sum)
    )
    weighted_sum(expected, weights).backward()
    grads = {name: getattr(splats, name).grad for name in FIELDS}
    return Case(splats, options, expected, clean, weights, grads)
