"""The CUDA kernels, run on the CPU by the executor of cuda_ext/host_exec: against the float64
reference, against the CPU kernels, and in several orders of threads and blocks."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from host_exec import ORDERS, PAIRS, HostExecBackend, host_cuda
from splat_cases import (
    FIELDS,
    cast,
    make_splats,
    make_view,
    reference_case,
    weighted_sum,
)

from recon.errors import OptionError, TrainingError
from recon.kernels import layout, native_cpu, ops
from recon.kernels.ops import RasterOptions, SplatTensors
from recon.kernels.reference import photometric_loss


@pytest.fixture(params=ORDERS)
def order(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test once in each order of threads and blocks."""
    host_cuda.set_order(ORDERS[request.param])
    yield request.param
    host_cuda.set_order(0)


def blocks_of(splats: SplatTensors) -> tuple[torch.Tensor, int]:
    rows = layout.pack(cast(splats, torch.float32)).detach()
    return layout.rows_to_blocks(rows), len(rows)


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("count", "scale"), [(1, -1.0), (40, -1.2), (250, -2.4), (600, -3.6)])
def test_matches_the_reference(antialias: bool, count: int, scale: float) -> None:
    case = reference_case(count, scale, antialias)
    single = cast(case.splats, torch.float32)
    got = HostExecBackend().render(single, make_view(), case.options)
    for name in ("color", "alpha", "depth_sum"):
        a, b = getattr(got, name).double(), getattr(case.expected, name)
        torch.testing.assert_close(a[case.clean], b[case.clean], atol=2e-5, rtol=1e-4)

    weighted_sum(got, case.weights).backward()
    for name in FIELDS:
        a, b = getattr(single, name).grad.double(), case.grads[name]
        norm = b.norm()
        assert (a - b).norm() <= 1e-3 * norm + 1e-7, name
        assert (a * b).sum() >= 0.9999 * a.norm() * norm, name


def render_both(
    splats: SplatTensors, view: ops.PinholeView, options: RasterOptions
) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
    """Image and gradients of a random sum of it, of the CPU kernels and of the CUDA kernels."""
    weight = torch.randn(view.height, view.width, 3, generator=torch.Generator().manual_seed(3))
    out = []
    for backend in (native_cpu.NativeCpuBackend(), HostExecBackend()):
        single = cast(splats, torch.float32)
        image = backend.render(single, view, options).color
        (image * weight).sum().backward()
        out.append((image.detach(), [getattr(single, name).grad for name in FIELDS]))
    return out


def assert_alike(
    expected: tuple[torch.Tensor, list[torch.Tensor]], got: tuple[torch.Tensor, list[torch.Tensor]]
) -> None:
    # A pixel whose alpha lies at a threshold up to rounding may fall on either side.
    off = (got[0] - expected[0]).abs().amax(-1) > 1e-4
    assert off.float().mean() <= 0.002
    for name, a, b in zip(FIELDS, got[1], expected[1], strict=True):
        assert torch.isfinite(a).all(), name
        assert (a - b).norm() <= 5e-3 * b.norm() + 1e-6, name


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (17, 31), (3, 200), (130, 20)])
def test_odd_sizes(width: int, height: int) -> None:
    splats = make_splats(50, seed=11)
    assert_alike(*render_both(splats, make_view(width, height), RasterOptions((1.0, 0.5, 0.0))))


@pytest.mark.usefixtures("order")
def test_huge_splats_are_binned_and_summed_by_whole_warps() -> None:
    splats = make_splats(60, seed=9, scale=-1.5)
    scales = splats.log_scales.clone()
    scales[::4] = 1.0
    scales[1::4] = -14.0
    scales[2::4, 0] = 2.0
    splats = replace(splats, log_scales=scales, logit_opacities=splats.logit_opacities - 3.0)
    view = make_view(150, 140)
    engine = HostExecBackend().engine()
    engine.forward(*blocks_of(splats), view, RasterOptions())
    assert engine.counts[1] > 33 * 10, "the test must reach splats of more than 32 tiles"
    assert_alike(*render_both(splats, view, RasterOptions()))


def test_no_splats_gives_background() -> None:
    engine = HostExecBackend().engine()
    blocks = torch.zeros(0, layout.ROWS, layout.BLOCK)
    engine.forward(blocks, 0, make_view(), RasterOptions((0.2, 0.4, 0.6)))
    out = engine.output()
    assert torch.allclose(out.color, torch.tensor([0.2, 0.4, 0.6]).expand_as(out.color))
    assert not out.alpha.any()
    engine.loss(torch.zeros(3, 52, 75, dtype=torch.uint8))
    engine.backward()
    assert engine.gradients(blocks).shape == blocks.shape
    engine.adam(blocks, blocks.clone(), blocks.clone(), 1, layout.AdamSettings((0.0,) * 59))
    assert engine.counts == (0, 0)


def test_poisoned_splats_are_ignored() -> None:
    good = cast(make_splats(30, seed=5), torch.float32)
    view = make_view()
    clean = HostExecBackend().render(good, view, RasterOptions())
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
    out = HostExecBackend().render(both, view, RasterOptions())
    assert torch.equal(out.color, clean.color)


