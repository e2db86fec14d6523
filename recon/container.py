"""Scenes that are one file: a video, or a zip of photos, and the folder that they unfold into.

Standard library only, so that `recon --help` may know of it.
"""

from __future__ import annotations

from pathlib import Path

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".3gp"})
ARCHIVE_SUFFIXES = frozenset({".zip"})


def is_container(path: Path) -> bool:
    """Whether the name is that of a video or an archive."""
    return path.suffix.lower() in VIDEO_SUFFIXES | ARCHIVE_SUFFIXES


def scene_folder(path: Path) -> Path:
    """The folder of a scene: the path itself, or what `clip.mp4` unfolds into, `clip-scene`."""
    if is_container(path) and not path.is_dir():
        return path.with_name(f"{path.stem}-scene")
    return path
