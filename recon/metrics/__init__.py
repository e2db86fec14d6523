"""How near a render comes to a photo: numbers, and maps to look at. See docs/metrics.md."""

from recon.metrics.error_map import ERROR_FULL_SCALE, error_colors, error_map
from recon.metrics.flip import FLIP_PACKAGE, flip_installed, flip_map
from recon.metrics.left_out import about_left_out, hatch, veil
from recon.metrics.pair import Mask
from recon.metrics.psnr import MAX_PSNR, psnr
from recon.metrics.ssim import MIN_SSIM_SIDE, SSIM_DEFINITION, ssim, whole_windows

__all__ = [
    "ERROR_FULL_SCALE",
    "FLIP_PACKAGE",
    "MAX_PSNR",
    "MIN_SSIM_SIDE",
    "SSIM_DEFINITION",
    "Mask",
    "about_left_out",
    "error_colors",
    "error_map",
    "flip_installed",
    "flip_map",
    "hatch",
    "psnr",
    "ssim",
    "veil",
    "whole_windows",
]
