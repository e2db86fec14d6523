"""Which single photos hold a capture together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SMALLEST = 3


def cut_photos(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[tuple[str, int]]:
    """Photos without which at least three others would fall off, and how many would.

    The photos fall off that are in the smaller parts of what then is left of the photo's own
    component. The largest such loss comes first.

    Args:
        names: of the photos.
        edges: pairs of photos that match well.
    """
    neighbours: dict[str, set[str]] = {name: set() for name in names}
    for first, second in edges:
        neighbours[first].add(second)
        neighbours[second].add(first)
    found: list[tuple[str, int]] = []
    for name in names:
        around = neighbours[name]
        # Only a photo whose neighbours do not all know each other can be a cut.
        if len(around) < 2:
            continue
        parts = _parts(around, neighbours, without=name)
        lost = sum(parts) - max(parts)
        if lost >= _SMALLEST:
            found.append((name, lost))
    return sorted(found, key=lambda item: -item[1])


def _parts(starts: Iterable[str], neighbours: dict[str, set[str]], without: str) -> list[int]:
    """Sizes of the components that the starts lie in, once a photo is taken away."""
    seen = {without}
    sizes: list[int] = []
    for start in starts:
        if start in seen:
            continue
        stack, size = [start], 0
        seen.add(start)
        while stack:
            size += 1
            for other in neighbours[stack.pop()]:
                if other not in seen:
                    seen.add(other)
                    stack.append(other)
        sizes.append(size)
    return sizes
