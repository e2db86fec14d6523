"""How near a render comes to a photo: numbers, and maps to look at. See docs/metrics.md."""

from recon.metrics.error_map import ERROR_FULL_SCALE, error_colors, error_map
from recon.metrics.flip import FLIP_PACKAGE, flip_installed, flip_map
from recon.metrics.psnr import MAX_PSNR, psnr
from recon.metrics.ssim import MIN_SSIM_SIDE, SSIM_DEFINITION, ssim, whole_windows

__all__ = [
    "ERROR_FULL_SCALE",
    "FLIP_PACKAGE",
    "MAX_PSNR",
    "MIN_SSIM_SIDE",
    "SSIM_DEFINITION",
    "error_colors",
    "error_map",
    "flip_installed",
    "flip_map",
    "psnr",
    "ssim",
    "whole_windows",
]
