"""A trained field that renders."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from recon.errors import FormatError
from recon.geometry import Camera
from recon.kernels.field_ops import FEATURES, WEIGHTS, FieldShape, March
from recon.kernels.field_tensors import FieldWeights
from recon.kernels.layout import pinhole_view
from recon.kernels.memory import typed_out_of_memory
from recon.kernels.ops import PinholeView
from recon.kernels.registry import field_engine
from recon.model import RenderOptions, RenderOutput
from recon.nerf.checkpoint import shape_from_json

_FORMAT = "recon-nerf-1"

# A picture in motion has steps longer by this factor, and rays that end where less light comes
# through: fox at 135x240 31.75 dB instead of 32.27 in 69 % of the time.
_QUICK_STEPS, _QUICK_END = 1.5, 1e-2

# A still has four rays a pixel, off its middle by this much (pixels), that take their samples in
# different places of their steps: training rays did, too, and a pixel shows an area.
_STILL_RAYS = (
    ((-0.25, -0.25), 0.125),
    ((0.25, -0.25), 0.625),
    ((-0.25, 0.25), 0.875),
    ((0.25, 0.25), 0.375),
)


class NerfModel:
    """A hash-grid field in normalised space, behind `recon.model.RadianceModel`.

    `render` may be called from several threads; calls wait for each other.

    Args:
        shape: where the field lies and how fine it is.
        march: where rays take samples.
        weights: tables, networks and occupied cells; not changed afterwards.
        backend: which kernels render.

    Raises:
        BackendUnavailable: the backend does not work here.
        TrainingError: the GPU has too little memory.
    """

    method = "nerf"

    def __init__(
        self,
        shape: FieldShape,
        march: March,
        weights: FieldWeights,
        *,
        backend: str = "native_cpu",
    ) -> None:
        self.shape = shape
        self.march = march
        self._backend = backend
        self._engine = field_engine(backend, shape)
        with typed_out_of_memory():
            self._weights = weights.to(self._engine.device)
            self._engine.use_grid(self._weights)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.shape.entries * FEATURES + WEIGHTS

    def render(self, camera: Camera, options: RenderOptions | None = None) -> RenderOutput:
        """See `recon.model`; a field has no SH degree to lower.

        Raises:
            TrainingError: a GPU has too little memory for it.
        """
        options = options or RenderOptions()
        view = pinhole_view(camera)
        if options.quick:
            return self._rays(view, _quick(self.march), options)
        if not options.still:
            return self._rays(view, self.march, options)
        return _mean(
            self._rays(
                dataclasses.replace(view, cx=view.cx - x, cy=view.cy - y),
                dataclasses.replace(self.march, phase=phase),
                options,
            )
            for (x, y), phase in _STILL_RAYS
        )

    def _rays(self, view: PinholeView, march: March, options: RenderOptions) -> RenderOutput:
        """One ray a pixel, through its middle."""
        with self._lock, typed_out_of_memory():
            color, alpha, depth = self._engine.render(
                self._weights,
                march,
                view,
                options.background,
                depth=options.depth,
                near=options.near,
            )
        return RenderOutput(
            color=color.cpu().numpy(),
            alpha=alpha.cpu().numpy(),
            depth=None if depth is None else depth.cpu().numpy(),
        )

    def restricted(self, keep: Callable[[NDArray[np.float32]], NDArray[np.bool_]]) -> NerfModel:
        """The same field, empty in the cells of its grid that are not kept.

        Args:
            keep: takes the middles (N, 3) of the cells that hold something, in normalised space.
        """
        weights = self._weights.to(torch.device("cpu"))
        bits = np.unpackbits(weights.occupied.numpy(), bitorder="little")
        cells = np.nonzero(bits)[0]
        bits[cells[~keep(cell_middles(self.shape, cells))]] = 0
        occupied = torch.from_numpy(np.packbits(bits, bitorder="little"))
        return NerfModel(
            self.shape,
            self.march,
            dataclasses.replace(weights, occupied=occupied),
            backend=self._backend,
        )

    @property
    def occupied(self) -> int:
        """Number of cells of the grid that hold something."""
        bits = self._weights.occupied.cpu().numpy()
        return int(np.unpackbits(bits).sum())

    def query(
        self, points: torch.Tensor, directions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Density (N,) per scene unit and colour (N, 3) at points (N, 3) in normalised space, seen
        along unit directions (N, 3); all float32, in main memory."""
        device = self._engine.device
        with self._lock, typed_out_of_memory():
            _, density, color = self._engine.query(
                self._weights, points.to(device), directions.to(device)
            )
        return density.cpu(), color.cpu()

    def save(self, path: Path) -> None:
        """Write to `path` (safetensors), atomically."""
        settings = {
            "shape": dataclasses.asdict(self.shape),
            "march": dataclasses.asdict(self.march),
        }
        temporary = path.with_name(path.name + ".part")
        weights = self._weights.to(torch.device("cpu"))
        save_file(
            {"table": weights.table, "mlp": weights.mlp, "occupied": weights.occupied},
            temporary,
            metadata={"format": _FORMAT, "settings": json.dumps(settings)},
        )
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path, backend: str = "native_cpu") -> NerfModel:
        """Read what `save` wrote.

        Raises:
            FormatError: the file is not such a model, is truncated, or holds numbers that are not
                finite.
        """
        remedy = "train again, or give a file that recon wrote"
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise FormatError("this is not a recon NeRF model", where=path, remedy=remedy)
            settings = json.loads(metadata["settings"])
            shape = shape_from_json(settings["shape"])
            march = March(**{k: float(v) for k, v in settings["march"].items()})
            # Files hold arrays at multiples of 8 bytes; kernels read vectors of 16 and more.
            tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
            weights = FieldWeights(*(tensors[name] for name in ("table", "mlp", "occupied")))
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise FormatError(
                f"this model cannot be read ({error})", where=path, remedy=remedy
            ) from error
        sizes = {
            "table": (weights.table, (shape.entries, FEATURES), torch.float16),
            "mlp": (weights.mlp, (WEIGHTS,), torch.float32),
            "occupied": (weights.occupied, (shape.grid**3 // 8,), torch.uint8),
        }
        for name, (tensor, size, dtype) in sizes.items():
            if tuple(tensor.shape) != size or tensor.dtype != dtype:
                raise FormatError(f"{name} has the wrong size", where=path, remedy=remedy)
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise FormatError(f"{name} must be finite", where=path, remedy=remedy)
        return cls(shape, march, weights, backend=backend)


def _mean(pictures: Iterable[RenderOutput]) -> RenderOutput:
    """Of pictures of one size; distances count as much as they were opaque."""
    outs = tuple(pictures)
    count = np.float32(len(outs))
    color = np.add.reduce([out.color for out in outs]) / count
    alpha = np.add.reduce([out.alpha for out in outs])
    if outs[0].depth is None:
        return RenderOutput(color, alpha / count)
    far = np.add.reduce([out.alpha * out.depth for out in outs if out.depth is not None])
    depth = np.divide(far, alpha, out=np.zeros_like(far), where=alpha > 0)
    return RenderOutput(color, alpha / count, depth)


def _quick(march: March) -> March:
    return dataclasses.replace(
        march,
        shortest=_QUICK_STEPS * march.shortest,
        cone=_QUICK_STEPS * march.cone,
        min_transmittance=max(_QUICK_END, march.min_transmittance),
    )


def cell_middles(shape: FieldShape, cells: NDArray[np.int64]) -> NDArray[np.float32]:
    """Middles (N, 3) in scene space of cells (N,) of the occupancy grid, x fastest.

    The inverse of point 1 of `recon.kernels.field_ops`.
    """
    g = shape.grid
    u = (np.stack([cells % g, cells // g % g, cells // (g * g)], axis=1) + 0.5) / g
    p = 4.0 * u - 2.0 if shape.contracted else 2.0 * u - 1.0
    norm = np.abs(p).max(axis=1, keepdims=True)
    beyond = np.maximum(norm, 1.0)
    p = p / beyond / (2.0 - beyond) if shape.contracted else p
    return (p * shape.half + np.asarray(shape.centre)).astype(np.float32)
