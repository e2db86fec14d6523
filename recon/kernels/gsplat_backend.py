"""gsplat (Ye et al. 2024) behind our protocol: to train with, and to measure our kernels against.

`rasterization_arguments` is the one place where our conventions become gsplat's. Its semantics
differ from `recon.kernels.ops` in details: a pixel ends before the splat that would take T to 1e-4
or below, where ours ends after the one that takes it under T_MIN.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recon.errors import BackendUnavailable, OptionError
from recon.kernels.engine import StepTotals
from recon.kernels.layout import (
    ROW_LOG_SCALE,
    ROW_OPACITY,
    ROW_SH_REST,
    ROWS,
    AdamSettings,
    SplatStats,
    blocks_to_rows,
    differentiable_rows,
    rows_to_blocks,
    unpack,
)
from recon.kernels.memory import give_back_cache, require_free
from recon.kernels.ops import (
    BLUR,
    NEAR,
    PinholeView,
    RasterOptions,
    RasterOutput,
    SplatTensors,
)
from recon.kernels.reference import camera_pose, photometric_loss, sh_color

Rasterization = Callable[..., tuple[Tensor, Tensor, dict[str, Any]]]


def rasterization_arguments(
    splats: SplatTensors, colors: Tensor, view: PinholeView, options: RasterOptions
) -> dict[str, Any]:
    """Arguments of `gsplat.rasterization` for one view; colors (N, D), the first three of them RGB.

    - Quaternions are wxyz there too, and are normalised by it; scales and opacities come activated.
    - `viewmats` are `cam_from_world` with OpenCV axes, `Ks` are in pixels with centres at 0.5.
    - Colours are given as colours: the SH basis of `reference` is evaluated before, since gsplat
      would clamp extra channels too.
    - Not packed: rows of `meta` are splats, and gradients of 2D means can be asked for by splat.
      They are signed ones, as ours are, not the absolute ones of `absgrad`.
    - "RGB+D" appends the sum of weight times z, which is `depth_sum`.
    """
    rotation, translation = camera_pose(view, splats.means)
    viewmat = torch.eye(4, device=rotation.device)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, translation
    intrinsics = torch.tensor(
        [[view.fx, 0.0, view.cx], [0.0, view.fy, view.cy], [0.0, 0.0, 1.0]], device=rotation.device
    )
    background = torch.zeros(1, colors.shape[1], device=rotation.device)
    background[0, :3] = torch.tensor(options.background)
    return {
        "means": splats.means,
        "quats": splats.quats,
        "scales": splats.log_scales.exp(),
        "opacities": torch.sigmoid(splats.logit_opacities),
        "colors": colors,
        "viewmats": viewmat[None],
        "Ks": intrinsics[None],
        "width": view.width,
        "height": view.height,
        "near_plane": NEAR,
        "eps2d": BLUR,
        "packed": False,
        "absgrad": False,
        "backgrounds": background,
        "render_mode": "RGB+D",
        "rasterize_mode": "antialiased" if options.antialias else "classic",
    }


class Engine:
    """See `recon.kernels.engine.SplatEngine`: gsplat's rasteriser, the rest in torch."""

    def __init__(self, rasterization: Rasterization) -> None:
        self._rasterization = rasterization
        self._totals: list[Tensor] = []
        self._dropped: list[Tensor] = []

    def forward(
        self,
        blocks: Tensor,
        n: int,
        view: PinholeView,
        options: RasterOptions,
        *,
        depth: bool = False,
        training: bool = True,
    ) -> None:
        """Render n splats given as blocks."""
        del depth  # always there
        self._view, self._options = view, options
        with torch.set_grad_enabled(training):
            self._rows = blocks_to_rows(blocks, n).requires_grad_(training)
            # A channel that is 0: its gradient in the loss "error times channel" is what each splat
            # contributed to the error, which densification wants.
            self._share = torch.zeros(n, 1, device=blocks.device, requires_grad=training)
            self._color, self._alpha, self._depth, self._meta = render(
                self._rasterization, unpack(self._rows), view, options, self._share
            )
            if training:
                self._meta["means2d"].retain_grad()

    def output(self) -> RasterOutput:
        """Everything that the last forward rendered."""
        return RasterOutput(
            self._color[..., :3].detach(), self._alpha.detach(), self._depth.detach()
        )

    def loss(self, target: Tensor, weight: Tensor | None = None, ssim_weight: float = 0.2) -> None:
        """See `SplatEngine`."""
        truth = target.permute(1, 2, 0).float() / 255.0
        counts = None if weight is None else weight.float() / 255.0
        image = self._color[..., :3]
        value = photometric_loss(image, truth, counts, ssim_weight)
        error = (image.detach() - truth).abs().mean(-1)
        if counts is not None:
            error = error * counts
        self._objective = value + (self._color[..., 3] * error).sum()
        self._totals.append(value.detach())

    def backward(self) -> None:
        """Gradients of the loss in the parameters."""
        self._objective.backward()

    def adam(
        self,
        blocks: Tensor,
        first: Tensor,
        second: Tensor,
        step: int,
        settings: AdamSettings,
        stats: SplatStats | None = None,
    ) -> None:
        """Update blocks and Adam's moments in place for the visible splats."""
        grad, share, flow = self._rows.grad, self._share.grad, self._meta["means2d"].grad
        if grad is None or share is None or flow is None:
            raise OptionError("adam() comes after loss() and backward()")
        rows, n = self._rows.detach(), len(self._rows)
        seen = (self._meta["radii"][0] > 0).reshape(n, -1).all(1)
        keep = seen & torch.isfinite(grad).all(1)
        self._dropped.append((seen & ~keep).sum())
        opacity = torch.sigmoid(rows[:, ROW_OPACITY])
        grad[:, ROW_OPACITY] += settings.opacity_reg / n * opacity * (1 - opacity)
        grad[:, ROW_LOG_SCALE] += settings.scale_reg / (3 * n) * rows[:, ROW_LOG_SCALE].exp()
        m, v = blocks_to_rows(first, n), blocks_to_rows(second, n)
        m1 = settings.beta1 * m + (1 - settings.beta1) * grad
        v1 = settings.beta2 * v + (1 - settings.beta2) * grad**2
        unit = m1 / (1 - settings.beta1**step)
        unit = unit / ((v1 / (1 - settings.beta2**step)).sqrt() + settings.epsilon)
        moved = rows - torch.tensor(settings.rates, device=rows.device) * unit
        change = keep[:, None].expand_as(rows).clone()
        if not settings.update_sh:
            change[:, ROW_SH_REST] = False
        for into, new, old in ((blocks, moved, rows), (first, m1, m), (second, v1, v)):
            into.copy_(rows_to_blocks(torch.where(change, new, old)))
        if stats is not None:
            size = flow.new_tensor([0.5 * self._view.width, 0.5 * self._view.height])
            stats.error += torch.where(keep, share[:, 0], 0.0)
            stats.gradient += torch.where(keep, (flow[0] * size).norm(dim=-1), 0.0)
            stats.visible += keep

    def drain(self) -> StepTotals:
        """See `SplatEngine`."""
        total = float(torch.stack(self._totals).sum()) if self._totals else 0.0
        dropped = int(torch.stack(self._dropped).sum()) if self._dropped else 0
        out = StepTotals(total, len(self._totals), 0, dropped)
        self._totals, self._dropped = [], []
        return out


