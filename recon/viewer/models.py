"""The models that a run directory holds: trained, saved by editing, checkpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recon.errors import FormatError
from recon.geometry import Camera
from recon.model import RadianceModel, RenderOptions, RenderOutput
from recon.nerf import NerfModel
from recon.splat import SplatModel
from recon.splat.checkpoint import METHOD, load_checkpoint
from recon.training.checkpoint import list_checkpoints
from recon.viewer.workspace import NamedModel

if TYPE_CHECKING:
    from recon.fit.rundir import RunDir

EDITS_FOLDER = "edits"
"""Below the run directory: the models that were saved from the viewer."""

NERF_PREFIX = "nerf."
"""Of the files of NeRFs among them; the others hold splats. No name that is given has a dot."""


class LazyModel:
    """A model that is read when it is first looked at. Thread-safe."""

    def __init__(self, method: str, load: Callable[[], RadianceModel]) -> None:
        self._method = method
        self._load = load
        self._lock = threading.Lock()
        self._model: RadianceModel | None = None

    def loaded(self) -> RadianceModel:
        """The model itself.

        Raises:
            ReconError: it cannot be read.
        """
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model

    @property
    def method(self) -> str:
        return self._method

    @property
    def size(self) -> int:
        """0 until it was read: asking must not read a file."""
        model = self._model
        return 0 if model is None else model.size

    def render(self, camera: Camera, options: RenderOptions | None = None) -> RenderOutput:
        return self.loaded().render(camera, options or RenderOptions())

    def save(self, path: Path) -> None:
        self.loaded().save(path)


def load_models(run: RunDir) -> tuple[NamedModel, ...]:
    """The trained models first; of unfinished splats, what the newest readable checkpoint holds.

    Raises:
        ReconError: there is neither, or the first model cannot be read.
    """
    from recon.fit.models import load_model, no_model
    from recon.fit.parts import default_parts

    saved = list_checkpoints(run.checkpoints(METHOD), METHOD)[::-1]
    parts = default_parts()
    trained = [
        _trained(name, partial(load_model, run, parts, name)) for name in run.trained_methods
    ]
    unfinished = None if run.model("splat").is_file() else _newest(saved)
    first = ([unfinished] if unfinished is not None else []) + trained
    if not first:
        raise no_model(run)
    if isinstance(first[0].model, LazyModel):
        first[0].model.loaded()  # what cannot be read is told now
    return (
        *first,
        *(_edit(path) for path in sorted((run.path / EDITS_FOLDER).glob("*.safetensors"))),
        *(named for path in saved if (named := _checkpoint(path)).key != first[0].key),
    )


def _trained(method: str, load: Callable[[], RadianceModel]) -> NamedModel:
    return NamedModel(method, method, LazyModel(method, load))


def _newest(checkpoints: list[Path]) -> NamedModel | None:
    for path in checkpoints:
        named = _checkpoint(path)
        try:
            assert isinstance(named.model, LazyModel)
            named.model.loaded()
        except FormatError:
            continue
        return named
    return None


def _edit(path: Path) -> NamedModel:
    name = path.stem.removeprefix(NERF_PREFIX)
    method = "splat" if name == path.stem else "nerf"

    def load() -> RadianceModel:
        return SplatModel.load(path) if method == "splat" else NerfModel.load(path)

    model = LazyModel(method, load)
    return NamedModel(f"edit/{path.stem}", f"{method}: {name}", model, aside=True)


def _checkpoint(path: Path) -> NamedModel:
    def load() -> RadianceModel:
        return SplatModel(load_checkpoint(path)[0].rows())

    step = int(path.stem.rpartition("-")[2])
    model = LazyModel("splat", load)
    return NamedModel(f"splat@{step}", f"splat at step {step:,}", model, aside=True)


def save_edit(run_dir: Path, name: str, model: RadianceModel) -> Path:
    """Write a model beside the run's own under a name that is free; returns the file.

    Raises:
        OSError: the disk is full or read-only.
    """
    folder = run_dir / EDITS_FOLDER
    folder.mkdir(exist_ok=True)
    name = NERF_PREFIX + name if model.method == "nerf" else name
    path, number = folder / f"{name}.safetensors", 2
    while path.exists():
        path, number = folder / f"{name}-{number}.safetensors", number + 1
    model.save(path)
    return path
