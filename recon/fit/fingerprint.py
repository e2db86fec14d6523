"""Whether two runs are the same: hashes of inputs and settings, and differences in plain words."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recon.fit.manifest import InputFile


def digest(value: object) -> str:
    """SHA-256 of plain data: dataclasses, mappings, sequences, arrays, numbers, texts, None.

    Equal data give equal digests in every process; mappings count as unordered.
    """
    state = hashlib.sha256()
    _feed(state, value)
    return state.hexdigest()


def _feed(state: Any, value: object) -> None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        state.update(f"array {value.dtype.str} {value.shape}\0".encode())
        state.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        state.update(f"mapping {len(value)}\0".encode())
        for key in sorted(value, key=str):
            _feed(state, str(key))
            _feed(state, value[key])
    elif isinstance(value, np.generic):
        _feed(state, value.item())
    elif isinstance(value, (str, Path)):
        state.update(f"text {len(str(value))} {value}\0".encode())
    elif isinstance(value, Sequence):
        state.update(f"sequence {len(value)}\0".encode())
        for item in value:
            _feed(state, item)
    elif value is None or isinstance(value, (bool, int, float)):
        state.update(f"value {value!r}\0".encode())
    else:
        raise TypeError(f"cannot take a digest of {type(value).__name__}")


def differing_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Settings that are not the same, as "name: old -> new"; nested ones by their path."""
    lines: list[str] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += [f"{key}.{line}" for line in differing_settings(before, after)]
        elif before != after:
            lines.append(f"{key}: {_plain(before)} -> {_plain(after)}")
    return lines


def _plain(value: object) -> str:
    return "none" if value is None else str(value)


def differing_photos(old: Mapping[str, InputFile], new: Mapping[str, InputFile]) -> list[str]:
    """What happened to the photos between two runs: added, removed, changed, with examples."""
    changes = {
        "added": sorted(set(new) - set(old)),
        "removed": sorted(set(old) - set(new)),
        "changed": sorted(n for n in set(old) & set(new) if old[n].sha256 != new[n].sha256),
    }
    return [
        f"{len(names)} {'photo' if len(names) == 1 else 'photos'} {what} "
        f"({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in changes.items()
        if names
    ]