def many_splats(n: int) -> SplatTensors:
    """n splats, most of them a pixel or two wide."""
    return make_splats(n, seed=1, scale=-4.5, k=1)


@pytest.mark.parametrize(
    "count", [5000, pytest.param(1_000_000, marks=pytest.mark.thorough, id="million")]
)
def test_many_splats_on_a_small_image(count: int) -> None:
    """More than one block of the sort, and lists of more than one batch and many buckets."""
    splats = many_splats(count)
    view, options = make_view(40, 33), RasterOptions(sh_degree=0)
    images = []
    for backend in (native_cpu.NativeCpuBackend(), HostExecBackend(8 * count)):
        engine = backend.engine()
        engine.forward(*blocks_of(splats), view, options)
        images.append(engine.output())
    assert engine.counts[0] == native_visible(splats, view, options)
    assert (images[0].color - images[1].color).abs().max() < 2e-3
    assert (images[0].alpha - images[1].alpha).abs().mean() < 1e-5


def native_visible(splats: SplatTensors, view: ops.PinholeView, options: RasterOptions) -> int:
    engine = native_cpu.Engine()
    engine.forward(*blocks_of(splats), view, options)
    return engine.counts[0]


def test_same_bits_in_every_order_of_threads_and_blocks() -> None:
    """Every launch of a step is deterministic: nothing is added up in the order of arrival."""
    splats, view = make_splats(400, seed=2, scale=-2.5), make_view(70, 40)
    target = torch.full((3, 40, 70), 90, dtype=torch.uint8)
    results = []
    for setting in (*ORDERS.values(), 21):
        host_cuda.set_order(setting)
        blocks, n = blocks_of(splats)
        first, second = torch.zeros_like(blocks), torch.zeros_like(blocks)
        engine = HostExecBackend().engine()
        engine.forward(blocks, n, view, RasterOptions())
        engine.loss(target)
        engine.backward()
        engine.adam(blocks, first, second, 1, layout.AdamSettings((1e-3,) * layout.ROWS))
        results.append((engine.output().color, blocks, second, engine.drain().loss_sum))
    host_cuda.set_order(0)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert torch.equal(torch.as_tensor(a), torch.as_tensor(b))


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize(("width", "height"), [(75, 52), (16, 64), (9, 5)])
@pytest.mark.parametrize(("ssim_weight", "masked"), [(0.0, True), (0.2, False), (0.2, True)])
def test_loss_and_its_gradient(width: int, height: int, ssim_weight: float, masked: bool) -> None:
    g = torch.Generator().manual_seed(width)
    target = torch.randint(0, 256, (3, height, width), generator=g, dtype=torch.uint8)
    weight = torch.randint(0, 256, (height, width), generator=g, dtype=torch.uint8)
    engine = HostExecBackend().engine()
    splats = make_splats(100, seed=2)
    engine.forward(*blocks_of(splats), make_view(width, height), RasterOptions())
    engine.loss(target, weight if masked else None, ssim_weight)

    x = engine.image().double().requires_grad_()
    y = target.permute(1, 2, 0).double() / 255
    w = weight.double() / 255 if masked else torch.ones(height, width, dtype=torch.float64)
    expected = photometric_loss(x, y, w, ssim_weight)
    expected.backward()
    totals = engine.drain()
    assert totals.losses == 1
    assert totals.loss_sum == pytest.approx(expected.item(), rel=1e-5)
    got = engine.loss_gradient().double()
    assert x.grad is not None
    assert (got - x.grad).norm() <= 1e-4 * x.grad.norm()


@pytest.mark.usefixtures("order")
def test_steps_are_those_of_the_cpu_engine() -> None:
    """Two steps of loss, backward and Adam with regularisation, with statistics."""
    view, options = make_view(), RasterOptions((0.1, 0.2, 0.3), 2)
    target = torch.randint(
        0, 256, (3, view.height, view.width), dtype=torch.uint8, generator=torch.manual_seed(0)
    )
    settings = layout.AdamSettings(
        tuple(1e-3 * (1 + i % 3) for i in range(layout.ROWS)), opacity_reg=0.1, scale_reg=0.2
    )
    results, losses = [], []
    for backend in (native_cpu.NativeCpuBackend(), HostExecBackend()):
        blocks, n = blocks_of(make_splats(100, seed=4))
        first, second = torch.zeros_like(blocks), torch.zeros_like(blocks)
        stats = layout.SplatStats.zeros(n)
        engine = backend.engine()
        for step in (1, 2):
            engine.forward(blocks, n, view, options)
            engine.loss(target)
            engine.backward()
            engine.adam(blocks, first, second, step, settings, stats)
        totals = engine.drain()
        assert totals.losses == 2
        assert totals.nonfinite == totals.skipped == 0
        results.append(((first, second, stats.error, stats.gradient), stats.visible, blocks))
        losses.append(totals.loss_sum)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    (expected, visible, blocks), (got, also_visible, also_blocks) = results
    assert torch.equal(visible, also_visible)
    for a, b in zip(got, expected, strict=True):
        assert (a - b).norm() <= 5e-3 * b.norm()
    # Adam moves each parameter by its rate, whatever the gradient's size: compare where it has one.
    steady = expected[1].sqrt() > 1e-3 * expected[1].sqrt().max()
    assert (also_blocks - blocks)[steady].abs().max() <= 2e-4
    assert steady.sum() > 1000


