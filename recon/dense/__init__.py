"""A dense cloud from photos whose cameras are known: depth maps by plane sweeping, made consistent.

Structure from motion leaves a few thousand points at corners and blobs. Training that starts from
points on all textured surfaces need not grow there by trial and error.
"""

from recon.dense.cloud import DenseOptions, DensePhoto, dense_points

__all__ = ["DenseOptions", "DensePhoto", "dense_points"]
