"""A small synthetic capture with known cameras: the textured corner of a room."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from recon.geometry import look_at

WIDTH, HEIGHT, FOCAL = 400, 300, 360.0
_TEXTURE = 768
_SIDE = 4.0
_SUPERSAMPLE = 2


@dataclass(frozen=True)
class Room:
    """Photos in `folder/images` and their true `cam_from_world`, by name."""

    folder: Path
    poses: dict[str, np.ndarray]


def make_room(folder: Path, count: int = 12) -> Room:
    """Render `count` photos from an arc in front of the corner."""
    rng = np.random.default_rng(7)
    textures = [_texture(rng) for _ in range(3)]
    (folder / "images").mkdir(parents=True)
    poses: dict[str, np.ndarray] = {}
    for index in range(count):
        share = index / (count - 1)
        angle = math.radians(15 + 60 * share)
        eye = np.array([3.6 * math.cos(angle), 3.6 * math.sin(angle), 1.2 + 0.5 * (index % 3)])
        pose = look_at(eye, (0.7, 0.7, 0.8), (0, 0, 1))
        name = f"{index:03d}.png"
        _render(pose, textures).save(folder / "images" / name)
        poses[name] = pose
    return Room(folder, poses)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """(T, T, 3) blobs of many sizes, which is what SIFT likes."""
    out = np.zeros((_TEXTURE, _TEXTURE, 3))
    for cells in (6, 12, 24, 48, 96, 192):
        noise = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((_TEXTURE, _TEXTURE), Image.Resampling.BICUBIC)
        out += np.asarray(layer, dtype=float) - 128
    return np.clip(out * 0.45 + 128, 0, 255)


def _render(pose: np.ndarray, textures: list[np.ndarray]) -> Image.Image:
    """Three planes x = 0, y = 0, z = 0, each [0, SIDE] wide; grey beyond."""
    width, height = WIDTH * _SUPERSAMPLE, HEIGHT * _SUPERSAMPLE
    focal = FOCAL * _SUPERSAMPLE
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([(u - width / 2) / focal, (v - height / 2) / focal, np.ones_like(u)], axis=-1)
    direction = rays @ pose[:3, :3]
    eye = -pose[:3, :3].T @ pose[:3, 3]
    color = np.full((height, width, 3), 90.0)
    nearest = np.full((height, width), np.inf)
    for axis, texture in enumerate(textures):
        depth = -eye[axis] / np.where(np.abs(direction[..., axis]) < 1e-9, -1, direction[..., axis])
        hit = eye + depth[..., None] * direction
        other = hit[..., [i for i in range(3) if i != axis]]
        good = (depth > 0) & (depth < nearest) & np.all((other >= 0) & (other < _SIDE), axis=-1)
        cell = np.clip(other[good] / _SIDE * (_TEXTURE - 1), 0, _TEXTURE - 1.001)
        low, part = np.floor(cell).astype(int), cell - np.floor(cell)
        color[good] = (
            texture[low[:, 0], low[:, 1]] * ((1 - part[:, :1]) * (1 - part[:, 1:]))
            + texture[low[:, 0] + 1, low[:, 1]] * (part[:, :1] * (1 - part[:, 1:]))
            + texture[low[:, 0], low[:, 1] + 1] * ((1 - part[:, :1]) * part[:, 1:])
            + texture[low[:, 0] + 1, low[:, 1] + 1] * (part[:, :1] * part[:, 1:])
        )
        nearest[good] = depth[good]
    image = Image.fromarray(np.clip(color + 0.5, 0, 255).astype(np.uint8))
    return image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


def alignment_errors(
    estimated: dict[str, np.ndarray], true: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation errors in degrees and centre errors as a share of the extent, after Sim3."""
    names = sorted(estimated)
    centre = lambda pose: -pose[:3, :3].T @ pose[:3, 3]  # noqa: E731
    a = np.stack([centre(estimated[name]) for name in names])
    b = np.stack([centre(true[name]) for name in names])
    a0, b0 = a - a.mean(axis=0), b - b.mean(axis=0)
    u, s, vt = np.linalg.svd(b0.T @ a0)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ flip @ vt
    scale = np.trace(np.diag(s) @ flip) / np.sum(a0**2)
    position = np.linalg.norm(scale * a0 @ rotation.T - b0, axis=1)
    extent = np.linalg.norm(b.max(axis=0) - b.min(axis=0))
    turns = [true[n][:3, :3] @ rotation @ estimated[n][:3, :3].T for n in names]
    cosines = [np.clip((np.trace(turn) - 1) / 2, -1, 1) for turn in turns]
    return np.degrees(np.arccos(cosines)), position / extent
