"""The parts that a fit wires together, by their contracts; tests put others in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recon.errors import BackendUnavailable
from recon.fit.estimate import Cost, Workload
from recon.fit.options import Device, FitOptions, MethodName
from recon.model import RadianceModel, Trainer
from recon.scene import PosedScene

if TYPE_CHECKING:
    from recon.capture import Capture
    from recon.sfm import SfmOptions
    from recon.sfm.options import SfmProgress


class TrainableMethod(Protocol):
    """What a fit must know of a method beyond its `Trainer` and `RadianceModel`."""

    @property
    def name(self) -> str:
        """Key in eval.json, stem of the model's files."""
        ...

    def plan(self, options: FitOptions, backend: str) -> Any:
        """The method's own options, fully resolved: a frozen dataclass."""
        ...

    def identity(self, plan: Any) -> dict[str, Any]:
        """The part of a plan that decides what the model becomes: plain JSON data.

        Two runs with equal identities may continue each other.
        """
        ...

    def cost(self, plan: Any, work: Workload) -> Cost:
        """What training will take, roughly."""
        ...

    def trainer(self, scene: PosedScene, plan: Any, checkpoints: Path) -> Trainer:
        """A trainer that goes on from the newest checkpoint in the folder, if there is one."""
        ...

    def load(self, path: Path, backend: str) -> RadianceModel: ...

    def export(self, model: RadianceModel, path: Path) -> None:
        """Write the file that other programs read; a method that has none writes nothing."""
        ...


class SceneEvaluation(Protocol):
    """Held-out quality of one method."""

    def to_json(self) -> dict[str, Any]:
        """The method's entry in eval.json, but for its training time."""
        ...


@dataclass(frozen=True)
class FitParts:
    """Everything below the wiring.

    Attributes:
        load_capture: (folder, progress(done, total), ignore_poses) -> the photos and the split.
        pose_capture: (capture, run directory, options, progress, cancelled) -> scene with cameras.
        load_scene: the scene that `pose_capture` left in the run directory.
        pose_notices: what `pose_capture` wants the person to know, from the run directory.
        evaluate: (model, scene, long side, folder for renders, progress) -> held-out quality.
        write_report: makes report.html in a run directory.
        choose_backend: (device, method) -> name of the backend that trains.
        methods: what can be trained, by name.
    """

    load_capture: Callable[[Path, Callable[[int, int], None], bool], Capture]
    pose_capture: Callable[
        [Capture, Path, SfmOptions, Callable[[SfmProgress], None], Callable[[], bool]], PosedScene
    ]
    load_scene: Callable[[Path], PosedScene]
    pose_notices: Callable[[Path], tuple[str, ...]]
    evaluate: Callable[
        [RadianceModel, PosedScene, int, Path, Callable[[int, int], None]], SceneEvaluation
    ]
    write_report: Callable[[Path], Path]
    choose_backend: Callable[[Device, MethodName], str]
    methods: Mapping[MethodName, TrainableMethod]

    def method(self, name: MethodName) -> TrainableMethod:
        """A method by its name.

        Raises:
            BackendUnavailable: this version cannot train it.
        """
        found = self.methods.get(name)
        if found is None:
            raise BackendUnavailable(
                f"this version of recon has no method {name!r}",
                remedy=f"choose another --method: {', '.join(self.methods)}; or update recon",
            )
        return found


def default_parts() -> FitParts:
    """The real ones. Imports everything heavy, so call it late."""
    from recon.capture import load_capture
    from recon.evaluate import evaluate
    from recon.fit.backend import choose_backend
    from recon.fit.nerf_method import NerfMethod
    from recon.fit.posing import pose_and_diagnose, pose_notices
    from recon.fit.splat_method import SplatMethod
    from recon.report import write_report
    from recon.sfm import load_scene

    methods: dict[MethodName, TrainableMethod] = {"splat": SplatMethod(), "nerf": NerfMethod()}
    return FitParts(
        load_capture=lambda folder, progress, ignore_poses: load_capture(
            folder, progress, ignore_poses=ignore_poses
        ),
        pose_capture=pose_and_diagnose,
        load_scene=load_scene,
        pose_notices=pose_notices,
        evaluate=lambda model, scene, long_side, renders, progress: evaluate(
            model, scene, long_side=long_side, renders_dir=renders, progress=progress
        ),
        write_report=write_report,
        choose_backend=choose_backend,
        methods=methods,
    )
