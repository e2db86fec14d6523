"""A hash-grid radiance field: the model, its training, and a readable reference of its kernels.

Mueller et al., "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", 2022.
"""
