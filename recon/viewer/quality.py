"""The figures beside a comparison: `recon.evaluate` itself makes them, so that they are equal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from recon.evaluate import evaluate
from recon.geometry import Camera
from recon.model import RenderOptions, RenderOutput
from recon.scene import PosedScene, View
from recon.viewer.workspace import ViewScore


@dataclass(frozen=True)
class _AlreadyRendered:
    """A model whose one picture exists."""

    output: RenderOutput
    method: str = "viewer"
    size: int = 0

    def render(self, camera: Camera, options: RenderOptions | None = None) -> RenderOutput:
        return self.output

    def save(self, path: Path) -> None:
        raise NotImplementedError("a picture is no model")


def measure(
    output: RenderOutput, view: View, scene: PosedScene, long_side: int | None
) -> ViewScore | None:
    """Quality of a render of a photo's camera, masks and all; None where it cannot be measured.

    Args:
        output: rendered by `view.camera.fit_long_side(long_side)`.

    Raises:
        ReconError: the photo cannot be read, or the render has values that are not finite.
    """
    alone = replace(scene, views=(replace(view, split="test"),))
    found = evaluate(_AlreadyRendered(output), alone, long_side=long_side).views.get(view.name)
    return None if found is None else ViewScore(found.psnr, found.ssim)
