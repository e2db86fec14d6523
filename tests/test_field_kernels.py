"""The native field kernels against the reference in float64."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

native_field = pytest.importorskip("recon.kernels.native_field", reason="native kernels not built")
from field_cases import (  # noqa: E402
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

from recon.kernels import native_cpu  # noqa: E402
from recon.kernels.field_ops import FEATURES, StepSettings  # noqa: E402
from recon.kernels.native_field import FieldEngine  # noqa: E402
from recon.kernels.ops import PinholeView  # noqa: E402
from recon.nerf import reference  # noqa: E402

ISAS = native_cpu.instruction_sets()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("distortion", [0.0, 0.5])
@pytest.mark.parametrize("contracted", [True, False])
def test_gradients_agree_with_autograd(isa: str, contracted: bool, distortion: float) -> None:
    shape = dataclasses.replace(SHAPE, contracted=contracted)
    state, rays = make_state(shape), make_rays(157)
    settings = StepSettings(
        0, 1, 157, huber_delta=0.2, distortion=distortion, mlp_decay=1e-3, exposure_decay=1e-2
    )
    engine = prepared(FieldEngine(shape, isa), state)
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
    assert_queries_agree(FieldEngine(SHAPE, isa), n)


@pytest.mark.parametrize("isa", ISAS)
def test_adam_moves_touched_entries_alone(isa: str) -> None:
    state = make_state()
    engine = prepared(FieldEngine(SHAPE, isa), state)
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
@pytest.mark.parametrize(("near", "phase"), [(0.0, 0.5), (0.9, 0.5), (0.0, 0.125)])
@pytest.mark.parametrize("contracted", [True, False])
def test_rendering_agrees_with_the_reference(
    isa: str, near: float, phase: float, contracted: bool
) -> None:
    """Odd sizes, views that look away, depth, a near plane, samples early in their steps."""
    march = dataclasses.replace(MARCH, phase=phase)
    shape = dataclasses.replace(SHAPE, contracted=contracted)
    state = make_state(shape)
    engine = prepared(FieldEngine(shape, isa), state)
    views = [
        PinholeView(13, 9, 9.0, 9.5, 6.0, 5.0, (1, 0, 0, 0, 1, 0, 0, 0, 1), (0.0, 0.0, 1.2)),
        PinholeView(3, 2, 9.0, 9.5, 1.0, 1.0, (1, 0, 0, 0, 1, 0, 0, 0, 1), (0.0, 0.0, -900.0)),
    ]
    background = (0.1, 0.7, 0.3)
    for view in views:
        color, alpha, depth = engine.render(
            state.weights, march, view, background, depth=True, near=near
        )
        assert depth is not None
        shown, opaque, _ = reference_view(shape, state, march, view, background, near)
        off = (shown - color).abs().amax(-1)
        # A ray at the edge of a cell may take a sample more or less than the reference.
        assert float((off > 2e-3).float().mean()) < 0.03
        assert float((opaque - alpha).abs().mean()) < 1e-3
        if near > 0.0 and view is views[0]:
            whole = engine.render(state.weights, march, view, background)[0]
            assert float((whole - color).abs().mean()) > 0.02


def test_fog_is_kept_in_the_box_though_the_shell_around_it_is_more_opaque() -> None:
    shape = dataclasses.replace(SHAPE, contracted=True)
    state = make_state(shape)
    state.weights.table.zero_()
    state.density.zero_()
    engine = prepared(FieldEngine(shape), state)
    engine.update_grid(
        state, seed=1, occupied_every=1, all_every=1, decay=0.9, shortest=0.004, threshold=0.01
    )
    assert (state.weights.occupied == 255).all()


def test_distortion_is_the_papers_sum_over_pairs() -> None:
    """Mip-NeRF 360, eq. 15, term by term; and a surface has less than fog."""
    g = torch.Generator().manual_seed(2)
    weight = torch.rand(5, 7, generator=g, dtype=torch.float64) / 7
    t = torch.rand(5, 7, generator=g, dtype=torch.float64).cumsum(1)
    step = torch.rand(7, generator=g, dtype=torch.float64) / 9
    place = t / (1 + t)
    pairs = weight[:, :, None] * weight[:, None] * (place[:, :, None] - place[:, None]).abs()
    want = pairs.sum((1, 2)) + (weight**2 * step / (1 + t) ** 2).sum(1) / 3
    got = reference.distortion(weight, t, step)
    torch.testing.assert_close(got, want)
    surface = torch.zeros_like(weight)
    surface[:, 3] = weight.sum(1)
    assert bool((reference.distortion(surface, t, step) < got).all())
