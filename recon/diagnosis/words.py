"""Names and numbers as sentences want them."""

from __future__ import annotations

from collections.abc import Sequence


def count_photos(count: int, unit: str = "photo") -> str:
    """1 photo, 12 photos."""
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(names[:most])
    more = len(names) - most
    return f"{shown} and {more} more" if more > 0 else shown
