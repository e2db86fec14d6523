"""Exports from the viewer: one file each, data sets zipped."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from test_export import make_run

from recon.export.options import ExportFormat
from recon.viewer.export import EXPORTS, export_file


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("export") / "run")


@pytest.mark.parametrize("to", ["ply", "spz", "points"])
def test_a_single_file_is_sent_as_it_is(run: Path, to: ExportFormat) -> None:
    ending, content = export_file(run, to, "world", lambda done, total: None)
    assert ending == {"ply": "ply", "spz": "spz", "points": "ply"}[to]
    assert len(content) > 100
    assert not (run / "exports").exists(), "nothing is left in the run"


def test_a_data_set_is_sent_as_one_archive(run: Path) -> None:
    told: list[tuple[int, int]] = []
    ending, content = export_file(run, "nerfstudio", "world", lambda *step: told.append(step))
    assert ending == "zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert "transforms.json" in names
    assert sum(name.endswith(".png") for name in names) == 9
    assert [total for _, total in told] == [9] * len(told)
    assert len(told) >= 9


def test_a_cancelled_export_stops(run: Path) -> None:
    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_file(run, "colmap", "world", cancel)


def test_all_that_is_offered_exists() -> None:
    assert set(EXPORTS.values()) <= set(ExportFormat.__args__)
