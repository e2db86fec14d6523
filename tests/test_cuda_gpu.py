"""The CUDA kernels on a real GPU: `pytest -m gpu`. The same checks as on the CPU, and what only a
GPU can show: generated code, fast intrinsics, streams, gsplat."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from ball_scene import ball_scene, mean_psnr, small_options
from field_cases import (
    MARCH,
    SHAPE,
    make_rays,
    make_state,
    prepared,
    reference_step,
    relative,
)
from splat_cases import FIELDS, cast, make_splats, make_view, reference_case, weighted_sum

from recon.kernels import layout
from recon.kernels.field_ops import StepSettings
from recon.kernels.field_tensors import Rays
from recon.kernels.ops import RasterOptions, SplatTensors
from recon.kernels.registry import field_engine, get_backend, probe

pytestmark = pytest.mark.gpu

native = probe("native_cuda")
needs_native = pytest.mark.skipif(not native.ok, reason=f"native_cuda: {native.detail}")
gsplat = probe("gsplat")
needs_gsplat = pytest.mark.skipif(not gsplat.ok, reason=f"gsplat: {gsplat.detail}")

both = pytest.mark.parametrize(
    "name",
    [
        pytest.param("native_cuda", marks=needs_native),
        pytest.param("gsplat", marks=needs_gsplat),
    ],
)


def on_gpu(splats: SplatTensors) -> SplatTensors:
    return SplatTensors(
        *(getattr(splats, f).detach().float().cuda().requires_grad_() for f in FIELDS)
    )


@both
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("count", "scale"), [(1, -1.0), (250, -2.4), (600, -3.6)])
def test_matches_the_reference(name: str, antialias: bool, count: int, scale: float) -> None:
    case = reference_case(count, scale, antialias)
    single = on_gpu(case.splats)
    got = get_backend(name).render(single, make_view(), case.options)
    # gsplat ends a pixel at another transmittance: see recon/kernels/gsplat_backend.py.
    images, grads = (2e-5, 1e-3) if name == "native_cuda" else (5e-3, 3e-2)
    for part in ("color", "alpha", "depth_sum"):
        a, b = getattr(got, part).double().cpu(), getattr(case.expected, part)
        torch.testing.assert_close(a[case.clean], b[case.clean], atol=images, rtol=5 * images)
    weights = tuple(w.cuda() for w in case.weights)
    weighted_sum(got, weights).backward()
    for field in FIELDS:
        a, b = getattr(single, field).grad.double().cpu(), case.grads[field]
        assert (a - b).norm() <= grads * b.norm() + 1e-7, field


@needs_native
def test_same_bits_each_time_and_on_any_stream() -> None:
    rows = layout.pack(cast(make_splats(20_000, seed=1, scale=-3.5), torch.float32)).detach().cuda()
    view = make_view(400, 300)
    target = torch.full((3, 300, 400), 90, dtype=torch.uint8, device="cuda")
    results = []
    for _ in range(3):
        with torch.cuda.stream(torch.cuda.Stream()):
            blocks = layout.rows_to_blocks(rows)
            first, second = torch.zeros_like(blocks), torch.zeros_like(blocks)
            engine = get_backend("native_cuda").engine()
            for step in (1, 2, 3):
                engine.forward(blocks, len(rows), view, RasterOptions())
                engine.loss(target)
                engine.backward()
                engine.adam(blocks, first, second, step, layout.AdamSettings((1e-3,) * layout.ROWS))
            results.append((blocks, second, engine.drain()))
        torch.cuda.synchronize()
    assert results[0][2].losses == 3
    for blocks, second, totals in results[1:]:
        assert torch.equal(blocks, results[0][0])
        assert torch.equal(second, results[0][1])
        assert totals == results[0][2]


@needs_native
def test_the_estimate_of_memory_is_what_the_gpu_gives() -> None:
    from recon.kernels import native_cuda

    module = native_cuda.load_native()
    before = module.memory()[0]
    engine = get_backend("native_cuda").engine()
    blocks = torch.zeros(layout.block_shape(1000), device="cuda")
    engine.forward(blocks, 1000, make_view(640, 480), RasterOptions())
    taken = before - module.memory()[0]
    # Allocations are rounded up to 2 MB each.
    assert engine.allocated <= taken <= engine.allocated + 30 * (2 << 20)


@needs_native
@pytest.mark.parametrize("contracted", [True, False])
def test_gradients_of_fields_agree_with_autograd(contracted: bool) -> None:
    shape = dataclasses.replace(SHAPE, contracted=contracted)
    state, rays = make_state(shape), make_rays(157)
    settings = StepSettings(
        0, 1, 157, huber_delta=0.2, distortion=0.5, mlp_decay=1e-3, exposure_decay=1e-2
    )
    want = reference_step(shape, state, MARCH, settings, rays)
    on_device = state.to(torch.device("cuda"))
    given = Rays(*(getattr(rays, f.name).cuda() for f in dataclasses.fields(rays)))
    results = []
    for _ in range(2):
        engine = prepared(field_engine("native_cuda", shape), on_device)
        result, got = engine.gradients(on_device, MARCH, settings, given)
        results.append((result, got.table, got.mlp))
        assert result.loss == pytest.approx(float(want["loss"]), rel=1e-4)
        for name in ("color", "table", "mlp", "exposure"):
            # A sample at the edge of a cell may fall on either side.
            assert relative(getattr(got, name).cpu(), want[name]) < 1e-2, name
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])
    assert torch.equal(results[0][2], results[1][2])


@needs_native
def test_steps_of_fields_are_queued_without_waiting() -> None:
    state = make_state().to(torch.device("cuda"))
    engine = prepared(field_engine("native_cuda", SHAPE), state)
    settings = StepSettings(0, 1, 100)
    engine.train_step(state, MARCH, settings)  # makes room
    engine.finish_steps()
    torch.cuda._sleep(2_000_000_000)  # cycles: about a second of work before the steps
    reached = torch.cuda.Event()
    reached.record()
    for step in range(2, 2 + engine.lag):
        march = dataclasses.replace(MARCH, shortest=0.05 + 0.001 * step)
        assert engine.train_step(state, march, dataclasses.replace(settings, step=step)) is None
    assert not reached.query()
    results = engine.finish_steps()
    assert reached.query()
    assert len({result.loss for result in results}) == engine.lag


@needs_native
def test_fields_train_as_on_the_cpu(tmp_path_factory: pytest.TempPathFactory) -> None:
    from recon.nerf import NerfOptions, NerfTrainer

    scene = ball_scene(tmp_path_factory.mktemp("ball"), transparent=True)
    options = NerfOptions(
        steps=300,
        log2_table=12,
        finest=128,
        grid=32,
        first_batch=2048,
        batch=4096,
        step_length=0.03,
        eval_every=None,
    )
    psnr = {}
    for backend in ("native_cpu", "native_cuda"):
        trainer = NerfTrainer(scene, dataclasses.replace(options, backend=backend))
        list(trainer.run())
        psnr[backend] = mean_psnr(trainer.snapshot(), scene)
    assert psnr["native_cuda"] > psnr["native_cpu"] - 0.7


@both
def test_training_reaches_what_the_cpu_reaches(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from recon.splat import SplatTrainer

    scene = ball_scene(tmp_path_factory.mktemp("ball"))
    psnr = {}
    for backend in ("native_cpu", name):
        trainer = SplatTrainer(scene, small_options(steps=600, backend=backend))
        list(trainer.run())
        psnr[backend] = mean_psnr(trainer.snapshot(), scene)
    assert psnr[name] > psnr["native_cpu"] - 0.7
