"""The reference rasteriser against gsplat's torch helpers, direct loops and finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from recon.errors import OptionError
from recon.geometry import look_at
from recon.kernels.ops import (
    ALPHA_MAX,
    ALPHA_MIN,
    BLUR,
    T_MIN,
    PinholeView,
    RasterOptions,
    SplatTensors,
)
from recon.kernels.reference import (
    ReferenceBackend,
    covariances,
    project,
    rasterise,
    sh_basis,
    sh_color,
)

F64 = torch.float64


def make_view(width: int = 20, height: int = 16) -> PinholeView:
    pose = look_at([0.3, -3.0, 0.5], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    return PinholeView(
        width=width,
        height=height,
        fx=1.1 * width,
        fy=1.2 * width,
        cx=0.47 * width,
        cy=0.52 * height,
        rotation=tuple(pose[:3, :3].ravel().tolist()),
        translation=(float(pose[0, 3]), float(pose[1, 3]), float(pose[2, 3])),
    )


def make_splats(count: int, seed: int = 0, spread: float = 0.6, degree: int = 3) -> SplatTensors:
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
        return torch.tensor(rng.normal(size=shape) * scale + shift, dtype=F64)

    return SplatTensors(
        means=normal(count, 3, scale=spread),
        quats=normal(count, 4),
        log_scales=normal(count, 3, scale=0.4, shift=-1.6),
        logit_opacities=normal(count, scale=0.8),
        sh=normal(count, (degree + 1) ** 2, 3, scale=0.2),
    )


def pose_matrix(view: PinholeView) -> Tensor:
    pose = torch.eye(4, dtype=F64)
    pose[:3, :3] = torch.tensor(view.rotation, dtype=F64).reshape(3, 3)
    pose[:3, 3] = torch.tensor(view.translation, dtype=F64)
    return pose


def intrinsics(view: PinholeView) -> Tensor:
    return torch.tensor(
        [[view.fx, 0.0, view.cx], [0.0, view.fy, view.cy], [0.0, 0.0, 1.0]], dtype=F64
    )


def loop_render(splats: SplatTensors, view: PinholeView, options: RasterOptions) -> np.ndarray:
    """Steps 6 and 7 pixel by pixel in numpy: (H, W, 5) of colour, alpha, depth_sum."""
    p = project(splats, view, antialias=options.antialias)
    colors = sh_color(splats.means[p.index], splats.sh[p.index], view, options.sh_degree).numpy()
    out = np.zeros((view.height, view.width, 5))
    order = np.argsort(p.depths.numpy(), kind="stable")
    inverse = np.linalg.inv(p.cov2d.numpy())
    for row in range(view.height):
        for column in range(view.width):
            t = 1.0
            for i in order:
                d = np.array([column + 0.5, row + 0.5]) - p.means2d[i].numpy()
                alpha = min(ALPHA_MAX, float(p.opacities[i]) * np.exp(-0.5 * d @ inverse[i] @ d))
                if alpha < ALPHA_MIN:
                    continue
                out[row, column, :3] += alpha * t * colors[i]
                out[row, column, 4] += alpha * t * float(p.depths[i])
                t *= 1 - alpha
                if t < T_MIN:
                    t = 0.0
                    break
            out[row, column, :3] += t * np.array(options.background)
            out[row, column, 3] = 1 - t
    return out


@pytest.mark.parametrize("antialias", [False, True])
def test_agrees_with_a_loop_over_pixels(antialias: bool) -> None:
    view = make_view()
    splats = make_splats(60)
    # Some broad and nearly opaque ones, so that ALPHA_MAX and T_MIN are reached.
    some = torch.arange(20)
    splats = replace(
        splats,
        logit_opacities=splats.logit_opacities.index_fill(0, some, 9.0),
        log_scales=splats.log_scales.index_fill(0, some, -0.7),
    )
    options = RasterOptions((0.2, 0.5, 0.9), 3, antialias)
    got = ReferenceBackend().render(splats, view, options)
    want = loop_render(splats, view, options)
    assert (want[..., 3] == 1.0).any(), "no pixel became opaque: T_MIN is not tested"
    np.testing.assert_allclose(got.color.numpy(), want[..., :3], atol=1e-12)
    np.testing.assert_allclose(got.alpha.numpy(), want[..., 3], atol=1e-12)
    np.testing.assert_allclose(got.depth_sum.numpy(), want[..., 4], atol=1e-12)


def test_projection_agrees_with_gsplat() -> None:
    gsplat = pytest.importorskip("gsplat.cuda._torch_impl")
    view = make_view(64, 48)
    # Wide enough that the field-of-view clamp is active for some.
    splats = make_splats(400, seed=1, spread=1.6)
    covars, _ = gsplat._quat_scale_to_covar_preci(
        splats.quats, splats.log_scales.exp(), compute_preci=False
    )
    torch.testing.assert_close(covariances(splats.quats, splats.log_scales), covars)

    _, means2d, depths, conics, compensation = gsplat._fully_fused_projection(
        splats.means,
        covars,
        pose_matrix(view)[None],
        intrinsics(view)[None],
        view.width,
        view.height,
        eps2d=BLUR,
        calc_compensations=True,
    )
    for antialias in (False, True):
        p = project(splats, view, antialias=antialias)
        assert 200 < len(p.index) < 400, "some are behind the camera, most are not"
        torch.testing.assert_close(p.means2d, means2d[0, p.index])
        torch.testing.assert_close(p.depths, depths[0, p.index])
        inverse = torch.linalg.inv(p.cov2d)
        ours = torch.stack([inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 1]], -1)
        torch.testing.assert_close(ours, conics[0, p.index], rtol=1e-6, atol=1e-9)
        opacity = torch.sigmoid(splats.logit_opacities[p.index])
        if antialias:
            opacity = opacity * compensation[0, p.index]
        torch.testing.assert_close(p.opacities, opacity)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spherical_harmonics_agree_with_gsplat(degree: int) -> None:
    gsplat = pytest.importorskip("gsplat.cuda._torch_impl")
    view, splats = make_view(), make_splats(50, seed=2)
    centre = torch.linalg.inv(pose_matrix(view))[:3, 3]
    raw = gsplat._spherical_harmonics(degree, splats.means - centre, splats.sh)
    got = sh_color(splats.means, splats.sh, view, degree)
    torch.testing.assert_close(got, (raw + 0.5).clamp(min=0), rtol=1e-7, atol=1e-9)


def test_sh_signs_are_those_of_the_3dgs_files() -> None:
    x, y, z = torch.eye(3, dtype=F64)
    c1 = 0.4886025119029199
    assert sh_basis(y[None], 1)[0, 1].item() == pytest.approx(-c1)
    assert sh_basis(z[None], 1)[0, 2].item() == pytest.approx(c1)
    assert sh_basis(x[None], 1)[0, 3].item() == pytest.approx(-c1)
    assert sh_basis(x[None], 3)[0, 15].item() == pytest.approx(-0.5900435899266435)
    assert sh_basis(y[None], 3)[0, 9].item() == pytest.approx(0.5900435899266435)


def test_sh_basis_is_orthonormal_on_the_sphere() -> None:
    # Gauss-Legendre in z times a uniform rule in the angle is exact for these polynomials.
    nodes, node_weights = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) * 2 * np.pi / 16
    z, angle = (a.ravel() for a in np.meshgrid(nodes, angles, indexing="ij"))
    radius = np.sqrt(1 - z * z)
    directions = torch.tensor(np.stack([radius * np.cos(angle), radius * np.sin(angle), z], -1))
    weights = torch.tensor(np.repeat(node_weights, 16) * 2 * np.pi / 16)
    basis = sh_basis(directions, 3)
    gram = (basis * weights[:, None]).T @ basis
    torch.testing.assert_close(gram, torch.eye(16, dtype=F64), atol=1e-7, rtol=0)


def test_an_unknown_sh_degree_is_refused() -> None:
    with pytest.raises(OptionError):
        sh_basis(torch.eye(3, dtype=F64), 4)


@pytest.mark.parametrize("antialias", [False, True])
def test_gradients_against_finite_differences(antialias: bool) -> None:
    """One broad splat before another, no threshold or clamp within reach of the probe."""
    view = make_view(5, 4)
    splats = SplatTensors(
        means=torch.tensor([[0.05, -0.4, 0.02], [-0.1, 0.5, 0.1], [0.2, 0.0, 0.05]], dtype=F64),
        quats=torch.tensor(
            [[0.9, 0.2, -0.3, 0.1], [0.4, -0.5, 0.6, 0.7], [1, 0, 0, 0.2]], dtype=F64
        ),
        log_scales=torch.tensor([[0.3, 0.5, 0.1], [0.6, 0.2, 0.4], [0.2, 0.4, 0.3]], dtype=F64),
        logit_opacities=torch.tensor([0.3, -0.2, 0.1], dtype=F64),
        sh=0.05 * torch.randn(3, 16, 3, dtype=F64, generator=torch.Generator().manual_seed(3)),
    )
    options = RasterOptions((0.3, 0.6, 0.1), 3, antialias)

    def run(*arrays: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = ReferenceBackend().render(SplatTensors(*arrays), view, options)
        return out.color, out.alpha, out.depth_sum

    inputs = [
        a.clone().requires_grad_()
        for a in (
            splats.means,
            splats.quats,
            splats.log_scales,
            splats.logit_opacities,
            splats.sh,
        )
    ]
    assert torch.autograd.gradcheck(run, inputs, eps=1e-6, atol=1e-7, rtol=1e-5)


def test_clamped_jacobian_passes_no_gradient_through_its_angle() -> None:
    """Far outside the image, cov2d no longer depends on where across the view the mean is."""
    view, splats = make_view(), make_splats(1)
    pose = pose_matrix(view)
    side = torch.tensor([4.0, 0.0, 2.0], dtype=F64)  # x/z = 2, far beyond the field of view
    means = ((side - pose[:3, 3]) @ pose[:3, :3])[None].requires_grad_()
    p = project(replace(splats, means=means), view)
    (gradient,) = torch.autograd.grad(p.cov2d.sum(), means)
    in_camera = pose[:3, :3] @ gradient[0]
    assert in_camera[0].abs() < 1e-12
    assert in_camera[2].abs() > 1e-3


def test_clamps_have_zero_gradients() -> None:
    view = make_view(4, 4)
    splats = make_splats(2)
    splats = replace(
        splats,
        means=torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=F64),
        log_scales=torch.full((2, 3), 5.0, dtype=F64),
        logit_opacities=torch.full((2,), 12.0, dtype=F64),
        sh=torch.full((2, 1, 3), -9.0, dtype=F64),
    )
    inputs = {
        "logit_opacities": splats.logit_opacities.clone().requires_grad_(),
        "sh": splats.sh.clone().requires_grad_(),
    }
    out = ReferenceBackend().render(replace(splats, **inputs), view, RasterOptions())
    assert bool((out.alpha == 1).all()), "0.999 twice leaves less than T_MIN"
    total = out.color.sum() + out.alpha.sum() + out.depth_sum.sum()
    for gradient in torch.autograd.grad(total, list(inputs.values())):
        assert bool((gradient == 0).all())


def test_equal_depths_are_blended_in_index_order() -> None:
    view = make_view(4, 4)
    splats = make_splats(2)
    splats = replace(
        splats,
        means=torch.zeros(2, 3, dtype=F64),
        log_scales=torch.full((2, 3), 5.0, dtype=F64),
        logit_opacities=torch.full((2,), 4.0, dtype=F64),
        sh=torch.tensor([[[2.0, -2.0, -2.0]], [[-2.0, 2.0, -2.0]]], dtype=F64),
    )
    out = ReferenceBackend().render(splats, view, RasterOptions(sh_degree=0))
    assert bool((out.color[..., 0] > 10 * out.color[..., 1]).all())


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_see_gives_the_background(count: int) -> None:
    view, splats = make_view(), make_splats(count)
    pose = pose_matrix(view)
    behind = -pose[:3, :3].T @ pose[:3, 3] - pose[2, :3]
    splats = replace(splats, means=behind.expand(count, 3))
    out = ReferenceBackend().render(splats, view, RasterOptions((0.1, 0.2, 0.3)))
    assert out.color.shape == (16, 20, 3)
    torch.testing.assert_close(
        out.color, torch.tensor([0.1, 0.2, 0.3], dtype=F64).expand(16, 20, 3)
    )
    assert bool((out.alpha == 0).all())
    assert bool((out.depth_sum == 0).all())


def test_a_mean_at_the_camera_does_not_poison_gradients() -> None:
    view, splats = make_view(), make_splats(3)
    pose = pose_matrix(view)
    means = splats.means.clone()
    means[1] = -pose[:3, :3].T @ pose[:3, 3]
    means.requires_grad_()
    out = ReferenceBackend().render(replace(splats, means=means), view, RasterOptions())
    (gradient,) = torch.autograd.grad(out.color.sum(), means)
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient[1] == 0).all())


def test_float32_follows_float64() -> None:
    view, splats = make_view(), make_splats(80, seed=4)
    single = SplatTensors(*(getattr(splats, f).float() for f in splats.__dataclass_fields__))
    options = RasterOptions((1.0, 1.0, 1.0))
    a = ReferenceBackend().render(single, view, options)
    b = ReferenceBackend().render(splats, view, options)
    assert a.color.dtype == torch.float32
    torch.testing.assert_close(a.color, b.color.float(), atol=2e-5, rtol=1e-4)


def test_stages_alone_make_the_same_picture() -> None:
    view, splats = make_view(), make_splats(30)
    p = project(splats, view)
    colors = sh_color(splats.means, splats.sh, view, 3)[p.index]
    a = rasterise(p, colors, view, (0.5, 0.5, 0.5))
    b = ReferenceBackend().render(splats, view, RasterOptions((0.5, 0.5, 0.5)))
    torch.testing.assert_close(a.color, b.color)
