"""Which photos are held out. Fixed before anything else and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recon.scene import Split

HOLD_OUT_EVERY = 8


@dataclass(frozen=True)
class SplitChoice:
    """A split and, in plain words, what fixed it."""

    split: dict[str, Split]
    source: str


def every_eighth(names: Sequence[str]) -> SplitChoice:
    """Hold out index 0, 8, 16, ... of the sorted names; at least one photo."""
    split: dict[str, Split] = {
        name: "test" if index % HOLD_OUT_EVERY == 0 else "train"
        for index, name in enumerate(sorted(names))
    }
    return SplitChoice(split, f"every {HOLD_OUT_EVERY}th photo by name")


def from_lists(names: Sequence[str], test: Iterable[str], source: str) -> SplitChoice | None:
    """Hold out the photos named in `test`; None if that leaves either side empty."""
    held_out = set(test)
    split: dict[str, Split] = {name: "test" if name in held_out else "train" for name in names}
    if len(set(split.values())) < 2:
        return None
    return SplitChoice(split, source)
