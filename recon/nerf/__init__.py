"""A hash-grid radiance field: the model, its training, and a readable reference of its kernels.

Mueller et al., "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", 2022.
"""

from recon.nerf.model import NerfModel
from recon.nerf.options import NerfOptions, nerf_preset
from recon.nerf.train import NerfTrainer

__all__ = ["NerfModel", "NerfOptions", "NerfTrainer", "nerf_preset"]
