"""The worker process: what happens when it fails, dies, or is asked to stop."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path

import pytest

from recon.errors import SfmError
from recon.sfm import SfmCancelled, process
from recon.sfm.job import Job, JobImage
from recon.sfm.jobs import drop_if_damaged


@pytest.fixture
def job(tmp_path) -> Job:
    image = JobImage("a.jpg", "a.jpg", 64, 48, 64, 48, 0, "OPENCV", (1.0, 2.0), (3.0,))
    return Job(
        photos=str(tmp_path),
        database=str(tmp_path / "d.db"),
        scratch=str(tmp_path / "s"),
        output=str(tmp_path / "o"),
        images=(image,),
        pairs=((0, 1),),
        first_octave=0,
        max_features=100,
    )


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Puts a script in the worker's place: it gets the job file as argument."""

    def replace(script: str) -> None:
        path = tmp_path / "fake_worker.py"
        path.write_text(script)
        monkeypatch.setattr(process, "WORKER", (str(path),))

    return replace


def run(job: Job, folder: Path, cancelled=lambda: False, progress=lambda event: None):
    return process.run_worker(job, folder, progress, cancelled)


RESULT = (
    '{"event": "result", "photos": {"a.jpg": {"keypoints": 9, "partners": 0, "component": 0}}, '
    '"links": [], "points": 5, '
    '"reprojection_error": 1.0, "track_length": 2.0, "inconsistent_pairs": NaN, '
    '"stages": {"features": [1.0, 2.0]}}'
)


def test_a_job_survives_its_file(job, tmp_path):
    job.save(tmp_path / "job.json")
    assert Job.load(tmp_path / "job.json") == job


def test_progress_and_result_come_through_amid_noise(job, tmp_path, worker):
    worker(
        "print('noise'); print('[1]'); print('{\"event\": \"other\"}')\n"
        'print(\'{"event": "progress", "stage": "features", "done": 1, "total": 2, '
        '"text": "t"}\')\n'
        f"print('''{RESULT}''', flush=True)\n"
    )
    seen = []
    result = run(job, tmp_path, progress=seen.append)
    assert result.registered == ("a.jpg",)
    assert result.stages == {"features": (1.0, 2.0)}
    assert [(event.stage, event.done, event.total) for event in seen] == [("features", 1, 2)]


def test_an_error_of_the_worker_is_passed_on(job, tmp_path, worker):
    worker('print(\'{"event": "error", "what": "RuntimeError: no"}\', flush=True)')
    with pytest.raises(SfmError, match="RuntimeError: no") as caught:
        run(job, tmp_path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import sys; sys.exit(3)", "status 3"),
        ("import os; os.abort()", "died"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "died"),
        ("", "died"),
    ],
)
def test_a_crash_becomes_an_error_with_a_remedy(job, tmp_path, worker, script, words):
    worker(script)
    with pytest.raises(SfmError, match=words) as caught:
        run(job, tmp_path)
    assert caught.value.remedy
    assert "colmap.log" in str(caught.value.where)


def test_being_killed_is_blamed_on_memory(job, tmp_path, worker):
    worker("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(SfmError) as caught:
        run(job, tmp_path)
    assert "memory" in caught.value.remedy


def test_cancelling_stops_a_worker_that_listens_at_once(job, tmp_path, worker):
    worker("import sys; sys.stdin.read()")
    begun = time.monotonic()
    with pytest.raises(SfmCancelled):
        run(job, tmp_path, cancelled=lambda: time.monotonic() - begun > 0.3)
    assert time.monotonic() - begun < 10


def test_cancelling_ends_a_worker_that_does_not_listen(job, tmp_path, worker, monkeypatch):
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.2)
    worker("import time; time.sleep(600)")
    begun = time.monotonic()
    with pytest.raises(SfmCancelled):
        run(job, tmp_path, cancelled=lambda: True)
    assert time.monotonic() - begun < 10


def test_the_real_worker_reports_nonsense_as_an_error(job, tmp_path):
    pytest.importorskip("pycolmap")
    with pytest.raises(SfmError):
        run(job, tmp_path)


def test_importing_sfm_does_not_import_pycolmap():
    import subprocess

    code = "import sys, recon.sfm, recon.capture; sys.exit('pycolmap' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_damaged_database_is_dropped_with_its_side_files(tmp_path):
    path = tmp_path / "x.db"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(f"x.db{suffix}").write_bytes(b"garbage" * 1000)
    drop_if_damaged(path)
    assert list(tmp_path.iterdir()) == []


def test_a_sound_database_is_kept(tmp_path):
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()
    drop_if_damaged(path)
    assert path.is_file()
    drop_if_damaged(tmp_path / "missing.db")
