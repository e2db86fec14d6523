"""How splats lie in memory for the native engines, and what a training step is told: shared by the
CPU and CUDA backends, importable without either.

Parameters live in blocks: a tensor (ceil(N / BLOCK), ROWS, BLOCK) float32, see
cuda_ext/include/recon/splats.h: it makes a pass over all splats stream memory. `pack` and `unpack`
convert.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recon.errors import OptionError
from recon.geometry import Camera
from recon.kernels.ops import PinholeView, RasterOptions, SplatTensors

BLOCK = 16
ROWS = 59

ROW_MEAN = slice(0, 3)
ROW_QUAT = slice(3, 7)
ROW_LOG_SCALE = slice(7, 10)
ROW_OPACITY = 10
ROW_SH = slice(11, ROWS)
ROW_SH_REST = slice(14, ROWS)


def block_shape(n: int) -> tuple[int, int, int]:
    """Shape of n splats as blocks."""
    return (-(-n // BLOCK), ROWS, BLOCK)


def rows_to_blocks(rows: torch.Tensor) -> torch.Tensor:
    """(N, ROWS) float32 to (ceil(N / BLOCK), ROWS, BLOCK), padded, on the same device."""
    n = len(rows)
    blocks = -(-n // BLOCK)
    padded = torch.zeros(blocks * BLOCK, ROWS, dtype=torch.float32, device=rows.device)
    padded[:n] = rows
    return padded.view(blocks, BLOCK, ROWS).transpose(1, 2).contiguous()


def blocks_to_rows(blocks: torch.Tensor, n: int) -> torch.Tensor:
    """The inverse of `rows_to_blocks`: (N, ROWS), contiguous."""
    return blocks.transpose(1, 2).reshape(-1, ROWS)[:n].contiguous()


def columns(blocks: torch.Tensor, n: int, rows: slice) -> torch.Tensor:
    """Some parameters of n splats, (n, number of rows), contiguous."""
    part = blocks[:, rows, :].transpose(1, 2)
    return part.reshape(-1, part.shape[2])[:n].contiguous()


def gather_splats(blocks: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Blocks whose splat i is splat `sources[i]` (M,) int64 of `blocks`, or zero where negative, on
    any device; `native_cpu.gather_splats` does it faster in main memory."""
    rows = blocks_to_rows(blocks, len(blocks) * BLOCK)[sources.clamp_min(0)]
    return rows_to_blocks(rows * (sources >= 0)[:, None])


def pack(splats: SplatTensors) -> torch.Tensor:
    """Splats as rows (N, ROWS); missing SH coefficients are zero."""
    n, k = splats.sh.shape[0], splats.sh.shape[1]
    rows = torch.zeros(n, ROWS, dtype=torch.float32, device=splats.means.device)
    rows[:, ROW_MEAN] = splats.means
    rows[:, ROW_QUAT] = splats.quats
    rows[:, ROW_LOG_SCALE] = splats.log_scales
    rows[:, ROW_OPACITY] = splats.logit_opacities
    rows[:, 11 : 11 + 3 * k] = splats.sh.reshape(n, 3 * k)
    return rows


def unpack(rows: torch.Tensor, sh_degree: int = 3) -> SplatTensors:
    """(N, ROWS) to splats; views where possible."""
    k = (sh_degree + 1) ** 2
    return SplatTensors(
        means=rows[:, ROW_MEAN],
        quats=rows[:, ROW_QUAT],
        log_scales=rows[:, ROW_LOG_SCALE],
        logit_opacities=rows[:, ROW_OPACITY],
        sh=rows[:, 11 : 11 + 3 * k].reshape(-1, k, 3),
    )


def differentiable_rows(
    splats: SplatTensors, options: RasterOptions, device: torch.device
) -> torch.Tensor:
    """Rows (N, ROWS) through which gradients flow back to `splats`.

    Raises:
        OptionError: not float32 on `device`, or fewer SH coefficients than the degree asks for.
    """
    n, k = splats.sh.shape[0], splats.sh.shape[1]
    if (options.sh_degree + 1) ** 2 > k:
        raise OptionError(f"SH degree {options.sh_degree} asked of {k} coefficients")
    parts = [
        splats.means,
        splats.quats,
        splats.log_scales,
        splats.logit_opacities[:, None],
        splats.sh.reshape(n, 3 * k),
    ]
    if any(part.dtype != torch.float32 or part.device.type != device.type for part in parts):
        raise OptionError(f"this backend takes float32 tensors on {device.type}")
    if k < 16:
        parts.append(torch.zeros(n, 48 - 3 * k, device=splats.means.device))
    return torch.cat(parts, 1)


def pinhole_view(camera: Camera) -> PinholeView:
    """A `Camera` as the plain numbers that backends take."""
    m = camera.cam_from_world
    return PinholeView(
        width=camera.width,
        height=camera.height,
        fx=camera.fx,
        fy=camera.fy,
        cx=camera.cx,
        cy=camera.cy,
        rotation=tuple(float(x) for x in m[:3, :3].reshape(-1)),
        translation=(float(m[0, 3]), float(m[1, 3]), float(m[2, 3])),
    )


def checked_address(
    tensor: torch.Tensor | None,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    device: str = "cpu",
) -> int:
    """Address of a tensor after checking what the native side cannot; 0 for None.

    Raises:
        OptionError: it has another shape, type or device, or is not contiguous.
    """
    if tensor is None:
        return 0
    if tuple(tensor.shape) != shape or tensor.dtype != dtype:
        raise OptionError(
            f"expected a {dtype} tensor of shape {shape}, got {tensor.dtype} {tuple(tensor.shape)}"
        )
    if tensor.device.type != device or not tensor.is_contiguous():
        raise OptionError(f"expected a contiguous tensor on {device}")
    return tensor.data_ptr()


@dataclass(frozen=True)
class AdamSettings:
    """Fused Adam (Kingma and Ba 2015) over visible splats.

    Attributes:
        rates: ROWS learning rates.
        update_sh: also update the SH coefficients above degree 0.
        opacity_reg, scale_reg: weights of mean opacity and mean scale in the loss (visible splats).
    """

    rates: tuple[float, ...]
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-15
    update_sh: bool = True
    opacity_reg: float = 0.0
    scale_reg: float = 0.0


@dataclass
class SplatStats:
    """Sums for each splat over training steps; (N,) float32. See `SplatStats` in splats.h."""

    error: torch.Tensor
    gradient: torch.Tensor
    visible: torch.Tensor

    @classmethod
    def zeros(cls, n: int, device: torch.device | None = None) -> SplatStats:
        return cls(*(torch.zeros(n, device=device) for _ in range(3)))
