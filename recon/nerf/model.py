"""A trained field that renders."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from recon.errors import FormatError
from recon.geometry import Camera
from recon.kernels.field_engine import FieldWeights
from recon.kernels.field_ops import FEATURES, WEIGHTS, FieldShape, March
from recon.kernels.layout import pinhole_view
from recon.kernels.memory import typed_out_of_memory
from recon.kernels.registry import field_engine
from recon.model import RenderOptions, RenderOutput
from recon.nerf.checkpoint import shape_from_json

_FORMAT = "recon-nerf-1"


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
        with self._lock, typed_out_of_memory():
            color, alpha, depth = self._engine.render(
                self._weights,
                self.march,
                pinhole_view(camera),
                options.background,
                depth=options.depth,
            )
        return RenderOutput(
            color=color.cpu().numpy(),
            alpha=alpha.cpu().numpy(),
            depth=None if depth is None else depth.cpu().numpy(),
        )

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
            tensors = load_file(path)
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
