"""Checkpoints on disk: safetensors with a position in the metadata, written atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from recon.errors import FormatError

_KEPT = 2

T = TypeVar("T")


def write_checkpoint(
    folder: Path,
    method: str,
    step: int,
    tensors: dict[str, torch.Tensor],
    position: dict[str, Any],
    file_format: str,
) -> Path:
    """Write `folder/METHOD-STEP.safetensors` and drop all but the newest few."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{method}-{step:07d}.safetensors"
    temporary = path.with_name(path.name + ".part")
    metadata = {"format": file_format, "position": json.dumps(position)}
    save_file(tensors, temporary, metadata=metadata)
    os.replace(temporary, path)
    for old in list_checkpoints(folder, method)[:-_KEPT]:
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path, method: str) -> list[Path]:
    """Checkpoints of a method in a folder, oldest first."""
    return sorted(folder.glob(f"{method}-*.safetensors"))


def read_checkpoint(
    path: Path,
    file_format: str,
    build: Callable[[dict[str, torch.Tensor], dict[str, Any]], T],
) -> T:
    """What `build` makes of the tensors and the position of a checkpoint.

    Raises:
        FormatError: it is truncated, not such a checkpoint, or `build` found it inconsistent (it
            may raise FormatError, KeyError, ValueError or TypeError).
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if metadata.get("format") != file_format:
            raise FormatError("this is not a recon checkpoint", where=path)
        return build(load_file(path), json.loads(metadata["position"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"this checkpoint cannot be read ({error})",
            where=path,
            remedy="delete it: training goes on from an older one, or from the start",
        ) from error


def newest_readable(
    folder: Path | None,
    method: str,
    load: Callable[[Path], T],
    complain: Callable[[str], None],
) -> T | None:
    """The newest checkpoint that can be read, or None; complains about those that cannot."""
    if folder is None:
        return None
    for path in reversed(list_checkpoints(folder, method)):
        try:
            return load(path)
        except FormatError as error:
            complain(f"skipped a checkpoint: {error}")
    return None
