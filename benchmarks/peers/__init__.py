"""Other people's programs as methods of the comparison.

They are called as programs, where they are installed: their Python packages pin versions that
exclude ours, and their licences are their own. Each gets the photos, cameras and split of a run,
and what it makes is measured by our own metrics against the same held-out photos.
"""

from __future__ import annotations

from pathlib import Path

from record import Result

from peers.base import Peer
from peers.compare import train_peer
from peers.nerfstudio import Nerfacto
from peers.opensplat import OpenSplat

PEERS: dict[str, type[Peer]] = {"nerfacto": Nerfacto, "opensplat": OpenSplat}


def find(name: str) -> Peer:
    """A peer that is installed; SystemExit says how to get one that is not."""
    if name not in PEERS:
        known = ", ".join(["splat", "nerf", *PEERS])
        raise SystemExit(f"no such method: {name!r}; there are {known}")
    return PEERS[name]()


def train(
    name: str, scene: Path, preset: str, options: str, out: Path, steps: int | None
) -> Result:
    """Train a peer on the cameras that `recon fit` would use, and measure it."""
    return train_peer(find(name), scene, preset, options, out, steps)
