"""What this machine has to offer: cores, memory, disk."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CGROUP_USED = Path("/sys/fs/cgroup/memory.current")


def usable_threads() -> int:
    """Cores that this process may use."""
    # The affinity respects containers and taskset; Windows and macOS do not have it.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes that can be had without swapping, container limits included; None where unknown."""
    candidates = [value for value in (_available(), _left_in_container()) if value is not None]
    return min(candidates, default=None)


def _available() -> int | None:
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return total_memory()


def _left_in_container() -> int | None:
    try:
        return max(0, int(_CGROUP_LIMIT.read_text()) - int(_CGROUP_USED.read_text()))
    except (OSError, ValueError):  # no cgroup v2, or no limit ("max")
        return None


def total_memory() -> int | None:
    """Bytes of memory of the machine; None where unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def existing_parent(path: Path) -> Path:
    """The nearest folder or file on the way up that exists, `path` itself included."""
    absolute = path.absolute()
    return next(p for p in (absolute, *absolute.parents) if p.exists())
