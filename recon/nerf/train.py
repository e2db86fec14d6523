"""The training of a field."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch

from recon.errors import TrainingError
from recon.kernels import native_cpu
from recon.kernels.field_ops import FieldShape, March, StepSettings
from recon.kernels.field_tensors import FieldState, TrainImage
from recon.kernels.memory import typed_out_of_memory
from recon.kernels.registry import field_engine
from recon.nerf import schedule
from recon.nerf.checkpoint import METHOD, Position, load_checkpoint, save_checkpoint
from recon.nerf.images import load_training_images
from recon.nerf.model import NerfModel
from recon.nerf.options import NerfOptions
from recon.nerf.pace import Pace
from recon.nerf.region import Region, scene_region
from recon.nerf.state import all_occupied, initial_state
from recon.nerf.surfaces import Guide, surface_cells
from recon.scene import PosedScene
from recon.training.checkpoint import newest_readable
from recon.training.loop import LoopTrainer, StepReport

# A way of this length (box units) through a cell must be this opaque for the cell to be sampled:
# the paper's threshold at the paper's step length, whatever the length of ours.
_OPACITY = 0.01
_GRID_STEP = 2 * 3**0.5 / 1024


class NerfTrainer(LoopTrainer):
    """Trains a field on a scene's training views; see `recon.model.Trainer`.

    Args:
        scene: what to train on. Held-out views are used for `EvalEvent` alone.
        options: see `NerfOptions`.
        checkpoint_dir: where checkpoints go, or None for none.
        resume: go on from the newest readable checkpoint there.
        guide: asked once before the first step of an unbounded scene; see `Guide`.

    Raises:
        BackendUnavailable: the backend asked for does not train here.
        TrainingError: no training views, or too little memory on a GPU.
        FormatError: a photo cannot be decoded.
    """

    def __init__(
        self,
        scene: PosedScene,
        options: NerfOptions,
        checkpoint_dir: Path | None = None,
        *,
        resume: bool = True,
        guide: Guide | None = None,
    ) -> None:
        native_cpu.set_thread_count(options.threads)
        options = options.for_photos(alpha=scene.background is not None)
        super().__init__(scene, options, checkpoint_dir)
        self._options = options
        self._images: tuple[TrainImage, ...] = ()
        self._pace = Pace(schedule.FIRST_RAYS, options.coarse_factor)
        self._skipped = 0
        with typed_out_of_memory():
            if not (resume and self._resume()):
                self._start()
        self._guide = None if self._region.bounded or self._step > 0 else guide
        if self._guide is not None:
            self._notices.append("looking for surfaces with a short training of splats")

    def _start(self) -> None:
        options = self._options
        self._region = scene_region(self._scene)
        self._lay_out(
            FieldShape(
                base=options.base,
                finest=options.finest,
                log2_table=options.log2_table,
                grid=options.grid,
                contracted=not self._region.bounded,
                centre=self._region.centre,
                half=self._region.half,
                density_bias=options.density_bias,
            )
        )
        self._load_images()
        density = self._engine.visible_density(self._region.near, carve=self._region.bounded)
        photos = len(self._images) if options.exposure else None
        cpu = torch.device("cpu")
        state = initial_state(self._shape, options.seed, density.to(cpu), photos)
        self._take(state)

    def _resume(self) -> bool:
        found = newest_readable(self._dir, METHOD, load_checkpoint, self._notices.append)
        if found is None:
            return False
        state, position = found
        self._step, self._seconds = position.step, position.seconds
        self._pace = Pace(position.rays, position.coarseness, position.under_way)
        self._region = position.region
        self._lay_out(position.shape)
        self._engine.set_room(position.room)
        self._take(state)
        self._notices.append(f"resumed at step {self._step}")
        return True

    def _lay_out(self, shape: FieldShape) -> None:
        self._shape = shape
        self._engine = field_engine(self._options.backend, shape)

    def _take(self, state: FieldState) -> None:
        self._state = state.to(self._engine.device)
        self._engine.use_grid(self._state.weights)

    def _load_images(self) -> None:
        if not self._images:
            self._images = load_training_images(
                self._scene,
                self._options.long_side,
                native_cpu.thread_count(),
                self._options.detail,
            )
            parts = (p for image in self._images for p in (image.rgba, image.weight, image.share))
            photo_bytes = sum(part.nbytes for part in parts if part is not None)
            self._engine.require_memory(schedule.MOST_RAYS, self._options.batch, photo_bytes)
            self._engine.set_images(self._images)

    @property
    def _size(self) -> int:
        return self._state.weights.table.numel() + self._state.weights.mlp.numel()

    def snapshot(self) -> NerfModel:
        """A copy of the model as it is now."""
        with self._lock:
            weights, coarseness = self._state.weights.clone(), self._pace.coarseness
        # Fog that was trained with long steps is rendered with them, too.
        march = march_of(self._region, self._options, coarseness)
        return NerfModel(self._shape, march, weights, backend=self._options.backend)

    def _prepare(self) -> None:
        self._load_images()
        model = None if self._guide is None else self._guide(self._stop.is_set)
        self._guide = None
        if model is not None:
            self._keep(surface_cells(model, self._scene, self._shape))

    def _keep(self, cells: torch.Tensor) -> None:
        """From now on only these cells (grid^3,) of those that count so far count."""
        with self._lock:
            weights = self._state.weights
            self._state.density[~cells.to(self._engine.device)] = -1.0
            occupied = all_occupied(self._state.density.cpu())
            weights.occupied.copy_(occupied.to(self._engine.device))
            self._engine.use_grid(weights)

    def _train_step(self) -> StepReport:
        options, progress, pace = self._options, self.progress, self._pace
        rate = schedule.learning_rate_factor(options, progress)
        march = march_of(self._region, options, pace.coarseness)
        self._step += 1
        result = self._engine.train_step(
            self._state,
            march,
            StepSettings(
                seed=options.seed,
                step=self._step,
                rays=pace.rays,
                huber_delta=options.huber_delta,
                distortion=options.distortion,
                spread=options.spread,
                table_rate=rate * options.rate,
                mlp_rate=rate * options.mlp_rate,
            ),
        )
        pace.queued(result)
        for past in pace.due(self._engine.lag):
            self._require_finite(past.result.loss)
            self._engine.make_room(past.result)
            pace.follow(past, options, progress)
        if self._step % schedule.GRID_EVERY == 0:
            occupied_every, all_every, decay = schedule.grid_rhythm(self._step)
            self._engine.update_grid(
                self._state,
                seed=(options.seed * 0x9E3779B1 + self._step) & 0xFFFFFFFF,
                occupied_every=occupied_every,
                all_every=all_every,
                decay=decay,
                shortest=_GRID_STEP,
                threshold=_OPACITY,
            )
        view = max((image.view for image in self._images), key=lambda v: v.width * v.height)
        return StepReport(view.width, view.height)

    def _mean_loss(self) -> float:
        """See `LoopTrainer`; waits for the device.

        Raises:
            TrainingError: it is not finite.
        """
        totals = self._engine.drain()
        self._skipped += totals.skipped
        mean = totals.loss_sum / max(1, totals.losses)
        self._require_finite(mean)
        return mean

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is not finite by step {self._step}",
                remedy="continue from the last checkpoint with another --seed",
            )

    def _save(self, folder: Path) -> Path:
        position = Position(
            step=self._step,
            seconds=self._seconds,
            rays=self._pace.rays,
            coarseness=self._pace.coarseness,
            region=self._region,
            shape=self._shape,
            under_way=self._pace.under_way(self._engine),
            room=self._engine.room,
        )
        return save_checkpoint(folder, self._state, position)

    def _closing_notices(self) -> Iterator[str]:
        self._mean_loss()
        if self._skipped:
            yield f"{self._skipped} steps changed nothing, until the work memory had grown"
        if not self._state.weights.occupied.any():
            yield "the scene came out empty: the photos may not fit their cameras"


def march_of(region: Region, options: NerfOptions, coarseness: float) -> March:
    """Marching through a region with steps longer by a factor."""
    return March(
        near=region.near,
        far=region.far,
        shortest=options.step_length * coarseness,
        cone=0.0 if region.bounded else options.cone * coarseness,
        min_weight=options.min_weight,
        min_transmittance=options.min_transmittance,
    )
