"""The run directory: what a run leaves on disk, and the only place where its paths are named."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recon.container import scene_folder
from recon.errors import ReconError, RunDirError
from recon.fit.eventlog import forget_events
from recon.fit.events import EVALUATE, TRAIN
from recon.fit.lock import RunLock
from recon.fit.manifest import MANIFEST_NAME, Manifest, StageRecord, StageStatus, parse_manifest
from recon.fit.options import DEFAULT_RUN_NAME, METHODS, MethodName
from recon.fit.storage import clear_disk_errors, make_writable_folder, write_atomic

FROM_CHECK = ("check", "features", "diagnosis.json")
"""What `recon check` leaves in a run directory in which no run has begun yet."""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunDir:
    """A run directory and its manifest, held in memory and written atomically on each change."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    # What lies where. docs/run-directory.md tells people and scripts the same.

    @property
    def manifest_path(self) -> Path:
        return self.path / MANIFEST_NAME

    @property
    def sfm(self) -> Path:
        return self.path / "sfm"

    @property
    def scene_file(self) -> Path:
        """Written last by the pose stage: where it lies, the posed scene is whole."""
        return self.path / "scene.json"

    @property
    def eval_path(self) -> Path:
        return self.path / "eval.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def renders(self) -> Path:
        return self.path / "renders"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def checkpoints(self, method: str) -> Path:
        return self.path / "checkpoints" / method

    def model(self, method: str) -> Path:
        """The trained model, exact, for recon itself."""
        return self.path / f"{method}.safetensors"

    def exported(self, method: str) -> Path:
        """The trained model in a file format that other programs read, where there is one."""
        return self.path / f"{method}.ply"

    # Opening.

    @classmethod
    def find(cls, path: Path) -> RunDir:
        """The run in `path`, which may be the run directory or the scene that holds it.

        Raises:
            RunDirError: there is no run, or its manifest cannot be read.
        """
        path = scene_folder(path)
        for folder in (path, path / DEFAULT_RUN_NAME):
            if (folder / MANIFEST_NAME).is_file():
                return cls.load(folder)
        raise RunDirError(
            "there is no recon run here" if path.is_dir() else "there is no such folder",
            where=path,
            remedy=f"make one with: recon fit {path}" if path.is_dir() else "check the path",
        )

    @classmethod
    def load(cls, path: Path) -> RunDir:
        """Read an existing run directory; nothing is written."""
        manifest_path = path / MANIFEST_NAME
        try:
            text = manifest_path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunDirError(f"cannot be read ({error})", where=manifest_path) from error
        return cls(path, parse_manifest(text, manifest_path))

    @classmethod
    def existing(cls, path: Path) -> RunDir | None:
        """The run that lies in `path`, None where a new one can be made.

        Raises:
            RunDirError: `path` holds other things, which must not be mixed with a run.
        """
        if (path / MANIFEST_NAME).is_file():
            return cls.load(path)
        # Hidden files are the lock, and what file managers leave everywhere.
        names = [p.name for p in path.iterdir()] if path.is_dir() else []
        foreign = [name for name in names if not name.startswith(".") and name not in FROM_CHECK]
        if foreign:
            raise RunDirError(
                f"this folder holds other files ({', '.join(sorted(foreign)[:3])}, ...) "
                "and no recon run",
                where=path,
                remedy="choose a new or empty folder with --out DIR",
            )
        return None

    @staticmethod
    @contextmanager
    def locked(path: Path) -> Iterator[None]:
        """Make `path` if need be, check that it can be written to, and hold its lock.

        Raises:
            RunDirError: it cannot be written to, or another process holds the lock.
        """
        make_writable_folder(path)
        lock = RunLock(path)
        with clear_disk_errors(path):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    # Writing.

    def update(self, **changes: Any) -> None:
        """Change fields of the manifest and write it."""
        self.manifest = dataclasses.replace(self.manifest, updated=now(), **changes)
        text = json.dumps(self.manifest.to_json(), indent=1, ensure_ascii=False)
        with clear_disk_errors(self.manifest_path):
            write_atomic(self.manifest_path, text + "\n")

    def set_stage(self, stage: str, status: StageStatus, seconds: float, fingerprint: str) -> None:
        self.update(stages=self.stages_with(stage, status, seconds, fingerprint))

    def stages_with(
        self, stage: str, status: StageStatus, seconds: float, fingerprint: str
    ) -> dict[str, StageRecord]:
        record = StageRecord(status, round(seconds, 3), fingerprint)
        return {**self.manifest.stages, stage: record}

    def try_record(self, **changes: Any) -> None:
        """`update` while another error is on its way: a full disk must not hide that one."""
        with contextlib.suppress(OSError, ReconError):
            self.update(**changes)

    def is_done(self, stage: str, fingerprint: str) -> bool:
        """Whether a stage was completed with just these inputs and settings."""
        record = self.manifest.stages.get(stage)
        return record is not None and (record.status, record.fingerprint) == ("done", fingerprint)

    def read_eval(self) -> dict[str, Any]:
        """eval.json, one entry a method; empty when there is none yet."""
        try:
            entries = json.loads(self.eval_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise RunDirError(
                f"cannot be read ({error})",
                where=self.eval_path,
                remedy="delete it and run: recon eval",
            ) from error
        return entries if isinstance(entries, dict) else {}

    def write_eval(self, method: str, entry: dict[str, Any]) -> None:
        """Put a method's entry into eval.json beside those of other methods."""
        text = json.dumps({**self.read_eval(), method: entry}, indent=1, ensure_ascii=False)
        with clear_disk_errors(self.eval_path):
            write_atomic(self.eval_path, text + "\n")

    @property
    def trained_methods(self) -> tuple[MethodName, ...]:
        """The methods that have a trained model, in order."""
        return tuple(name for name in METHODS if self.model(name).is_file())

    def discard_training(self, methods: Collection[MethodName]) -> None:
        """Remove what training these methods left, and the report; keep the poses."""
        with clear_disk_errors(self.path):
            for method in methods:
                for folder in (self.checkpoints(method), self.renders / method):
                    if folder.exists():
                        shutil.rmtree(folder)
                for file in (self.model(method), self.exported(method)):
                    file.unlink(missing_ok=True)
            self.report.unlink(missing_ok=True)
            forget_events(self.events, methods)
            if self.eval_path.exists():
                entries = {k: v for k, v in self.read_eval().items() if k not in methods}
                write_atomic(self.eval_path, json.dumps(entries, indent=1) + "\n")
        gone = {"report", *(stage[m] for m in methods for stage in (TRAIN, EVALUATE))}
        kept = {k: v for k, v in self.manifest.stages.items() if k not in gone}
        training = {k: v for k, v in self.manifest.training.items() if k not in methods}
        self.update(stages=kept, training=training)
