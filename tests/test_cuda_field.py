"""The field's CUDA kernels, run on the CPU by the executor of cuda_ext/host_exec: against the
float64 reference, against the CPU kernels, and in several orders of threads and blocks."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Iterator

import pytest
import torch
from field_cases import (
    MARCH,
    SHAPE,
    assert_queries_agree,
    make_rays,
    make_state,
    prepared,
    reference_step,
    reference_view,
    relative,
)
from host_exec import CPU, ORDERS, host_cuda

from recon.errors import TrainingError
from recon.kernels import native_cuda_field, native_field
from recon.kernels.field_engine import FieldState, NativeFieldEngine
from recon.kernels.field_ops import FEATURES, FieldShape, StepSettings
from recon.kernels.ops import PinholeView

# Room for few samples: launches are sized for the room, which costs here even where it is not used.
SAMPLES = 1 << 13
SETTINGS = StepSettings(0, 1, 157, huber_delta=0.2, mlp_decay=1e-3, exposure_decay=1e-2)


@pytest.fixture(params=ORDERS)
def order(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test once in each order of threads and blocks."""
    host_cuda.set_order(ORDERS[request.param])
    yield request.param
    host_cuda.set_order(0)


def cuda_engine(shape: FieldShape = SHAPE, samples: int = SAMPLES) -> native_cuda_field.FieldEngine:
    return native_cuda_field.FieldEngine(shape, host_cuda, CPU, samples)


def both(state: FieldState, shape: FieldShape = SHAPE) -> list[NativeFieldEngine]:
    """The engine of the CPU and that of CUDA."""
    return [prepared(native_field.FieldEngine(shape), state), prepared(cuda_engine(shape), state)]


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("contracted", [True, False])
@pytest.mark.parametrize("n", [1, 157])
def test_gradients_agree_with_autograd(contracted: bool, n: int) -> None:
    shape = dataclasses.replace(SHAPE, contracted=contracted)
    state, rays = make_state(shape), make_rays(n)
    result, got = prepared(cuda_engine(shape), state).gradients(state, MARCH, SETTINGS, rays)
    want = reference_step(shape, state, MARCH, SETTINGS, rays)
    assert 0 < result.live <= result.marched
    assert n == 1 or 500 < result.live < result.marched
    assert relative(got.color, want["color"]) < 1e-5
    assert math.isclose(result.loss, float(want["loss"]), rel_tol=1e-5)
    for name in ("table", "mlp", "exposure"):
        grad = getattr(got, name)
        cosine = torch.nn.functional.cosine_similarity(
            grad.double().flatten(), want[name].flatten(), dim=0
        )
        assert relative(grad, want[name]) < 1e-4, name
        assert cosine > 0.999999, name


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("n", [1, 7, 129])
def test_queries_agree_with_the_reference(n: int) -> None:
    assert_queries_agree(cuda_engine(), n)


@pytest.mark.parametrize("samples", [SAMPLES, 1])
@pytest.mark.parametrize(
    ("width", "height", "near"), [(13, 9, 0.0), (1, 1, 0.0), (3, 50, 0.0), (13, 9, 0.9)]
)
def test_rendering_agrees_with_the_reference(
    width: int, height: int, near: float, samples: int
) -> None:
    """Odd sizes; without room for all samples at first; a near plane."""
    state = make_state()
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    view = PinholeView(
        width, height, 9.0, 9.5, width / 2 - 0.3, height / 2, identity, (0.0, 0.0, 1.2)
    )
    background = (0.1, 0.7, 0.3)
    engine = prepared(cuda_engine(samples=samples), state)
    color, alpha, depth = engine.render(
        state.weights, MARCH, view, background, depth=True, near=near
    )
    shown, opaque, _ = reference_view(SHAPE, state, MARCH, view, background, near)
    # A ray at the edge of a cell may take a sample more or less than the reference.
    off = (shown - color).abs().amax(-1) > 2e-3
    assert float(off.float().mean()) < 0.03
    assert float((opaque - alpha).abs().mean()) < 1e-3
    cpu = prepared(native_field.FieldEngine(SHAPE), state)
    expected = cpu.render(state.weights, MARCH, view, background, depth=True, near=near)[2]
    assert depth is not None
    assert expected is not None
    assert float(((depth - expected).abs() > 1e-3 * expected + 1e-5).float().mean()) < 0.03


def test_rays_that_meet_nothing_show_the_background() -> None:
    state = make_state()
    state.weights.occupied.zero_()
    engine = prepared(cuda_engine(), state)
    before = state.records.clone()
    result, got = engine.gradients(state, MARCH, SETTINGS, make_rays(33))
    assert (result.marched, result.live) == (0, 0)
    assert torch.allclose(got.color, make_rays(33).background)
    assert not got.table.any()
    assert torch.equal(got.mlp, SETTINGS.mlp_decay * state.weights.mlp)
    engine.train_step(state, MARCH, SETTINGS)
    assert torch.equal(state.records, before)
    none = engine.gradients(state, MARCH, SETTINGS, make_rays(0))
    assert none[0].loss == 0.0