def test_padding_of_the_last_block_stays_zero() -> None:
    blocks, n = blocks_of(make_splats(21, seed=4))
    engine = HostExecBackend().engine()
    engine.forward(blocks, n, make_view(), RasterOptions())
    engine.loss(torch.zeros(3, 52, 75, dtype=torch.uint8))
    engine.backward()
    grads = engine.gradients(blocks)
    assert torch.isfinite(grads).all()
    assert not grads[-1, :, 5:].any()


def test_a_view_without_room_for_its_pairs_is_rendered_again() -> None:
    splats, view = make_splats(200, seed=6, scale=-1.5), make_view()
    cramped, roomy = HostExecBackend(16).engine(), HostExecBackend().engine()
    images = []
    for engine in (cramped, roomy):
        engine.forward(*blocks_of(splats), view, RasterOptions(), depth=True)
        images.append(engine.output())
    assert torch.equal(images[0].color, images[1].color)
    assert torch.equal(images[0].depth_sum, images[1].depth_sum)


def test_a_step_without_room_changes_nothing_and_the_next_one_has_room() -> None:
    view = make_view()
    blocks, n = blocks_of(make_splats(200, seed=6, scale=-1.5))
    before = blocks.clone()
    first, second = torch.zeros_like(blocks), torch.zeros_like(blocks)
    target = torch.zeros(3, view.height, view.width, dtype=torch.uint8)
    engine = HostExecBackend(16).engine()
    settings = layout.AdamSettings((1e-3,) * layout.ROWS)

    def step(index: int) -> None:
        engine.forward(blocks, n, view, RasterOptions())
        engine.loss(target)
        engine.backward()
        engine.adam(blocks, first, second, index, settings)

    step(1)
    assert torch.equal(blocks, before)
    assert not second.any()
    totals = engine.drain()
    assert (totals.losses, totals.skipped) == (0, 1)
    step(2)
    assert not torch.equal(blocks, before)
    totals = engine.drain()
    assert (totals.losses, totals.skipped) == (1, 0)


def test_too_little_memory_is_said_before_it_is_asked_for() -> None:
    engine = HostExecBackend(1 << 27).engine()
    blocks, n = blocks_of(make_splats(20, seed=6))
    with pytest.raises(TrainingError, match="with room for 134217728 tile entries") as caught:
        engine.forward(blocks, n, make_view(), RasterOptions())
    assert "--max-splats" in caught.value.remedy
    assert engine.allocated == 0


def test_the_estimate_is_what_is_allocated() -> None:
    blocks, n = blocks_of(make_splats(20, seed=6))
    for depth in (False, True):
        for training in (False, True):
            engine = HostExecBackend().engine()
            engine.forward(blocks, n, make_view(), RasterOptions(), depth=depth, training=training)
            assert engine.allocated == host_cuda.engine_bytes(n, PAIRS, 75, 52, depth, training)


def test_calls_out_of_order_and_wrong_tensors_are_refused() -> None:
    engine = HostExecBackend().engine()
    blocks, n = blocks_of(make_splats(20, seed=6))
    with pytest.raises(OptionError, match="shape"):
        engine.forward(blocks, n + 16, make_view(), RasterOptions())
    engine.forward(blocks, n, make_view(), RasterOptions(), training=False)
    with pytest.raises(RuntimeError, match="not for training"):
        engine.backward()


def test_layout_is_that_of_the_native_code() -> None:
    assert (host_cuda.BLOCK, host_cuda.ROWS) == (layout.BLOCK, layout.ROWS)
    assert host_cuda.T_MIN == ops.T_MIN


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ("missing_barrier", "read"),
        ("missing_barrier_before_write", "while another thread reads it"),
        ("shuffle_is_no_barrier", "a barrier is missing"),
        ("divergent_barrier", "not all threads of the block reach this barrier"),
        ("two_barriers", "different barriers"),
        ("wrong_mask", "not all lanes of the mask"),
        ("beyond_shared", "outside its bounds"),
        ("uninitialised", "before it was written"),
        ("beyond_global", "wrote beside an allocation"),
    ],
)
def test_the_executor_notices(planted: str, message: str) -> None:
    """Each planted mistake ends its process with a message that says what and where."""
    code = (
        "import importlib.util as u, sys;"
        f"s = u.spec_from_file_location('recon.kernels._host_cuda', {host_cuda.__file__!r});"
        "m = u.module_from_spec(s); s.loader.exec_module(m);"
        f"print(m.run_planted({planted!r}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode < 0, run.stdout
    assert message in run.stderr
