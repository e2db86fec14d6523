"""Durations, limits, fingerprints."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from recon.errors import OptionError
from recon.fit.fingerprint import differing_photos, differing_settings, digest
from recon.fit.manifest import InputFile
from recon.fit.options import FitOptions, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("1H2m3S", 3723)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "0", "5x", "m", "-5m", "5m5m", "1e9", "nan", "soon"])
def test_no_durations(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_duration(text)
    assert "5m" in caught.value.remedy


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"max_splats": 5},
        {"resolution": 8},
        {"seed": -1},
        {"threads": 0},
        {"time_budget": 0.5},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="must lie between"):
        FitOptions(Path("x"), **wrong)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Nested:
    """Something with an array and a mapping."""

    array: np.ndarray
    table: dict[str, float | None]


def test_a_digest_depends_on_content_alone() -> None:
    value = Nested(np.arange(6.0).reshape(2, 3), {"a": 1.0, "b": None})
    same = Nested(np.arange(6.0).reshape(2, 3), {"b": None, "a": 1.0})
    assert digest(value) == digest(same)
    others = [
        Nested(np.arange(6.0).reshape(3, 2), value.table),
        Nested(value.array.astype(np.float32), value.table),
        Nested(value.array, {"a": 1.0, "b": 0.0}),
        Nested(value.array, {"a": 1.0}),
    ]
    assert len({digest(v) for v in (value, *others)}) == 5
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest([1, [2]]) != digest([[1], 2])


def test_a_digest_is_the_same_in_every_process() -> None:
    code = "from recon.fit.fingerprint import digest; print(digest({'b': [1.5, None], 'a': 'x'}))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == digest({"a": "x", "b": [1.5, None]})


def test_differences_are_named() -> None:
    old = {"steps": 10, "deep": {"x": 1, "y": 2}, "gone": True}
    new = {"steps": 20, "deep": {"x": 1, "y": 3}, "new": None}
    assert differing_settings(old, new) == [
        "deep.y: 2 -> 3",
        "gone: True -> none",
        "steps: 10 -> 20",
    ]
    before = {"a": InputFile(1, 1, "1"), "b": InputFile(1, 1, "2")}
    after = {"b": InputFile(1, 1, "3"), "c": InputFile(1, 1, "4")}
    lines = differing_photos(before, after)
    assert lines == ["1 photo added (c)", "1 photo removed (a)", "1 photo changed (b)"]
