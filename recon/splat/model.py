"""A trained set of splats that renders."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from recon.errors import FormatError
from recon.formats.splat_cloud import SplatCloud
from recon.geometry import Camera
from recon.kernels import layout
from recon.kernels.engine import SplatEngine
from recon.kernels.memory import typed_out_of_memory
from recon.kernels.ops import NEAR, RasterOptions, SplatTensors
from recon.kernels.registry import training_backend
from recon.model import RenderOptions, RenderOutput
from recon.splat.coverage import coverage

_FORMAT = "recon-splat-1"
_UNSEEN = -20.0
"""Logit of an opacity that no backend draws."""

_FIELDS = ("means", "quats", "log_scales", "logit_opacities", "sh")


class SplatModel:
    """Splats in normalised space, behind `recon.model.RadianceModel`.

    `render` may be called from several threads; calls wait for each other.

    Args:
        rows: parameters (N, ROWS) float32, not changed afterwards.
        sh_degree: degree that the colours were trained to.
        antialias: whether opacities are compensated for the blur (see `recon.kernels.ops`).
        backend: which kernels render.

    Raises:
        BackendUnavailable: the backend does not work here.
        TrainingError: the GPU has too little memory.
    """

    method = "splat"

    def __init__(
        self,
        rows: torch.Tensor,
        *,
        sh_degree: int = 3,
        antialias: bool = False,
        backend: str = "native_cpu",
    ) -> None:
        kernels = training_backend(backend)
        self._rows = rows.cpu()
        with typed_out_of_memory():
            self._blocks = layout.rows_to_blocks(rows.to(kernels.device))
        self._engine = kernels.engine()
        self._lock = threading.Lock()
        self._clipped: torch.Tensor | None = None
        self.sh_degree = sh_degree
        self.antialias = antialias

    @property
    def size(self) -> int:
        """Number of splats."""
        return len(self._rows)

    def render(self, camera: Camera, options: RenderOptions | None = None) -> RenderOutput:
        """See `recon.model`.

        Raises:
            TrainingError: a GPU has too little memory for it.
        """
        options = options or RenderOptions()
        with self._lock, typed_out_of_memory():
            self._forward(self._engine, camera, options)
            out = self._engine.output()
            color, alpha, depth_sum = (
                part.cpu().numpy() for part in (out.color, out.alpha, out.depth_sum)
            )
        depth = None
        if options.depth:
            depth = (depth_sum / np.maximum(alpha, 1e-6)).astype(np.float32)
            depth[alpha <= 1e-6] = 0.0
        return RenderOutput(color=color, alpha=alpha, depth=depth)

    def coverage(self, camera: Camera, options: RenderOptions | None = None) -> NDArray[np.int32]:
        """How many splats lie over each pixel (H, W), hidden ones included; see `coverage`.

        Raises:
            BackendUnavailable: the native CPU kernels are missing; they count for all backends.
        """
        from recon.kernels.native_cpu import Engine

        engine = Engine()
        with self._lock:
            self._forward(engine, camera, options or RenderOptions())
        return coverage(engine.footprints().numpy(), camera.width, camera.height)

    def _forward(self, engine: SplatEngine, camera: Camera, options: RenderOptions) -> None:
        degree = self.sh_degree
        if options.sh_degree is not None:
            degree = min(degree, options.sh_degree)
        blocks = self._blocks if options.near <= NEAR else self._beyond(camera, options.near)
        engine.forward(
            blocks if engine is self._engine else blocks.cpu(),
            self.size,
            layout.pinhole_view(camera),
            RasterOptions(options.background, degree, self.antialias),
            depth=options.depth,
            training=False,
        )

    def _beyond(self, camera: Camera, near: float) -> torch.Tensor:
        """The blocks with all splats unseen whose middle lies nearer than `near`; valid until
        the next call."""
        if self._clipped is None:
            self._clipped = self._blocks.clone()
        x, y, z = (self._blocks[:, axis] for axis in range(3))
        r = [float(v) for v in camera.cam_from_world[2]]
        depth = r[0] * x + r[1] * y + r[2] * z + r[3]
        opacity = self._blocks[:, layout.ROW_OPACITY]
        shown = torch.where(depth < near, _UNSEEN, opacity)
        self._clipped[:, layout.ROW_OPACITY] = shown
        return self._clipped

    def to_cloud(self) -> SplatCloud:
        """The parameters as arrays, SH up to the model's degree."""
        parts = layout.unpack(self._rows, self.sh_degree)
        return SplatCloud(
            *(np.ascontiguousarray(getattr(parts, field).numpy()) for field in _FIELDS)
        )

    @classmethod
    def from_cloud(
        cls, cloud: SplatCloud, *, antialias: bool = False, backend: str = "native_cpu"
    ) -> SplatModel:
        """The inverse of `to_cloud`."""
        tensors = SplatTensors(
            *(torch.from_numpy(np.array(getattr(cloud, field))) for field in _FIELDS)
        )
        return cls(
            layout.pack(tensors),
            sh_degree=cloud.sh_degree,
            antialias=antialias,
            backend=backend,
        )

    def save(self, path: Path) -> None:
        """Write to `path` (safetensors), atomically."""
        cloud = self.to_cloud()
        metadata = {
            "format": _FORMAT,
            "settings": json.dumps({"antialias": self.antialias}),
        }
        temporary = path.with_name(path.name + ".part")
        save_file(
            {field: torch.from_numpy(getattr(cloud, field)) for field in _FIELDS},
            temporary,
            metadata=metadata,
        )
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path, backend: str = "native_cpu") -> SplatModel:
        """Read what `save` wrote, to render with `backend`.

        Raises:
            FormatError: the file is not such a model, is truncated, or holds numbers that are not
                finite.
        """
        remedy = "train again, or give a file that recon wrote"
        try:
            with safe_open(path, framework="np") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != _FORMAT:
                    raise FormatError("this is not a recon splat model", where=path, remedy=remedy)
                settings = json.loads(metadata.get("settings", "{}"))
                arrays = {field: file.get_tensor(field) for field in _FIELDS}
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            raise FormatError(
                f"this model cannot be read ({error})", where=path, remedy=remedy
            ) from error
        for field, array in arrays.items():
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise FormatError(
                    f"{field} must be finite float32 numbers", where=path, remedy=remedy
                )
        antialias = settings.get("antialias") if isinstance(settings, dict) else None
        return cls.from_cloud(SplatCloud(**arrays), antialias=antialias is True, backend=backend)
