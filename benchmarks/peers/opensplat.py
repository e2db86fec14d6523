"""OpenSplat, as an executable."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from peers.base import Peer, Trained, call, find_program
from recon.export.dataset import write_colmap
from recon.formats.splat_ply import read_splat_ply
from recon.geometry import Sim3
from recon.scene import PosedScene
from recon.splat import SplatModel

VARIABLE = "RECON_OPENSPLAT"
HOW = f"""OpenSplat is built from its sources (github.com/pierotofy/OpenSplat; it needs libtorch and
OpenCV). Put `opensplat` on the PATH, or the folder that holds it into {VARIABLE}."""
_STEPS = 2000


class OpenSplat(Peer):
    """Trains on the training photos alone; its .ply is rendered and measured by us."""

    name = "opensplat"
    size_unit = "splats"

    def __init__(self) -> None:
        self._program = find_program("opensplat", VARIABLE, HOW, folder=".")

    def train(self, scene: PosedScene, work: Path, steps: int | None) -> Trained:
        # It knows no split: what it must not see must not be there.
        seen = dataclasses.replace(scene, views=scene.train_views)
        data, out = work / "data", work / "splat.ply"
        write_colmap(seen, Sim3(), data, lambda done, total: None, text=False)
        count = steps or _STEPS
        settings = {"num_iters": count, "downscale_factor": 1}
        finished = call(
            [
                *(self._program, data, "-o", out, "-n", str(count)),
                *("--downscale-factor", "1", "--keep-crs"),
            ],
            work / "train.log",
            {},
        )
        if not out.is_file():
            raise SystemExit(f"opensplat left no {out}; see {work / 'train.log'}")
        model = SplatModel.from_cloud(read_splat_ply(out))
        return Trained(model, finished.seconds, settings, finished.peak_mb)
