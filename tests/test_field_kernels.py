"""The native field kernels against the reference in float64."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

native_field = pytest.importorskip("recon.kernels.native_field", reason="native kernels not built")
from recon.kernels import native_cpu  # noqa: E402
from recon.kernels.field_ops import (  # noqa: E402
    FEATURES,
    LEVELS,
    RECORD,
    WEIGHTS,
    FieldShape,
    March,
    StepSettings,
)
from recon.kernels.native_field import (  # noqa: E402
    FieldEngine,
    FieldState,
    FieldWeights,
    Rays,
    TrainImage,
)
from recon.kernels.ops import PinholeView  # noqa: E402
from recon.nerf import reference  # noqa: E402

ISAS = native_cpu.instruction_sets()
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


def make_engine(shape: FieldShape, isa: str, state: FieldState, photos: int = 3) -> FieldEngine:
    engine = FieldEngine(shape, isa)
    g = torch.Generator().manual_seed(5)
    view = PinholeView(17, 11, 20.0, 21.0, 8.0, 6.0, (1, 0, 0, 0, 1, 0, 0, 0, 1), (0.0, 0.0, 1.5))
    rgba = torch.randint(0, 256, (11, 17, 4), generator=g, dtype=torch.uint8)
    engine.set_images((TrainImage(view, rgba),) * photos)
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


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("contracted", [True, False])
def test_gradients_agree_with_autograd(isa: str, contracted: bool) -> None:
    shape = dataclasses.replace(SHAPE, contracted=contracted)
    state, rays = make_state(shape), make_rays(157)
    settings = StepSettings(0, 1, 157, huber_delta=0.2, mlp_decay=1e-3, exposure_decay=1e-2)
    engine = make_engine(shape, isa, state)
    result, got = engine.gradients(state, MARCH, settings, rays)
    want = reference_step(shape, state, MARCH, settings, rays)
    assert result.live > 500
    assert result.live < result.marched
    assert relative(got.color, want["color"]) < 1e-4
    assert math.isclose(result.loss, float(want["loss"]), rel_tol=1e-4)
    for name in ("table", "mlp", "exposure"):
        grad = getattr(got, name)
        error = relative(grad, want[name])
        cosine = torch.nn.functional.cosine_similarity(
            grad.double().flatten(), want[name].flatten(), dim=0
        )
        assert error < 1e-3, f"{name}: {error}"
        assert cosine > 0.9999, name


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("n", [1, 7, 96, 101])
def test_queries_agree_with_the_reference(isa: str, n: int) -> None:
    state, engine = make_state(), FieldEngine(SHAPE, isa)
    g = torch.Generator().manual_seed(n)
    points = torch.randn(n, 3, generator=g)
    directions = torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=1)
    table, mlp = state.weights.table.double(), state.weights.mlp.double()
    u = reference.unit_from_box(SHAPE, reference.box_from_scene(SHAPE, points.double()))
    for levels in (LEVELS, 3):
        engine.use_levels(levels)
        encoded, density, color = engine.query(state.weights, points, directions)
        want = reference.encode(SHAPE, table, u, levels)
        # The finest level has 64 cells: float32 positions are good for 1e-5 of a cell.
        assert torch.allclose(encoded.double(), want, atol=1e-4)
        if levels < LEVELS:
            assert (encoded[:, levels * FEATURES :] == 0).all()
            continue
        sigma, features = reference.geometry(SHAPE, table, mlp, u)
        rgb = reference.color(mlp, features, directions.double())
        assert torch.allclose(density.double(), sigma / SHAPE.half, rtol=1e-3)
        assert torch.allclose(color.double(), rgb, atol=1e-3)


@pytest.mark.parametrize("isa", ISAS)
def test_adam_moves_touched_entries_alone(isa: str) -> None:
    state = make_state()
    engine = make_engine(SHAPE, isa, state)
    before = state.records.clone()
    settings = StepSettings(3, 1, 5, table_rate=0.01)
    engine.train_step(state, MARCH, settings)
    steps = state.records[:, 3 * FEATURES]
    touched = steps > 0
    assert 0 < int(touched.sum()) < len(touched)
    assert torch.equal(state.records[~touched], before[~touched])
    moved = (state.records - before)[touched][:, :FEATURES].abs()
    # The first step of Adam is the learning rate, whatever the size of the gradient.
    assert float(moved.max()) < 0.0101
    assert torch.equal(state.weights.table, state.records[:, :FEATURES].half())


@pytest.mark.parametrize("isa", ISAS)
def test_rendering_agrees_with_the_reference(isa: str) -> None:
    """Odd sizes, views that look away, depth."""
    state = make_state()
    engine = make_engine(SHAPE, isa, state)
    views = [
        PinholeView(13, 9, 9.0, 9.5, 6.0, 5.0, (1, 0, 0, 0, 1, 0, 0, 0, 1), (0.0, 0.0, 1.2)),
        PinholeView(3, 2, 9.0, 9.5, 1.0, 1.0, (1, 0, 0, 0, 1, 0, 0, 0, 1), (0.0, 0.0, -900.0)),
    ]
    background = (0.1, 0.7, 0.3)
    for view in views:
        color, alpha, depth = engine.render(state.weights, MARCH, view, background, depth=True)
        assert depth is not None
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
            SHAPE,
            state.weights.table.double(),
            state.weights.mlp.double(),
            state.weights.occupied,
            MARCH,
            origin.double(),
            directions.double(),
            torch.full((n,), 0.5, dtype=torch.float64),
            torch.tensor(background, dtype=torch.float64).expand(n, 3),
        )
        shown = out.color + out.transmittance[:, None] * torch.tensor(background)
        off = (shown.reshape(color.shape) - color).abs().amax(-1)
        # A ray at the edge of a cell may take a sample more or less than the reference.
        assert float((off > 2e-3).float().mean()) < 0.03
        assert float(((1 - out.transmittance).reshape(alpha.shape) - alpha).abs().mean()) < 1e-3
