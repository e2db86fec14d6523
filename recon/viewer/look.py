"""How one client sees the model, and what its last frame was like."""

from __future__ import annotations

from dataclasses import dataclass, field

from recon.scene import PosedScene
from recon.viewer.box import Cut
from recon.viewer.images import Mode


@dataclass(frozen=True)
class Look:
    """How one client wants to see the model.

    Attributes:
        model: key of the model.
        longest: most pixels on the longer side of a frame.
        background: sRGB 0..1 behind the model; None is the scene's own.
        near: what is nearer than this, scene units, is not shown.
        preview: show what this cut would leave.
    """

    model: str = ""
    mode: Mode = "Colour"
    longest: int = 1280
    background: tuple[float, float, float] | None = None
    dark: bool = True
    near: float = 0.0
    preview: Cut | None = None

    def behind(self, scene: PosedScene | None) -> tuple[float, float, float]:
        """sRGB 0..1 behind the model: chosen, or the scene's own, or black."""
        own = scene.background if scene is not None else None
        return self.background or own or (0.0, 0.0, 0.0)


@dataclass
class Status:
    """What the last frame was like, for the status line."""

    width: int = 0
    height: int = 0
    seconds: float = 0.0
    pixels_per_second: float = 0.0
    frames_per_second: float = 0.0
    final: bool = True
    note: str = ""
    _times: list[float] = field(default_factory=list)

    def tick(self, now: float) -> None:
        self._times = [t for t in self._times if now - t < 1.0] + [now]
        self.frames_per_second = float(len(self._times))
