"""Fields of noise, rays and views through them, and what the float64 reference makes of them."""

from __future__ import annotations

from typing import TypeVar

import torch

from recon.kernels.field_engine import NativeFieldEngine
from recon.kernels.field_ops import (
    FEATURES,
    RECORD,
    WEIGHTS,
    FieldShape,
    March,
    StepSettings,
)
from recon.kernels.field_tensors import FieldState, FieldWeights, Rays, TrainImage
from recon.kernels.ops import PinholeView
from recon.nerf import reference

AnyEngine = TypeVar("AnyEngine", bound=NativeFieldEngine)

SHAPE = FieldShape(
    base=4, finest=64, log2_table=10, grid=32, centre=(0.1, -0.2, 0.05), half=0.7, density_bias=0.3
)
MARCH = March(near=0.2, far=12.0, shortest=0.05, cone=0.02, min_weight=1e-3, min_transmittance=1e-2)


def make_state(shape: FieldShape = SHAPE, photos: int = 3, seed: int = 0) -> FieldState:
    """A field of noise: strong enough for rays to end inside."""
    g = torch.Generator().manual_seed(seed)
    table = torch.randn(shape.entries, FEATURES, generator=g)
    mlp = 0.35 * torch.randn(WEIGHTS, generator=g)
    reference.layers(mlp)["color3"][:, 3:] = 0
    occupied = torch.randint(0, 256, (shape.grid**3 // 8,), generator=g, dtype=torch.uint8)

    def zeros(x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)

    exposure = 0.2 * torch.randn(photos, 3, generator=g)
    return FieldState(
        records=torch.nn.functional.pad(table, (0, RECORD - FEATURES)),
        weights=FieldWeights(table.half(), mlp, occupied),
        mlp_first=zeros(mlp),
        mlp_second=zeros(mlp),
        density=torch.zeros(shape.grid**3),
        exposure=exposure,
        exposure_first=zeros(exposure),
        exposure_second=zeros(exposure),
    )


def make_rays(n: int, seed: int = 1, photos: int = 3) -> Rays:
    g = torch.Generator().manual_seed(seed)
    origin = torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=1)
    aim = 0.3 * torch.randn(n, 3, generator=g) - origin
    target = torch.rand(n, 4, generator=g)
    return Rays(
        origin=origin,
        direction=torch.nn.functional.normalize(aim, dim=1),
        jitter=torch.rand(n, generator=g),
        target=torch.cat([target[:, :3] * target[:, 3:], target[:, 3:]], 1),
        background=torch.rand(n, 3, generator=g),
        image=torch.randint(0, photos, (n,), generator=g, dtype=torch.int32),
    )


def prepared(engine: AnyEngine, state: FieldState, photos: int = 3) -> AnyEngine:
    """The engine with photos, more rays for some of their tiles, and the state's occupied cells."""
    g = torch.Generator().manual_seed(5)
    view = PinholeView(17, 11, 20.0, 21.0, 8.0, 6.0, (1, 0, 0, 0, 1, 0, 0, 0, 1), (0.0, 0.0, 1.5))
    rgba = torch.randint(0, 256, (11, 17, 4), generator=g, dtype=torch.uint8)
    share = torch.tensor([1 << 30, 1 << 31, 3 << 30, 13 << 28, 7 << 29, (1 << 32) - 1])
    image = TrainImage(view, rgba, share=share.to(torch.uint32))
    engine.set_images((image,) * photos)
    engine.use_grid(state.weights)
    return engine


def reference_step(
    shape: FieldShape, state: FieldState, march: March, settings: StepSettings, rays: Rays
) -> dict[str, torch.Tensor]:
    """Loss and gradients by autograd in float64."""
    table = state.weights.table.double().requires_grad_()
    mlp = state.weights.mlp.double().requires_grad_()
    assert state.exposure is not None
    exposure = state.exposure.double().requires_grad_()
    background = rays.background.double()
    out = reference.render_rays(
        shape,
        table,
        mlp,
        state.weights.occupied,
        march,
        rays.origin.double(),
        rays.direction.double(),
        rays.jitter.double(),
        background,
    )
    target = rays.target.double()
    truth = target[:, :3] + (1 - target[:, 3:]) * background
    shown = exposure[rays.image.long()].exp() * out.color
    shown = shown + out.transmittance[:, None] * background
    loss = reference.huber(shown - truth, settings.huber_delta).mean()
    loss = loss + settings.distortion * out.distortion.mean()
    total = loss + settings.mlp_decay / 2 * (mlp**2).sum()
    total = total + settings.exposure_decay / 2 * (exposure**2).sum()
    total.backward()
    assert table.grad is not None
    assert mlp.grad is not None
    assert exposure.grad is not None
    return {
        "loss": loss.detach(),
        "color": shown.detach(),
        "table": table.grad,
        "mlp": mlp.grad,
        "exposure": exposure.grad,
    }


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b).norm() / b.norm())


def reference_view(
    shape: FieldShape,
    state: FieldState,
    march: March,
    view: PinholeView,
    background: tuple[float, float, float],
    near: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Colour (H, W, 3), alpha (H, W) and z-depth sums (H, W) of a view without rotation."""
    y, x = torch.meshgrid(
        torch.arange(view.height) + 0.5, torch.arange(view.width) + 0.5, indexing="ij"
    )
    rays = torch.stack(
        [(x - view.cx) / view.fx, (y - view.cy) / view.fy, torch.ones_like(x)], -1
    ).reshape(-1, 3)
    z = 1 / rays.norm(dim=1)
    directions = rays * z[:, None]
    n = len(rays)
    origin = -torch.tensor(view.translation).expand(n, 3)
    out = reference.render_rays(
        shape,
        state.weights.table.double(),
        state.weights.mlp.double(),
        state.weights.occupied,
        march,
        origin.double(),
        directions.double(),
        torch.full((n,), march.phase, dtype=torch.float64),
        torch.tensor(background, dtype=torch.float64).expand(n, 3),
        near / (shape.half * z),
    )
    size = (view.height, view.width)
    shown = out.color + out.transmittance[:, None] * torch.tensor(background)
    depth = out.distance * shape.half * z
    return shown.reshape(*size, 3), (1 - out.transmittance).reshape(size), depth.reshape(size)


def assert_queries_agree(engine: NativeFieldEngine, n: int) -> None:
    """Encoding, density and colour of n points are those of the reference."""
    state, shape = make_state(), engine.shape
    g = torch.Generator().manual_seed(n)
    points = torch.randn(n, 3, generator=g)
    directions = torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=1)
    table, mlp = state.weights.table.double(), state.weights.mlp.double()
    u = reference.unit_from_box(shape, reference.box_from_scene(shape, points.double()))
    encoded, density, color = engine.query(state.weights, points, directions)
    want = reference.encode(shape, table, u)
    # The finest level has 64 cells: float32 positions are good for 1e-5 of a cell.
    assert torch.allclose(encoded.double(), want, atol=1e-4)
    sigma, features = reference.geometry(shape, table, mlp, u)
    rgb = reference.color(mlp, features, directions.double())
    assert torch.allclose(density.double(), sigma / shape.half, rtol=1e-3)
    assert torch.allclose(color.double(), rgb, atol=1e-3)
