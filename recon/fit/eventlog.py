"""`events.jsonl`: the course of training, one JSON object a line; the report draws its curve."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

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


def event_to_json(event: TrainEvent) -> dict[str, Any]:
    """A flat object: "type" and the event's own fields; paths by name only."""
    fields = dataclasses.asdict(event)
    return {"type": _TYPES[type(event)]} | {
        key: value.name if isinstance(value, Path) else value for key, value in fields.items()
    }


def read_events(path: Path) -> list[dict[str, Any]]:
    """All whole lines; a process that was killed may leave half a line at the end."""
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
    return events


class EventLog:
    """Appends events; on resuming, first drops those that the resumed training will repeat.

    Training goes on from its last checkpoint, which lies before the last event of a process that
    was killed. The first event after the start tells from which step on the log is void.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = False

    def append(self, event: TrainEvent) -> None:
        record = event_to_json(event)
        if not self._started:
            self._started = True
            # A notice ("resumed at ...") comes before its step is done again, others after it.
            valid = record["step"] + (1 if isinstance(event, NoticeEvent) else 0)
            kept = [e for e in read_events(self._path) if e["step"] < valid]
            kept = [e for e in kept if e["type"] != "finished"]
            write_atomic(self._path, "".join(json.dumps(e) + "\n" for e in kept))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