def render(
    rasterization: Rasterization,
    splats: SplatTensors,
    view: PinholeView,
    options: RasterOptions,
    extra: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, dict[str, Any]]:
    """Colour (H, W, 3 + channels of `extra` (N, channels)), alpha, depth sum, gsplat's meta."""
    colors = sh_color(splats.means, splats.sh, view, options.sh_degree)
    if extra is not None:
        colors = torch.cat([colors, extra], 1)
    arguments = rasterization_arguments(splats, colors, view, options)
    image, alpha, meta = rasterization(**arguments)
    return image[0, ..., :-1], alpha[0, ..., 0], image[0, ..., -1], meta


class GsplatBackend:
    """See `recon.kernels.engine.TrainingBackend`.

    Args:
        rasterization: gsplat's function; tests pass a stand-in where there is no GPU.
        device: where tensors are.

    Raises:
        BackendUnavailable: gsplat is not installed.
    """

    name = "gsplat"

    def __init__(
        self, rasterization: Rasterization | None = None, device: torch.device | None = None
    ) -> None:
        if rasterization is None:
            if importlib.util.find_spec("gsplat") is None:
                raise BackendUnavailable(
                    "gsplat is not installed", remedy="pip install 'recon-3d[cuda]'"
                )
            # gsplat compiles or loads its kernels when it is first used.
            from gsplat.rendering import rasterization as function

            rasterization = function
        self._rasterization = rasterization
        self.device = device or torch.device("cuda")

    def engine(self) -> Engine:
        """A new engine."""
        return Engine(self._rasterization)

    def require_memory(self, splats: int, width: int, height: int, photo_bytes: int) -> None:
        """Refuses what cannot fit; what gsplat itself allocates depends on the view and is not
        known before."""
        if self.device.type != "cuda":
            return
        give_back_cache(self.device)
        # Parameters and two moments, twice while the set of splats changes, and a gradient.
        need = photo_bytes + 7 * 4 * ROWS * splats
        what = f"training {splats:,} splats at {width}x{height}"
        require_free(what, need, torch.cuda.mem_get_info(self.device)[0], bound="at least")

    def set_threads(self, threads: int) -> None:
        """Nothing to set on a GPU."""

    def render(
        self, splats: SplatTensors, view: PinholeView, options: RasterOptions
    ) -> RasterOutput:
        """See `recon.kernels.ops`."""
        rows = differentiable_rows(splats, options, self.device)
        color, alpha, depth, _ = render(self._rasterization, unpack(rows), view, options)
        return RasterOutput(color, alpha, depth)
