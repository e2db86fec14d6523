"""The hash-grid field in plain torch: the oracle that the native kernels are tested against.

Readable rather than fast; float64-capable. `recon.kernels.field_ops` states the semantics, and the
numbers in brackets below refer to its points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import pad, relu

from recon.kernels.field_ops import (
    FAR_FROM,
    FEATURES,
    GEOMETRY,
    LAYERS,
    LEVELS,
    MAX_EXPONENT,
    PRIMES,
    FieldShape,
    March,
)
from recon.kernels.reference import sh_basis


@dataclass(frozen=True)
class RayOutput:
    """color (N, 3), transmittance (N,) behind everything, distance (N,): sum of weight times
    distance in box units, distortion (N,) [7]."""

    color: torch.Tensor
    transmittance: torch.Tensor
    distance: torch.Tensor
    distortion: torch.Tensor


def box_from_scene(shape: FieldShape, x: torch.Tensor) -> torch.Tensor:
    """Box coordinates of points (N, 3) in scene space [1]."""
    return (x - x.new_tensor(shape.centre)) / shape.half


def contract(p: torch.Tensor) -> torch.Tensor:
    """Points (..., 3) in box space squeezed into [-2, 2]^3 [1]."""
    inv = 1 / p.abs().amax(-1, keepdim=True).clamp_min(1.0)
    return p * (2 - inv) * inv


def unit_from_box(shape: FieldShape, p: torch.Tensor) -> torch.Tensor:
    """Unit cube coordinates of points (..., 3) in box space [1]."""
    return contract(p) / 4 + 0.5 if shape.contracted else p / 2 + 0.5


def encode(shape: FieldShape, table: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """(N, LEVELS * FEATURES) encoding of points (N, 3) in the unit cube [2].

    `table` (entries, FEATURES), already rounded if it should be.
    """
    out = []
    for level in range(LEVELS):
        resolution, first = shape.resolutions[level], shape.offsets[level]
        count = shape.offsets[level + 1] - first
        scaled = u * resolution
        cell = scaled.detach().floor().clamp(0, resolution - 1)
        f = scaled - cell
        cell = cell.to(torch.int64)
        total = torch.zeros(len(u), FEATURES, dtype=u.dtype)
        for corner in range(8):
            bits = [corner >> axis & 1 for axis in range(3)]
            at = [cell[:, axis] + bits[axis] for axis in range(3)]
            if shape.dense[level]:
                side = resolution + 1
                entry = at[0] + (at[1] + at[2] * side) * side
            else:
                h = [(at[axis] * PRIMES[axis]) & 0xFFFFFFFF for axis in range(3)]
                entry = (h[0] ^ h[1] ^ h[2]) & (count - 1)
            weight = torch.ones(len(u), dtype=u.dtype)
            for axis in range(3):
                weight = weight * (f[:, axis] if bits[axis] else 1 - f[:, axis])
            total = total + weight[:, None] * table[first + entry]
        out.append(total)
    return torch.cat(out, 1)


def layers(mlp: torch.Tensor) -> dict[str, torch.Tensor]:
    """The weights (WEIGHTS,) as one matrix (inputs, outputs) for each layer."""
    out, at = {}, 0
    for name, (inputs, outputs) in LAYERS.items():
        out[name] = mlp[at : at + inputs * outputs].view(inputs, outputs)
        at += inputs * outputs
    return out


class _Density(torch.autograd.Function):
    """exp with the clamps of [3]."""

    @staticmethod
    def forward(ctx, raw):
        ctx.save_for_backward(raw)
        return raw.clamp(max=MAX_EXPONENT).exp()

    @staticmethod
    def backward(ctx, *grad_outputs):
        (raw,) = ctx.saved_tensors
        return grad_outputs[0] * raw.clamp(-MAX_EXPONENT, MAX_EXPONENT).exp()


def geometry(
    shape: FieldShape, table: torch.Tensor, mlp: torch.Tensor, u: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Density (N,) in box units, and features (N, GEOMETRY), at unit cube positions [3]."""
    w = layers(mlp)
    features = relu(encode(shape, table, u) @ w["density1"]) @ w["density2"]
    density = _Density.apply(features[:, 0] + shape.density_bias)
    assert isinstance(density, torch.Tensor)
    return density, features


