"""`events.jsonl`: the course of training, one JSON object a line; the report draws its curve."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from recon.fit.options import MethodName
from recon.fit.storage import write_atomic
from recon.model import (
    CheckpointEvent,
    EvalEvent,
    FinishedEvent,
    NoticeEvent,
    StepEvent,
    TrainEvent,
)

_TYPES: dict[type, str] = {
    StepEvent: "step",
    EvalEvent: "eval",
    CheckpointEvent: "checkpoint",
    NoticeEvent: "notice",
    FinishedEvent: "finished",
}


# Of lines that do not say: only splats were trained when those were written.
_UNSAID: MethodName = "splat"


def event_to_json(event: TrainEvent, method: MethodName) -> dict[str, Any]:
    """A flat object: "type", "method", and the event's own fields; paths by name only."""
    fields = dataclasses.asdict(event)
    return {"type": _TYPES[type(event)], "method": method} | {
        key: value.name if isinstance(value, Path) else value for key, value in fields.items()
    }


def event_method(event: dict[str, Any]) -> str:
    """The method that a line of the log is of."""
    return str(event.get("method", _UNSAID))


def read_events(path: Path, method: str | None = None) -> list[dict[str, Any]]:
    """All whole lines, of one method or of all.

    A process that was killed may leave half a line at the end.
    """
    events: list[dict[str, Any]] = []
    if not path.exists():
        return events
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("step"), int):
            events.append(event)
    return [e for e in events if method is None or event_method(e) == method]


def forget_events(path: Path, methods: Collection[str]) -> None:
    """Remove all lines of some methods."""
    if path.exists():
        _write(path, [e for e in read_events(path) if event_method(e) not in methods])


def _write(path: Path, events: list[dict[str, Any]]) -> None:
    write_atomic(path, "".join(json.dumps(e) + "\n" for e in events))


class EventLog:
    """Appends events of one method; first drops those that a resumed training will repeat.

    Training goes on from its last checkpoint, which lies before the last event of a process that
    was killed. The first event after the start tells from which step on the log is void.
    """

    def __init__(self, path: Path, method: MethodName) -> None:
        self._path = path
        self._method: MethodName = method
        self._started = False

    def append(self, event: TrainEvent) -> None:
        record = event_to_json(event, self._method)
        if not self._started:
            self._started = True
            # A notice ("resumed at ...") comes before its step is done again, others after it.
            valid = record["step"] + (1 if isinstance(event, NoticeEvent) else 0)
            kept = [
                e
                for e in read_events(self._path)
                if event_method(e) != self._method
                or (e["step"] < valid and e["type"] != "finished")
            ]
            _write(self._path, kept)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
