"""The oracle: splat rendering in plain torch, exactly as `recon.kernels.ops` states it.

Dense (every splat at every pixel), differentiable by autograd, in float32 or float64: meant for
images of up to about 128 pixels and a thousand splats, where it is checked against and never
trained with. Each stage can be called alone. "Step n" refers to the list in `ops`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recon.errors import OptionError
from recon.kernels.ops import (
    ALPHA_MAX,
    ALPHA_MIN,
    BLUR,
    CLAMP_FOV,
    COMPENSATION_FLOOR,
    NEAR,
    T_MIN,
    PinholeView,
    RasterOptions,
    RasterOutput,
    SplatTensors,
)


@dataclass(frozen=True)
class ProjectedSplats:
    """What is left of N splats after steps 1 to 4, M <= N of them, in their original order.

    Attributes:
        index: (M,) int64, the splat that each row comes from.
        means2d: (M, 2) pixels.
        cov2d: (M, 2, 2) pixels squared, blur included.
        depths: (M,) z along the camera axis, scene units.
        opacities: (M,) in ALPHA_MIN..1, compensated if `antialias` was asked for.
    """

    index: Tensor
    means2d: Tensor
    cov2d: Tensor
    depths: Tensor
    opacities: Tensor


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotations (N, 3, 3) of quaternions (N, 4), wxyz, which are normalised here."""
    w, x, y, z = (quats / quats.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def covariances(quats: Tensor, log_scales: Tensor) -> Tensor:
    """3D covariances (N, 3, 3), scene units squared, of step 2."""
    m = rotation_matrices(quats) * log_scales.exp()[:, None, :]
    return m @ m.transpose(-1, -2)


def camera_pose(view: PinholeView, like: Tensor) -> tuple[Tensor, Tensor]:
    """`cam_from_world` rotation (3, 3) and translation (3,), of the dtype of `like`."""
    rotation = torch.tensor(view.rotation, dtype=like.dtype, device=like.device).reshape(3, 3)
    translation = torch.tensor(view.translation, dtype=like.dtype, device=like.device)
    return rotation, translation


def project(splats: SplatTensors, view: PinholeView, *, antialias: bool = False) -> ProjectedSplats:
    """Steps 1 to 4: camera space, 2D covariance, opacity; drops what cannot be seen."""
    rotation, translation = camera_pose(view, splats.means)
    in_front = (splats.means @ rotation.T + translation)[:, 2] > NEAR
    index = torch.nonzero(in_front).squeeze(1)

    x, y, z = (splats.means[index] @ rotation.T + translation).unbind(-1)
    means2d = torch.stack([view.fx * x / z + view.cx, view.fy * y / z + view.cy], -1)

    cov_world = covariances(splats.quats[index], splats.log_scales[index])
    jacobian = _projection_jacobian(x, y, z, view) @ rotation
    sharp = jacobian @ cov_world @ jacobian.transpose(-1, -2)
    cov2d = sharp + BLUR * torch.eye(2, dtype=sharp.dtype, device=sharp.device)

    opacities = torch.sigmoid(splats.logit_opacities[index])
    if antialias:
        ratio = _det2(sharp) / _det2(cov2d)
        opacities = opacities * ratio.clamp(min=COMPENSATION_FLOOR).sqrt()
    keep = opacities >= ALPHA_MIN
    return ProjectedSplats(index[keep], means2d[keep], cov2d[keep], z[keep], opacities[keep])


def _projection_jacobian(x: Tensor, y: Tensor, z: Tensor, view: PinholeView) -> Tensor:
    """d(pixel) / d(camera point), (M, 2, 3), with the clamped x/z and y/z of step 3."""
    pad_x, pad_y = CLAMP_FOV * view.width, CLAMP_FOV * view.height
    u = (x / z).clamp((-pad_x - view.cx) / view.fx, (view.width + pad_x - view.cx) / view.fx)
    v = (y / z).clamp((-pad_y - view.cy) / view.fy, (view.height + pad_y - view.cy) / view.fy)
    zero = torch.zeros_like(z)
    row_x = torch.stack([view.fx / z, zero, -view.fx * u / z], -1)
    row_y = torch.stack([zero, view.fy / z, -view.fy * v / z], -1)
    return torch.stack([row_x, row_y], -2)


def _det2(matrix: Tensor) -> Tensor:
    return matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """Real spherical harmonics (N, (degree + 1)^2) at unit vectors (N, 3), degree 0 to 3.

    Order and signs are those of the 3DGS files: the Condon-Shortley phase is kept, so that
    degree 1 reads -y, z, -x.
    """
    if degree not in (0, 1, 2, 3):
        raise OptionError(f"the SH degree must be 0, 1, 2 or 3, not {degree}")
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    basis = [torch.full_like(x, 0.28209479177387814)]
    if degree >= 1:
        c = 0.4886025119029199
        basis += [-c * y, c * z, -c * x]
    if degree >= 2:
        c = 1.0925484305920792
        basis += [
            c * x * y,
            -c * y * z,
            0.31539156525252005 * (2 * zz - xx - yy),
            -c * x * z,
            0.5462742152960396 * (xx - yy),
        ]
    if degree >= 3:
        c1, c2, c3 = 0.5900435899266435, 2.890611442640554, 0.4570457994644658
        basis += [
            -c1 * y * (3 * xx - yy),
            c2 * x * y * z,
            -c3 * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -c3 * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -c1 * x * (xx - 3 * yy),
        ]
    return torch.stack(basis, -1)


def sh_color(means: Tensor, sh: Tensor, view: PinholeView, degree: int) -> Tensor:
    """Step 5: colours (N, 3), sRGB, at least 0, of splats as this view sees them.

    Args:
        means: (N, 3) in scene units.
        sh: (N, K, 3); coefficients above `degree` are ignored, missing ones count as 0.
        view: the camera.
        degree: highest SH degree used.
    """
    rotation, translation = camera_pose(view, means)
    offset = means + rotation.T @ translation  # m minus the camera's centre -R^T t
    directions = offset / offset.norm(dim=-1, keepdim=True)
    basis = sh_basis(directions, degree)
    used = min(basis.shape[1], sh.shape[1])
    return (0.5 + torch.einsum("nk,nkc->nc", basis[:, :used], sh[:, :used])).clamp(min=0)


def rasterise(
    projected: ProjectedSplats,
    colors: Tensor,
    view: PinholeView,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> RasterOutput:
    """Steps 6 and 7: blend M projected splats of colours (M, 3) at every pixel centre."""
    # A stable sort keeps the index order among equal depths.
    order = torch.sort(projected.depths.detach(), stable=True).indices
    means2d, cov2d = projected.means2d[order], projected.cov2d[order]
    depths, opacities = projected.depths[order], projected.opacities[order]
    kind = {"dtype": means2d.dtype, "device": means2d.device}

    ys = torch.arange(view.height, **kind) + 0.5
    xs = torch.arange(view.width, **kind) + 0.5
    dx = xs[None, None, :] - means2d[:, 0, None, None]
    dy = ys[None, :, None] - means2d[:, 1, None, None]
    det = _det2(cov2d)
    inv_xx, inv_yy, inv_xy = (
        (entry / det)[:, None, None] for entry in (cov2d[:, 1, 1], cov2d[:, 0, 0], -cov2d[:, 0, 1])
    )
    power = -0.5 * (inv_xx * dx * dx + inv_yy * dy * dy) - inv_xy * dx * dy
    alpha = (opacities[:, None, None] * power.exp()).clamp(max=ALPHA_MAX)
    alpha = torch.where(alpha < ALPHA_MIN, torch.zeros_like(alpha), alpha)

    # passed[i] is T after splat i as if T_MIN were not there. It never rises, so "T became 0"
    # is the same as "passed fell under T_MIN".
    one = torch.ones(1, view.height, view.width, **kind)
    passed = torch.cat([one, torch.cumprod(1 - alpha, dim=0)])
    transmittance = torch.where(passed < T_MIN, torch.zeros_like(passed), passed)
    weights = alpha * transmittance[:-1]
    last = transmittance[-1]

    color = torch.einsum("nhw,nc->hwc", weights, colors[order])
    color = color + last[..., None] * torch.tensor(background, **kind)
    return RasterOutput(color, 1 - last, torch.einsum("nhw,n->hw", weights, depths))


def photometric_loss(
    image: Tensor, truth: Tensor, weight: Tensor | None, ssim_weight: float
) -> Tensor:
    """The training loss: (1 - ssim_weight) L1 + ssim_weight (1 - SSIM), means over all pixels.

    SSIM as Wang et al. 2004 define it, 11x11 Gaussian window of sigma 1.5, with zeros beyond the
    border (as 3DGS trains).

    Args:
        image, truth: (H, W, 3), sRGB in 0..1.
        weight: (H, W), what each pixel counts, 0..1; None for 1 everywhere.
        ssim_weight: 0..1.
    """
    d = torch.arange(-5, 6, dtype=image.dtype, device=image.device)
    window = torch.exp(-(d**2) / (2 * 1.5**2))
    window = window / window.sum()
    kernel = (window[:, None] * window[None])[None, None]

    def blur(picture: Tensor) -> Tensor:
        planes = picture.permute(2, 0, 1)[:, None]
        return torch.nn.functional.conv2d(planes, kernel, padding=5)[:, 0].permute(1, 2, 0)

    mx, my = blur(image), blur(truth)
    sxx, syy = blur(image * image) - mx**2, blur(truth * truth) - my**2
    sxy = blur(image * truth) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mx * my + c1) * (2 * sxy + c2) / ((mx**2 + my**2 + c1) * (sxx + syy + c2))
    counts = torch.ones_like(image[..., 0]) if weight is None else weight
    l1 = (counts[..., None] * (image - truth).abs()).mean()
    return (1 - ssim_weight) * l1 + ssim_weight * (counts[..., None] * (1 - ssim)).mean()


class ReferenceBackend:
    """`SplatBackend` in readable torch; takes float32 or float64 tensors."""

    name = "reference"

    def render(
        self, splats: SplatTensors, view: PinholeView, options: RasterOptions
    ) -> RasterOutput:
        """Render; the outputs have the dtype and the device of `splats.means`."""
        projected = project(splats, view, antialias=options.antialias)
        means, sh = splats.means[projected.index], splats.sh[projected.index]
        colors = sh_color(means, sh, view, options.sh_degree)
        return rasterise(projected, colors, view, options.background)