@pytest.mark.usefixtures("order")
def test_steps_are_those_of_the_cpu_engine() -> None:
    """Random rays of the same seed, forward, backward and Adam with exposures, twice."""
    results = []
    for engine in both(make_state()):
        own = make_state()
        outcome = [
            engine.train_step(own, MARCH, dataclasses.replace(SETTINGS, step=step, rays=200))
            for step in (1, 2)
        ]
        results.append((outcome, own))
    (expected, cpu), (got, cuda) = results
    for a, b in zip(got, expected, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-5)
        assert a.error == pytest.approx(b.error, rel=1e-5)
        assert a.live == pytest.approx(b.live, rel=5e-3)
        # The CPU also counts the samples that it evaluates behind the ends of rays.
        assert a.live <= a.marched <= b.marched
    for a, b in (
        (cuda.mlp_first, cpu.mlp_first),
        (cuda.mlp_second, cpu.mlp_second),
        (cuda.records[:, FEATURES : 3 * FEATURES], cpu.records[:, FEATURES : 3 * FEATURES]),
        (cuda.exposure_first, cpu.exposure_first),
    ):
        assert a is not None
        assert b is not None
        assert relative(a, b) < 1e-4
    assert (cuda.records[:, 12] != cpu.records[:, 12]).float().mean() < 5e-3
    # Adam moves each parameter by its rate, whatever the gradient's size: compare where it has one.
    scale = cpu.mlp_second.sqrt()
    steady = scale > 1e-2 * scale.max()
    assert (cuda.weights.mlp - cpu.weights.mlp)[steady].abs().max() < 2e-3
    assert steady.sum() > 1000
    assert torch.equal(cuda.weights.table, cuda.records[:, :FEATURES].half())


def test_same_bits_in_every_order_and_with_any_room() -> None:
    results = []
    for setting, samples in ((0, SAMPLES), (1, SAMPLES), (20, SAMPLES), (21, 1)):
        host_cuda.set_order(setting)
        state = make_state()
        engine = prepared(cuda_engine(samples=samples), state)
        outcome = engine.train_step(state, MARCH, SETTINGS)
        results.append((outcome, state.records, state.weights.mlp, state.exposure))
    host_cuda.set_order(0)
    for outcome, *tensors in results[1:]:
        assert outcome == results[0][0]
        for a, b in zip(tensors, results[0][1:], strict=True):
            assert a is not None
            assert torch.equal(a, b)


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("contracted", [True, False])
def test_the_grid_is_that_of_the_cpu_engine(contracted: bool) -> None:
    shape = dataclasses.replace(SHAPE, contracted=contracted)
    densities, bits = [], []
    for engine in both(make_state(shape), shape):
        state = make_state(shape)
        state.density[::5] = -1.0
        state.density[1::5] = 30.0
        for seed in (3, 4):
            engine.update_grid(
                state,
                seed=seed,
                occupied_every=2,
                all_every=5,
                decay=0.5,
                shortest=0.02,
                threshold=0.05,
            )
        densities.append(state.density)
        bits.append(state.weights.occupied)
        # What follows uses the new cells.
        rays = make_rays(20)
        bits.append(engine.gradients(state, MARCH, SETTINGS, rays)[1].color)
    assert (densities[0] != densities[1]).float().mean() < 0.7
    assert torch.allclose(densities[0], densities[1], rtol=1e-4, atol=1e-6)
    assert 0.05 < float((densities[1] > 0).float().mean()) < 0.95
    assert float((bits[0] != bits[2]).float().mean()) < 1e-3
    assert float(((bits[1] - bits[3]).abs() > 1e-3).float().mean()) < 0.1


def test_what_no_camera_sees_is_found_as_on_the_cpu() -> None:
    engines = both(make_state())
    a, b = (e.visible_density(0.3, carve=True) for e in engines)
    assert torch.equal(a, b)


def test_too_little_memory_is_said_before_it_is_asked_for() -> None:
    state = make_state()
    engine = prepared(cuda_engine(samples=1 << 26), state)
    held = engine.allocated
    with pytest.raises(TrainingError, match="a batch of 160 rays with room for 67108864") as e:
        engine.train_step(state, MARCH, SETTINGS)
    assert "--resolution" in e.value.remedy
    assert engine.allocated == held
    with pytest.raises(TrainingError, match=r"a field of .* entries .* about .* GB"):
        engine.require_memory(1 << 16, 1 << 20, 0)
    engine.require_memory(1 << 12, 1 << 12, 1 << 20)


def test_the_estimate_is_what_is_allocated() -> None:
    state = make_state()
    engine = prepared(cuda_engine(), state)
    engine.train_step(state, MARCH, dataclasses.replace(SETTINGS, rays=20))
    rooms = host_cuda.field_engine_bytes(32, SAMPLES, SAMPLES // 4, SHAPE.entries, SHAPE.grid)
    photos = engine.allocated - rooms
    assert 0 < photos < 3 * 200


def test_the_gpu_benchmark_times_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only runs on a GPU otherwise."""
    gpu = importlib.import_module("gpu")

    def engine(name: str, shape: FieldShape) -> NativeFieldEngine:
        small = dataclasses.replace(shape, log2_table=10, finest=64, grid=32)
        return native_field.FieldEngine(small) if name == "native_cpu" else cuda_engine(small)

    monkeypatch.setattr(gpu, "field_engine", engine)
    row = gpu.field_step(1, batch=500)
    assert row["live_per_second"] > 0
    assert row["difference"] < 1e-4
