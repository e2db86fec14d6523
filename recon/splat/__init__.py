"""Gaussian splats: the model, its training, and how its number grows.

Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", 2023.
"""

from recon.splat.model import SplatModel
from recon.splat.options import SplatOptions, splat_preset
from recon.splat.train import SplatTrainer

__all__ = ["SplatModel", "SplatOptions", "SplatTrainer", "splat_preset"]
