"""nerfacto of nerfstudio, from an environment of its own."""

from __future__ import annotations

from pathlib import Path

import torch

from peers.base import Peer, Trained, call, find_program
from peers.pictures import PictureModel
from recon.evaluate import picture_files
from recon.export.dataset import write_transforms_set
from recon.geometry import Sim3
from recon.scene import PosedScene

VARIABLE = "RECON_NERFSTUDIO"
HOW = f"""nerfstudio pins viser 0.2.7 and gsplat 1.4.0, which exclude ours, so it lives apart:
    python3 -m venv ~/nerfstudio
    ~/nerfstudio/bin/pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu
    ~/nerfstudio/bin/pip install nerfstudio
    export {VARIABLE}=~/nerfstudio
(its ns-train on the PATH does as well)."""
_STEPS = 30_000


class Nerfacto(Peer):
    """`ns-train nerfacto` on the exported data set; held-out views by `ns-render dataset`."""

    name = "nerfacto"
    size_unit = "parameters"

    def __init__(self) -> None:
        self._train = find_program("ns-train", VARIABLE, HOW)
        self._render = find_program("ns-render", VARIABLE, HOW)

    def train(self, scene: PosedScene, work: Path, steps: int | None) -> Trained:
        data = work / "data"
        # In normalised space: centred, upright, the cameras within about unit distance.
        write_transforms_set(scene, Sim3(), data, lambda done, total: None, points=True)
        count = steps or _STEPS
        settings = {"max_num_iterations": count, "camera_optimizer": "off", "device": _device()}
        runs = ["--output-dir", work / "runs", "--experiment-name", "recon", "--timestamp", "run"]
        finished = call(
            [
                *(self._train, "nerfacto", "--data", data, *runs),
                *("--max-num-iterations", str(count), "--vis", "tensorboard"),
                *("--machine.device-type", _device(), "--viewer.quit-on-train-completion", "True"),
                # The cameras are given, the same for all methods.
                *("--pipeline.model.camera-optimizer.mode", "off"),
                *("nerfstudio-data", "--downscale-factor", "1"),
                *("--orientation-method", "none", "--center-method", "none"),
            ],
            work / "train.log",
            _environment(),
        )
        config = work / "runs" / "recon" / "nerfacto" / "run" / "config.yml"
        if not config.is_file():
            raise SystemExit(f"ns-train left no {config}; see {work / 'train.log'}")
        out = work / "renders"
        call(
            [
                *(self._render, "dataset", "--load-config", config, "--output-path", out),
                *("--split", "test", "--rendered-output-names", "rgb", "--image-format", "png"),
            ],
            work / "render.log",
            _environment(),
        )
        files = _pictures(scene, out)
        model = PictureModel(self.name, _parameters(work / "runs"), scene, files)
        return Trained(model, finished.seconds, settings, finished.peak_mb)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _environment() -> dict[str, str]:
    # Its own interpreter must not find our packages; nothing is compiled, nor looked up online.
    return {"PYTHONPATH": "", "TORCH_COMPILE_DISABLE": "1", "WANDB_MODE": "disabled"}


def _pictures(scene: PosedScene, out: Path) -> dict[str, Path]:
    """Photo name -> its render, wherever below `out` the program put it."""
    exported = picture_files(view.name for view in scene.views)
    found = {path.stem: path for path in out.rglob("*.png")}
    stems = {view.name: Path(exported[view.name]).stem for view in scene.test_views}
    missing = sorted(name for name, stem in stems.items() if stem not in found)
    if missing:
        raise SystemExit(f"ns-render left no picture of {', '.join(missing[:5])} in {out}")
    return {name: found[stem] for name, stem in stems.items()}


def _parameters(runs: Path) -> int:
    """Numbers in the model of the newest checkpoint, without the optimiser's."""
    checkpoints = sorted(runs.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    if not checkpoints:
        raise SystemExit(f"ns-train left no checkpoint in {runs}")
    # weights_only: data, no code that a pickle could carry.
    state = torch.load(checkpoints[-1], map_location="cpu", weights_only=True)["pipeline"]
    return sum(value.numel() for value in state.values() if isinstance(value, torch.Tensor))
