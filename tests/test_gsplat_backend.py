"""The gsplat adapter: its conventions against gsplat's own projection, and its engine against ours
with a stand-in for gsplat's rasteriser, which needs a GPU (test_cuda_gpu.py has the real one)."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from splat_cases import FIELDS, cast, make_splats, make_view
from torch import Tensor

from recon.errors import OptionError
from recon.kernels import layout
from recon.kernels.gsplat_backend import GsplatBackend, rasterization_arguments
from recon.kernels.ops import PinholeView, RasterOptions, SplatTensors
from recon.kernels.reference import project, rasterise

native_cpu = pytest.importorskip("recon.kernels.native_cpu", reason="native kernels not built")

CPU = torch.device("cpu")


def stand_in(
    *,
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    width: int,
    height: int,
    backgrounds: Tensor,
    rasterize_mode: str,
    **rest: Any,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """`gsplat.rasterization` as its documentation states it, by our reference."""
    intrinsics = rest.pop("Ks")
    assert rest == {
        "near_plane": 0.01,
        "eps2d": 0.3,
        "packed": False,
        "absgrad": False,
        "render_mode": "RGB+D",
    }
    assert viewmats.shape == (1, 4, 4)
    assert intrinsics.shape == (1, 3, 3)
    k, pose = intrinsics[0].tolist(), viewmats[0]
    view = PinholeView(
        width,
        height,
        k[0][0],
        k[1][1],
        k[0][2],
        k[1][2],
        tuple(pose[:3, :3].reshape(-1).tolist()),
        tuple(pose[:3, 3].tolist()),
    )
    splats = SplatTensors(means, quats, scales.log(), torch.logit(opacities), colors[:, None])
    projected = project(splats, view, antialias=rasterize_mode == "antialiased")
    means2d = torch.zeros(1, len(means), 2).index_put(
        (torch.tensor(0), projected.index), projected.means2d
    )
    radii = torch.zeros(1, len(means), 2, dtype=torch.int32)
    radii[0, projected.index] = 1
    shown = type(projected)(
        projected.index,
        means2d[0, projected.index],
        projected.cov2d,
        projected.depths,
        projected.opacities,
    )
    out = rasterise(shown, colors[projected.index], view, tuple(backgrounds[0].tolist()))
    image = torch.cat([out.color, out.depth_sum[..., None]], -1)
    return image[None], out.alpha[None, ..., None], {"means2d": means2d, "radii": radii}


def test_arguments_exist_and_mean_what_gsplat_says() -> None:
    gsplat = pytest.importorskip("gsplat", reason="gsplat is not installed")
    torch_impl = pytest.importorskip(
        "gsplat.cuda._torch_impl", reason="gsplat has moved its oracle"
    )
    splats, view = cast(make_splats(50, seed=1), torch.float32), make_view()
    colors = torch.zeros(50, 4)
    arguments = rasterization_arguments(splats, colors, view, RasterOptions((0.1, 0.2, 0.3)))
    inspect.signature(gsplat.rasterization).bind(**arguments)

    covars, _ = torch_impl._quat_scale_to_covar_preci(
        arguments["quats"] / arguments["quats"].norm(dim=1, keepdim=True), arguments["scales"]
    )
    radii, means2d, depths, conics, _ = torch_impl._fully_fused_projection(
        arguments["means"],
        covars,
        arguments["viewmats"],
        arguments["Ks"],
        arguments["width"],
        arguments["height"],
        eps2d=arguments["eps2d"],
        near_plane=arguments["near_plane"],
    )
    engine = native_cpu.Engine()
    rows = layout.pack(splats).detach()
    engine.forward(layout.rows_to_blocks(rows), 50, view, RasterOptions())
    ours = engine.footprints()
    both = ours.any(1) & (radii[0] > 0).reshape(50, -1).all(1)
    assert both.sum() > 30
    torch.testing.assert_close(ours[both, :2], means2d[0][both], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(ours[both, 2:5], conics[0][both], rtol=2e-3, atol=1e-5)
    torch.testing.assert_close(ours[both, 9], depths[0][both], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("antialias", [False, True])
def test_rendering_and_gradients_are_those_of_the_native_kernels(antialias: bool) -> None:
    view, options = make_view(40, 30), RasterOptions((0.3, 0.1, 0.2), 2, antialias)
    results = []
    for backend in (GsplatBackend(stand_in, CPU), native_cpu.NativeCpuBackend()):
        splats = cast(make_splats(60, seed=3), torch.float32)
        out = backend.render(splats, view, options)
        (out.color.square().sum() + out.alpha.sum() + out.depth_sum.sum()).backward()
        results.append((out, [getattr(splats, name).grad for name in FIELDS]))
    (got, got_grads), (expected, expected_grads) = results
    for name in ("color", "alpha", "depth_sum"):
        off = (getattr(got, name) - getattr(expected, name)).abs() > 1e-3
        assert off.float().mean() < 0.005, name
    for name, a, b in zip(FIELDS, got_grads, expected_grads, strict=True):
        assert (a - b).norm() <= 0.02 * b.norm(), name


def test_a_step_is_that_of_the_native_engine() -> None:
    view, options = make_view(40, 30), RasterOptions((0.3, 0.1, 0.2), 2)
    g = torch.Generator().manual_seed(0)
    target = torch.randint(0, 256, (3, 30, 40), dtype=torch.uint8, generator=g)
    weight = torch.randint(0, 256, (30, 40), dtype=torch.uint8, generator=g)
    settings = layout.AdamSettings((1e-3,) * layout.ROWS, opacity_reg=0.1, scale_reg=0.2)
    results = []
    for backend in (GsplatBackend(stand_in, CPU), native_cpu.NativeCpuBackend()):
        rows = layout.pack(cast(make_splats(60, seed=3), torch.float32)).detach()
        blocks = layout.rows_to_blocks(rows)
        first, second = torch.zeros_like(blocks), torch.zeros_like(blocks)
        stats = layout.SplatStats.zeros(60)
        engine = backend.engine()
        engine.forward(blocks, 60, view, options)
        engine.loss(target, weight, 0.2)
        engine.backward()
        engine.adam(blocks, first, second, 1, settings, stats)
        moments = layout.blocks_to_rows(first, 60)
        results.append(((moments, stats.error, stats.gradient), stats.visible, engine.drain()))
    # At the border of the image the two may disagree on what is visible.
    both = (results[0][1] > 0) & (results[1][1] > 0)
    assert both.sum() > 40
    for a, b in zip(results[0][0], results[1][0], strict=True):
        assert (a - b)[both].norm() <= 0.02 * b[both].norm()
    got, expected = results[0][2], results[1][2]
    assert got.loss_sum == pytest.approx(expected.loss_sum, rel=1e-3)
    assert (got.losses, got.nonfinite) == (1, 0)


def test_adam_before_backward_is_refused() -> None:
    engine = GsplatBackend(stand_in, CPU).engine()
    blocks = layout.rows_to_blocks(torch.randn(5, layout.ROWS))
    engine.forward(blocks, 5, make_view(), RasterOptions())
    with pytest.raises(OptionError, match="after loss"):
        engine.adam(blocks, blocks, blocks, 1, layout.AdamSettings((0.0,) * layout.ROWS))
