"""The native CPU kernels against the float64 reference and against exact derivatives."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from splat_cases import (
    FIELDS,
    cast,
    make_splats,
    make_view,
    reference_case,
    weighted_sum,
)

from recon.kernels import layout, ops
from recon.kernels.ops import RasterOptions, SplatTensors

native_cpu = pytest.importorskip("recon.kernels.native_cpu", reason="native kernels not built")
from recon.kernels import _native  # noqa: E402
from recon.kernels.reference import ReferenceBackend, photometric_loss  # noqa: E402


@pytest.mark.parametrize("isa", native_cpu.instruction_sets())
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("count", "scale"), [(1, -1.0), (40, -1.2), (250, -2.4), (600, -3.6)])
def test_matches_the_reference(isa: str, antialias: bool, count: int, scale: float) -> None:
    case = reference_case(count, scale, antialias)
    single = cast(case.splats, torch.float32)
    got = native_cpu.NativeCpuBackend(isa).render(single, make_view(), case.options)
    assert case.clean.float().mean() > 0.9
    for name in ("color", "alpha", "depth_sum"):
        a, b = getattr(got, name).double(), getattr(case.expected, name)
        torch.testing.assert_close(a[case.clean], b[case.clean], atol=2e-5, rtol=1e-4)

    weighted_sum(got, case.weights).backward()
    for name in FIELDS:
        a, b = getattr(single, name).grad.double(), case.grads[name]
        norm = b.norm()
        assert (a - b).norm() <= 1e-3 * norm + 1e-7, name
        assert (a * b).sum() >= 0.9999 * a.norm() * norm, name
        assert (a - b).sum().abs() <= 1e-3 * b.abs().sum() + 1e-7, name


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_sh_degree_limits_what_is_used(degree: int) -> None:
    splats = cast(make_splats(60, seed=3), torch.float32)
    view = make_view()
    cut = replace(splats, sh=splats.sh[:, : (degree + 1) ** 2].contiguous())
    backend = native_cpu.NativeCpuBackend()
    a = backend.render(splats, view, RasterOptions(sh_degree=degree))
    b = backend.render(cut, view, RasterOptions(sh_degree=degree))
    assert torch.equal(a.color, b.color)
    a.color.square().sum().backward()
    assert not splats.sh.grad[:, (degree + 1) ** 2 :].any()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (17, 31), (3, 200)])
def test_odd_sizes(width: int, height: int) -> None:
    view = make_view(width, height)
    double = make_splats(50, seed=11)
    expected = ReferenceBackend().render(double, view, RasterOptions((1.0, 1.0, 1.0)))
    got = native_cpu.NativeCpuBackend().render(
        cast(double, torch.float32), view, RasterOptions((1.0, 1.0, 1.0))
    )
    assert got.color.shape == (height, width, 3)
    assert (got.color.double() - expected.color).abs().mean() < 1e-4


def test_no_splats_gives_background() -> None:
    empty = SplatTensors(
        torch.zeros(0, 3),
        torch.zeros(0, 4),
        torch.zeros(0, 3),
        torch.zeros(0),
        torch.zeros(0, 16, 3),
    )
    out = native_cpu.NativeCpuBackend().render(empty, make_view(), RasterOptions((0.2, 0.4, 0.6)))
    assert torch.allclose(out.color, torch.tensor([0.2, 0.4, 0.6]).expand_as(out.color))
    assert not out.alpha.any()


def test_poisoned_splats_are_ignored() -> None:
    """A splat that is not finite, behind the camera or without extent leaves no trace."""
    good = cast(make_splats(30, seed=5), torch.float32)
    view = make_view()
    clean = native_cpu.NativeCpuBackend().render(good, view, RasterOptions())
    rows = layout.pack(good).detach()
    bad = rows[:6].clone()
    bad[0, 0] = math.nan
    bad[1, 3:7] = 0.0
    bad[1, 10] = -40.0
    bad[2, 7:10] = math.inf
    bad[3, 10] = math.nan
    bad[4, 0:3] = torch.tensor([0.4, -50.0, 0.7])
    bad[5, 1] = math.inf
    both = layout.unpack(torch.cat([rows, bad]))
    out = native_cpu.NativeCpuBackend().render(both, view, RasterOptions())
    assert torch.equal(out.color, clean.color)


def test_huge_and_tiny_splats_stay_finite() -> None:
    splats = cast(make_splats(200, seed=9, scale=-1.0), torch.float64)
    scales = splats.log_scales.detach().clone()
    scales[::4] = 4.0
    scales[1::4] = -14.0
    scales[2::4, 0] = 2.0
    single = cast(replace(splats, log_scales=scales), torch.float32)
    out = native_cpu.NativeCpuBackend().render(single, make_view(), RasterOptions())
    out.color.sum().backward()
    assert torch.isfinite(out.color).all()
    for name in FIELDS:
        assert torch.isfinite(getattr(single, name).grad).all(), name


def test_same_result_for_any_number_of_threads() -> None:
    view, options = make_view(200, 160), RasterOptions((0.1, 0.2, 0.3))
    before = native_cpu.thread_count()
    results = []
    try:
        for threads in (1, 2, 3):
            native_cpu.set_thread_count(threads)
            splats = cast(make_splats(3000, seed=1, scale=-3.0), torch.float32)
            out = native_cpu.NativeCpuBackend().render(splats, view, options)
            out.color.square().sum().backward()
            results.append((out.color.detach(), splats.means.grad, splats.sh.grad))
    finally:
        native_cpu.set_thread_count(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert torch.equal(a, b)


def oracle_case(rng: np.random.Generator) -> tuple[list[float], list[float]]:
    splat = np.concatenate(
        [
            0.5 * rng.standard_normal(3),
            rng.standard_normal(4),
            -1.5 + rng.standard_normal(3),
            rng.standard_normal(1),
        ]
    )
    view = make_view()
    camera = [view.fx, view.fy, view.cx, view.cy, *view.rotation, *view.translation, 75.0, 52.0]
    return splat.tolist(), camera


@pytest.mark.parametrize("antialias", [False, True])
def test_projection_derivative_is_exact(antialias: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        splat, camera = oracle_case(rng)
        jacobian = np.array(_native.oracle.project_jacobian(splat, camera, antialias))
        grad = rng.standard_normal(7)
        by_hand = np.array(_native.oracle.project_vjp(splat, camera, antialias, grad.tolist()))
        exact = grad @ jacobian.reshape(7, 11)
        np.testing.assert_allclose(by_hand, exact, atol=1e-10 * max(1.0, np.abs(exact).max()))


def test_projection_derivative_where_the_field_of_view_is_clamped() -> None:
    rng = np.random.default_rng(1)
    seen = 0
    for _ in range(200):
        splat, camera = oracle_case(rng)
        splat[0] += 3.0
        jacobian = np.array(_native.oracle.project_jacobian(splat, camera, False)).reshape(7, 11)
        grad = rng.standard_normal(7)
        by_hand = np.array(_native.oracle.project_vjp(splat, camera, False, grad.tolist()))
        exact = grad @ jacobian
        np.testing.assert_allclose(by_hand, exact, atol=1e-10 * max(1.0, np.abs(exact).max()))
        mean = _native.oracle.project(splat, camera, False)[0]
        seen += mean > 1.15 * 75.0
    assert seen > 50, "the test must reach the clamp"


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_sh_derivative_is_exact(degree: int) -> None:
    rng = np.random.default_rng(degree)
    for _ in range(100):
        mean, centre = rng.standard_normal(3), rng.standard_normal(3)
        weights = rng.standard_normal((degree + 1) ** 2)
        values = _native.oracle.sh_gradients(
            mean.tolist(), centre.tolist(), degree, weights.tolist()
        )
        np.testing.assert_allclose(values[4:7], values[1:4], atol=1e-10)


def test_constants_are_the_same_everywhere() -> None:
    for name in ("NEAR", "BLUR", "CLAMP_FOV", "COMPENSATION_FLOOR", "ALPHA_MIN", "ALPHA_MAX"):
        assert getattr(ops, name) == getattr(_native, name)
    assert ops.T_MIN == _native.T_MIN


@pytest.mark.parametrize("isa", native_cpu.instruction_sets())
@pytest.mark.parametrize(("width", "height"), [(75, 52), (16, 64), (9, 5), (33, 131)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("ssim_weight", [0.0, 0.2, 1.0])
def test_loss_and_its_gradient(
    isa: str, width: int, height: int, masked: bool, ssim_weight: float
) -> None:
    g = torch.Generator().manual_seed(width)
    view = make_view(width, height)
    target = torch.randint(0, 256, (3, height, width), generator=g, dtype=torch.uint8)
    weight = torch.randint(0, 256, (height, width), generator=g, dtype=torch.uint8)
    engine = native_cpu.Engine(isa)
    rows = layout.pack(cast(make_splats(300, seed=2), torch.float32)).detach()
    engine.forward(layout.rows_to_blocks(rows), len(rows), view, RasterOptions())
    value = engine.loss(target, weight if masked else None, ssim_weight)

    x = engine.image().double().requires_grad_()
    y = target.permute(1, 2, 0).double() / 255
    w = weight.double() / 255 if masked else torch.ones(height, width, dtype=torch.float64)
    expected = photometric_loss(x, y, w, ssim_weight)
    expected.backward()
    assert value == pytest.approx(expected.item(), rel=1e-5)
    got = engine.loss_gradient().double()
    assert (got - x.grad).norm() <= 1e-4 * x.grad.norm()


def test_fused_adam_is_adam() -> None:
    """Two fused steps equal the same gradients fed to torch's Adam."""
    splats = cast(make_splats(100, seed=4), torch.float32)
    rows = layout.pack(splats).detach()
    blocks = layout.rows_to_blocks(rows)
    view, options = make_view(), RasterOptions()
    target = torch.zeros(3, view.height, view.width, dtype=torch.uint8)
    first, second = torch.zeros_like(blocks), torch.zeros_like(blocks)
    rates = tuple(1e-3 * (1 + i % 3) for i in range(layout.ROWS))
    engine = native_cpu.Engine()
    parameter = torch.nn.Parameter(rows.clone())
    optimiser = torch.optim.Adam([parameter], lr=1.0, eps=1e-15)
    always = torch.ones(len(rows), dtype=torch.bool)
    for step in (1, 2):
        engine.forward(blocks, len(rows), view, options)
        engine.loss(target)
        engine.backward()
        grads = layout.blocks_to_rows(engine.gradients(blocks), len(rows))
        visible = engine.footprints().any(1)
        before = parameter.detach().clone()
        parameter.grad = grads
        optimiser.step()
        with torch.no_grad():
            # torch has one rate: scale its unit step by row, and keep splats that were not seen.
            moved = before + (parameter - before) * torch.tensor(rates)
            parameter.copy_(torch.where(visible[:, None], moved, before))
        engine.adam(blocks, first, second, step, layout.AdamSettings(rates))
        got = layout.blocks_to_rows(blocks, len(rows))
        always &= visible
        assert always.sum() > 80
        assert torch.equal(got[~visible], before[~visible])
        # The direction of a gradient that is 0 up to rounding is noise: leave those out.
        steady = (grads.abs() > 1e-9) & always[:, None]
        torch.testing.assert_close(got[steady], parameter.detach()[steady], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(("width", "height"), [(43, 43), (33, 18)])
def test_padding_never_reaches_a_result(width: int, height: int) -> None:
    """Images are padded to whole tiles; what an earlier, larger view left there must not matter."""
    view = make_view(width, height)
    rows = layout.pack(cast(make_splats(200, seed=6), torch.float32)).detach()
    blocks = layout.rows_to_blocks(rows)
    target = torch.full((3, height, width), 90, dtype=torch.uint8)
    grads = []
    for poison in (0.0, math.nan):
        engine = native_cpu.Engine()
        large = make_view(96, 80)
        engine.forward(blocks, len(rows), large, RasterOptions(background=(poison,) * 3))
        engine.set_gradients(torch.full((80, 96, 3), poison))
        engine.forward(blocks, len(rows), view, RasterOptions())
        engine.loss(target)
        engine.backward()
        grads.append(engine.gradients(blocks))
    assert torch.isfinite(grads[0]).all()
    assert torch.equal(*grads)
