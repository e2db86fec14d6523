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
from recon.kernels.field_engine import NativeFieldEngine
from recon.kernels.field_ops import FEATURES, FieldShape, StepResult, StepSettings
from recon.kernels.field_tensors import FieldState
from recon.kernels.ops import PinholeView

# Room for few samples: launches are sized for the room, which costs here even where it is not used.
SAMPLES = 1 << 13
SETTINGS = StepSettings(
    0, 1, 157, huber_delta=0.2, distortion=0.5, mlp_decay=1e-3, exposure_decay=1e-2
)


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


def step(
    engine: NativeFieldEngine, state: FieldState, settings: StepSettings = SETTINGS
) -> StepResult:
    """One training step, waited for."""
    return engine.train_step(state, MARCH, settings) or engine.finish_steps()[-1]


def tensors(state: FieldState) -> list[torch.Tensor]:
    """All that a training step may change."""
    parts = [state.records, state.weights.table, state.weights.mlp]
    parts += [state.mlp_first, state.mlp_second]
    exposures = (state.exposure, state.exposure_first, state.exposure_second)
    return parts + [part for part in exposures if part is not None]


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
    ("width", "height", "near", "phase"),
    [(13, 9, 0.0, 0.5), (1, 1, 0.0, 0.5), (3, 50, 0.0, 0.875), (13, 9, 0.9, 0.5)],
)
def test_rendering_agrees_with_the_reference(
    width: int, height: int, near: float, phase: float, samples: int
) -> None:
    """Odd sizes; without room for all samples at first; a near plane; samples late in their
    steps."""
    march = dataclasses.replace(MARCH, phase=phase)
    state = make_state()
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    view = PinholeView(
        width, height, 9.0, 9.5, width / 2 - 0.3, height / 2, identity, (0.0, 0.0, 1.2)
    )
    background = (0.1, 0.7, 0.3)
    engine = prepared(cuda_engine(samples=samples), state)
    color, alpha, depth = engine.render(
        state.weights, march, view, background, depth=True, near=near
    )
    shown, opaque, _ = reference_view(SHAPE, state, march, view, background, near)
    # A ray at the edge of a cell may take a sample more or less than the reference.
    off = (shown - color).abs().amax(-1) > 2e-3
    assert float(off.float().mean()) < 0.03
    assert float((opaque - alpha).abs().mean()) < 1e-3
    cpu = prepared(native_field.FieldEngine(SHAPE), state)
    expected = cpu.render(state.weights, march, view, background, depth=True, near=near)[2]
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
    step(engine, state)
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
            step(engine, own, dataclasses.replace(SETTINGS, step=number, rays=200))
            for number in (1, 2)
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
        state, untouched = make_state(), tensors(make_state())
        engine = prepared(cuda_engine(samples=samples), state)
        failures = 0
        while not (outcome := step(engine, state)).complete:
            failures += 1
            assert all(torch.equal(a, b) for a, b in zip(tensors(state), untouched, strict=True))
            engine.make_room(outcome)
        totals = engine.drain()
        assert (totals.losses, totals.skipped) == (1, failures)
        assert totals.loss_sum == outcome.loss
        assert (failures > 0) == (samples == 1)
        results.append((outcome, tensors(state)))
    host_cuda.set_order(0)
    for outcome, parts in results[1:]:
        assert outcome == results[0][0]
        assert all(torch.equal(a, b) for a, b in zip(parts, results[0][1], strict=True))


def test_a_step_waits_for_nothing_but_a_step_some_steps_back() -> None:
    """With all that changes from step to step: marching, rays, levels, the grid. That what copies
    read stays as it is while they may be under way is checked by the executor's device."""
    state = make_state()
    engine = prepared(cuda_engine(), state)
    engine.set_room((1 << 14, 1 << 13))
    engine.train_step(state, MARCH, dataclasses.replace(SETTINGS, rays=100))
    engine.finish_steps()
    device, events = host_cuda.waits()
    results: list[StepResult | None] = []
    for number in range(2, engine.lag + 6):
        march = dataclasses.replace(MARCH, shortest=MARCH.shortest * (1 + 0.01 * number))
        settings = dataclasses.replace(SETTINGS, step=number, rays=100 + number)
        results.append(engine.train_step(state, march, settings))
        engine.update_grid(
            state,
            seed=number,
            occupied_every=2,
            all_every=5,
            decay=0.5,
            shortest=0.02,
            threshold=0.05,
        )
    assert [result is None for result in results] == [True] * engine.lag + [False] * 4
    assert host_cuda.waits() == (device, events + 4)
    late = [result for result in results if result is not None] + engine.finish_steps()
    assert len(late) == len(results)
    # Each result is that of its own step.
    assert len({result.loss for result in late}) == len(late)
    totals = engine.drain()
    assert (totals.losses, totals.skipped) == (1 + len(late), 0)
    with pytest.raises(RuntimeError, match="no step is under way"):
        host_cuda.FieldEngine(1024).take_result()


def test_room_grows_by_what_came_back() -> None:
    engine = cuda_engine(samples=8192)
    assert engine.room == (8192, 2048)
    had = StepResult(0.1, 0.1, marched=100, live=1000, evaluated=7000)
    engine.make_room(had)
    assert engine.room == (8192, 2048)
    engine.make_room(dataclasses.replace(had, evaluated=8000))
    assert engine.room == (12000, 2048)
    engine.make_room(dataclasses.replace(had, live=4096, complete=False))
    assert engine.room == (12000, 6144)
    other = cuda_engine(samples=1)
    other.set_room(engine.room)
    assert other.room == engine.room
    other.set_room(None)
    assert other.room == engine.room
    with pytest.raises(TrainingError, match="more than can be numbered"):
        engine.make_room(dataclasses.replace(had, evaluated=1 << 31))


def test_behind_the_end_of_a_ray_its_round_alone_is_evaluated() -> None:
    state = make_state()
    engine = prepared(cuda_engine(), state)
    endless = dataclasses.replace(MARCH, min_transmittance=0.0)
    ended = 0
    for seed in range(12):
        ray = make_rays(1, seed=seed)
        every = engine.gradients(state, endless, SETTINGS, ray)[0]
        some = engine.gradients(state, MARCH, SETTINGS, ray)[0]
        assert every.evaluated == every.marched
        rounds = next(n for n in (0, 8, 16, 32, 64, every.evaluated) if n >= some.marched)
        assert some.evaluated == min(rounds, every.evaluated)
        ended += some.evaluated < every.evaluated
    assert ended > 3


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
    with pytest.raises(TrainingError, match="room for 256 rays and 67108864 samples") as e:
        engine.train_step(state, MARCH, SETTINGS)
    assert "--resolution" in e.value.remedy
    assert engine.allocated == held
    with pytest.raises(TrainingError, match=r"a field of .* entries .* about .* GB"):
        engine.require_memory(1 << 16, 1 << 20, 0)
    engine.require_memory(1 << 12, 1 << 12, 1 << 20)


def test_the_estimate_is_what_is_allocated() -> None:
    state = make_state()
    engine = prepared(cuda_engine(), state)
    step(engine, state, dataclasses.replace(SETTINGS, rays=20))
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
