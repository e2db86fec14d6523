"""What all clients look at: the scene, the models, their scores. Thread-safe, knows no viser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from recon.geometry import Camera
from recon.model import RadianceModel
from recon.scene import PosedScene, View

ROW_WISE = frozenset({"nerf"})
"""Methods that march a ray for each pixel: rows can be rendered on their own."""

CUTTABLE = frozenset({"splat", "nerf"})
"""Methods that `variants.cut` knows, and that heed `RenderOptions.near`."""


@dataclass(frozen=True)
class NamedModel:
    """A model to look at.

    Attributes:
        key: unique; "splat", "nerf", "splat@3000" for a checkpoint.
        label: as people read it.
        aside: an edit or a checkpoint: compared only when it is the chosen one.
    """

    key: str
    label: str
    model: RadianceModel
    aside: bool = False

    @property
    def is_splats(self) -> bool:
        """Whether it can be drawn as ellipses and written as .ply."""
        return self.model.method == "splat"

    @property
    def can_be_cut(self) -> bool:
        """Whether a box can be cut out, and a near plane leaves out what is nearer."""
        return self.model.method in CUTTABLE

    @property
    def bands(self) -> bool:
        """See `request.Layer.bands`."""
        return self.model.method in ROW_WISE


@dataclass(frozen=True)
class ViewScore:
    """Quality at one photo: PSNR in dB, and SSIM unless it was not measured."""

    psnr: float
    ssim: float | None = None


@dataclass(frozen=True)
class MethodScore:
    """A method's row in the table: means over the held-out photos."""

    method: str
    psnr: float
    ssim: float | None = None
    train_seconds: float | None = None
    size: int | None = None
    views: dict[str, ViewScore] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """Training so far: loss over steps, held-out PSNR over steps; for one method."""

    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()
    eval_steps: tuple[int, ...] = ()
    psnrs: tuple[float, ...] = ()


TrainingPhase = Literal["waiting", "training", "paused", "stopping", "ended"]


@dataclass(frozen=True)
class TrainingState:
    """Where a training that is watched stands.

    Attributes:
        state: waiting is for the cameras to be found.
        text: one line in plain words.
        fraction: of the planned steps, 0..1.
    """

    state: TrainingPhase = "waiting"
    text: str = ""
    fraction: float = 0.0


@dataclass(frozen=True)
class Content:
    """One consistent state of the workspace; replaced as a whole.

    Attributes:
        phase: "loading", "ready" or "failed"; `note` says more in plain words.
        training: None unless a training is watched.
        run_dir: where edits are saved; None when this is no run.
        eval_long_side: longer side of the pictures that `recon eval` compares; None is native.
    """

    phase: Literal["loading", "ready", "failed"] = "loading"
    note: str = "Loading the scene ..."
    title: str = "recon"
    scene: PosedScene | None = None
    models: tuple[NamedModel, ...] = ()
    scores: tuple[MethodScore, ...] = ()
    curve: Curve = field(default_factory=Curve)
    training: TrainingState | None = None
    eval_long_side: int | None = None
    run_dir: Path | None = None

    def model(self, key: str) -> NamedModel | None:
        """The model of a key; the first one when the key is gone; None when there is none."""
        found = [m for m in self.models if m.key == key]
        return found[0] if found else (self.models[0] if self.models else None)

    def shows_same(self, other: Content) -> bool:
        """Whether both would be rendered alike: the same scene and the very same models."""
        ours, theirs = ([(m.key, id(m.model)) for m in c.models] for c in (self, other))
        return (self.phase, self.scene is other.scene) == (other.phase, True) and ours == theirs

    def view(self, name: str) -> View | None:
        """The photo of a name."""
        return None if self.scene is None else self.scene.view(name)

    def score(self, method: str, view: str) -> ViewScore | None:
        """What `recon eval` measured."""
        rows = [s for s in self.scores if s.method == method]
        return rows[0].views.get(view) if rows else None

    def worst_first(self, views: Iterable[View], named: NamedModel) -> list[View]:
        """Photos by what `recon eval` measured for a model; the unmeasured last, by name."""

        def rank(view: View) -> tuple[bool, float, str]:
            score = self.score(named.model.method, view.name)
            return (score is None, 0.0 if score is None else score.psnr, view.name)

        return sorted(views, key=rank)

    def eval_camera(self, view: View) -> Camera:
        """The camera that `recon eval` renders for a photo."""
        return view.camera.fit_long_side(self.eval_long_side)


class Workspace:
    """Holds the content and tells listeners when it changes."""

    def __init__(self, content: Content | None = None) -> None:
        self._content = content or Content()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    @property
    def content(self) -> Content:
        return self._content

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` at each change, on the changing thread; returns what ends that."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def update(self, change: Callable[[Content], Content]) -> None:
        """Replace the content by `change(content)`."""
        with self._lock:
            self._content = change(self._content)
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    def fail(self, note: str) -> None:
        """Say on every page that this cannot be shown, and why."""
        self.update(lambda content: replace(content, phase="failed", note=note))