def color(mlp: torch.Tensor, features: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Colour (N, 3) of features (N, GEOMETRY) seen along unit directions (N, 3) [4]."""
    w = layers(mlp)
    assert features.shape[1] == GEOMETRY
    inputs = torch.cat([features, sh_basis(directions, 3)], 1)
    hidden = relu(relu(inputs @ w["color1"]) @ w["color2"])
    return (hidden @ w["color3"])[:, :3].sigmoid()


def march_table(march: March) -> torch.Tensor:
    """(2, K) float32, as in the kernels: distances and step lengths [5]."""
    t, out = np.float32(march.near), []
    shortest, cone, one = np.float32(march.shortest), np.float32(march.cone), np.float32(1)
    while t < march.far:
        step = max(shortest, t * cone) * max(t / np.float32(FAR_FROM), one)
        out.append((t, step))
        t = t + step
    return torch.tensor(np.array(out, np.float32).reshape(-1, 2).T.copy())


def is_occupied(shape: FieldShape, bits: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Whether unit cube positions (..., 3) lie in occupied cells; False outside the cube."""
    inside = ((u >= 0) & (u < 1)).all(-1)
    cell = (u * shape.grid).to(torch.int64).clamp(0, shape.grid - 1)
    index = (cell[..., 2] * shape.grid + cell[..., 1]) * shape.grid + cell[..., 0]
    return inside & (bits[index >> 3] >> (index & 7) & 1).to(torch.bool)


def render_rays(
    shape: FieldShape,
    table: torch.Tensor,
    mlp: torch.Tensor,
    bits: torch.Tensor,
    march: March,
    origins: torch.Tensor,
    directions: torch.Tensor,
    jitter: torch.Tensor,
    background: torch.Tensor,
    near: torch.Tensor | None = None,
) -> RayOutput:
    """Colours of rays from origins (N, 3) in scene space along unit directions (N, 3) [5, 6];
    without samples nearer than `near` (N,), box units."""
    steps = march_table(march).to(origins.dtype)
    t = steps[0] + jitter[:, None] * steps[1]
    points = box_from_scene(shape, origins)[:, None] + t[..., None] * directions[:, None]
    u = unit_from_box(shape, points)
    sampled = is_occupied(shape, bits, u)
    if near is not None:
        sampled = sampled & (t >= near[:, None])
    ray, k = torch.nonzero(sampled, as_tuple=True)
    density, features = geometry(shape, table, mlp, u[ray, k])
    opacity = torch.zeros_like(t).index_put((ray, k), 1 - torch.exp(-density * steps[1][k]))
    # Transmittance in front of each sample, with those behind the end of the ray taken out.
    before = pad((1 - opacity).cumprod(1), (1, 0), value=1.0)[:, :-1]
    opacity = opacity * (before >= march.min_transmittance)
    through = pad((1 - opacity).cumprod(1), (1, 0), value=1.0)
    weight = (through[:, :-1] * opacity)[ray, k]
    counts = weight > march.min_weight
    # Faint samples dim what lies behind, but pass no gradient.
    frozen = torch.where(counts, opacity[ray, k], opacity[ray, k].detach())
    opacity = torch.zeros_like(t).index_put((ray, k), frozen)
    through = pad((1 - opacity).cumprod(1), (1, 0), value=1.0)
    weight = (through[:, :-1] * opacity)[ray, k] * counts
    rgb = color(mlp, features, directions[ray])
    out = torch.zeros(len(origins), 3, dtype=origins.dtype)
    out = out.index_add(0, ray, weight[:, None] * rgb)
    distance = torch.zeros_like(jitter).index_add(0, ray, weight * t[ray, k])
    spread = distortion(torch.zeros_like(t).index_put((ray, k), weight), t, steps[1])
    return RayOutput(out, through[:, -1], distance, spread)


def distortion(weight: torch.Tensor, t: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Distortion (N,) of rays with weights (N, K) at rising distances (N, K), steps (K,) [7].

    Between two neighbouring places lies the distance of every pair with one on either side.
    """
    place = t / (1 + t)
    before = weight.cumsum(1)[:, :-1]
    apart = (place.diff(dim=1) * before * (weight.sum(1, keepdim=True) - before)).sum(1)
    return 2 * apart + (weight**2 * step / (1 + t) ** 2).sum(1) / 3


def huber(difference: torch.Tensor, delta: float) -> torch.Tensor:
    """Huber loss of each element [7]."""
    size = difference.abs()
    return torch.where(size < delta, 0.5 * size**2, delta * (size - 0.5 * delta))
