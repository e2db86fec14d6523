"""Photos added to a capture whose cameras are known."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sfm_room import alignment_errors, make_room

from recon.capture import load_capture
from recon.formats.colmap import read_model
from recon.formats.lens import PosedLens
from recon.scene import PosedScene
from recon.sfm import SfmOptions, load_report, pose_capture, survey_capture
from recon.sfm.cache import solved_before
from recon.sfm.context import SfmContext
from recon.sfm.extend import fits, notice, worth_extending
from recon.sfm.job import JobResult, PhotoFacts
from recon.sfm.survey import known_cameras

pycolmap = pytest.importorskip("pycolmap")

OPTIONS = SfmOptions(quality="draft", long_side=200, threads=2)
LATE = {"003.png": "late a.png", "008.png": "late b.png"}


def context(folder: Path, options: SfmOptions = OPTIONS) -> SfmContext:
    return SfmContext(
        load_capture(folder), options, folder / "run" / "sfm", lambda event: None, lambda: False
    )


@dataclass
class Grown:
    """What came of the capture below.

    Attributes:
        before: cameras of the photos that were there at first, as the check found them.
        truth: `cam_from_world` of all photos, by their later names.
        told: what was said while the late photos were placed: (text, done, total).
    """

    folder: Path
    before: dict[str, PosedLens]
    scene: PosedScene
    truth: dict[str, np.ndarray]
    told: list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A room in ten photos, two of which come after the others were checked; one is renamed."""
    folder = tmp_path_factory.mktemp("grown")
    room = make_room(folder, 10)
    images = folder / "images"
    for name in LATE:
        (images / name).rename(folder / name)
    checked = survey_capture(load_capture(folder), folder / "run", OPTIONS)
    for name, new in LATE.items():
        (folder / name).rename(images / new)
    (images / "000.png").rename(images / "first.png")
    told: list[tuple[str, int, int]] = []
    scene = pose_capture(
        load_capture(folder),
        folder / "run",
        OPTIONS,
        lambda event: told.append((event.text, event.done, event.total)),
    )
    names = LATE | {"000.png": "first.png"}
    truth = {names.get(n, n): pose for n, pose in room.poses.items()}
    return Grown(folder, dict(checked.cameras), scene, truth, told)


def test_what_the_check_did_is_not_done_again(grown):
    features = [event for event in grown.told if event[0] == "looking for features"]
    assert features == [("looking for features", 10, 10)]
    matching = [event for event in grown.told if event[0] == "matching pairs"]
    assert matching == [("matching pairs", 45, 45)]
    with pycolmap.Database.open(next((grown.folder / "run" / "features").glob("*.db"))) as database:
        assert database.num_images() == 10
    copies = [event for event in grown.told if event[0] == "preparing photos"]
    assert [event[1:] for event in copies] == [(1, 2), (2, 2)]


def test_new_photos_join_the_known_cameras(grown):
    folder, before, scene = grown.folder, grown.before, grown.scene
    assert load_report(folder / "run").notices == (
        "kept the cameras of 8 photos and placed 2 of 2 new photos beside them",
    )
    told = {text for text, _, _ in grown.told}
    assert "going on from the cameras that are known" in told
    assert "looking for two photos to start from" not in told
    assert len(scene.views) == 10
    rotation, position = alignment_errors(
        {view.name: view.camera.cam_from_world for view in scene.views}, grown.truth
    )
    assert rotation.max() < 0.5
    assert position.max() < 0.01
    # The world is still that of the first model.
    after = read_model(folder / "run" / "sfm").images
    extent = np.ptp([posed.centre for posed in before.values()], axis=0).max()
    for name in set(before) & set(after):
        assert np.linalg.norm(before[name].centre - after[name].centre) < 0.02 * extent


def test_the_same_again_is_taken_as_it_is(grown):
    folder, scene = grown.folder, grown.scene

    def fail(event):
        raise AssertionError(event)

    again = pose_capture(load_capture(folder), folder / "run", OPTIONS, fail)
    assert [view.name for view in again.views] == [view.name for view in scene.views]


def test_only_what_can_be_built_upon_is_known(grown, tmp_path):
    folder = grown.folder
    full = context(folder)
    assert len(solved_before(full, full.folder)) == 10
    # Nothing is new, so there is nothing to place.
    assert known_cameras(full) == {}
    for options in (replace(OPTIONS, seed=1), replace(OPTIONS, quality="standard")):
        other = context(folder, options)
        assert solved_before(other, other.folder) == {}
    assert solved_before(full, tmp_path) == {}
    copy = tmp_path / "sfm"
    shutil.copytree(full.folder, copy)
    text = (copy / "solution.json").read_text()
    for broken in (
        text.replace('"inconsistent_pairs": ', '"inconsistent_pairs": 0.5, "was": '),
        text.replace('"quality": "draft"', '"quality": "best"'),
        text.replace('"contents": {', '"contents": [], "was": {'),
        "[" * 100_000,
    ):
        (copy / "solution.json").write_text(broken)
        assert solved_before(full, copy) == {}
    (copy / "solution.json").write_text(text)
    (copy / "images.bin").write_bytes(b"\1")
    assert solved_before(full, copy) == {}


def outcome(old: int, placed: int, lost: int, inconsistent: float = 0.0) -> JobResult:
    parts = [0] * (old + placed) + [None] * lost
    photos = {f"{i:02d}.jpg": PhotoFacts(900, 3, part) for i, part in enumerate(parts)}
    return JobResult(photos, (), 500, 1.0, 4.0, inconsistent, {})


@pytest.mark.parametrize(
    ("result", "good", "words"),
    [
        (outcome(8, 2, 0), True, "kept the cameras of 8 photos and placed 2 of 2 new photos"),
        (outcome(8, 19, 1), True, "placed 19 of 20 new photos"),
        (outcome(8, 0, 1), False, "anew, since 0 of 1 new photo found a place"),
        (outcome(8, 2, 0, 0.1), False, "anew, since 2 new photos contradict the cameras of 8"),
    ],
)
def test_what_does_not_fit_is_looked_for_anew(result, good, words):
    known = dict.fromkeys(list(result.photos)[:8])
    assert fits(result, known) is good
    assert words in notice(result, known)


def test_an_old_model_smaller_than_what_is_added_is_no_start(grown):
    capture = load_capture(grown.folder)
    assert not worth_extending(dict.fromkeys("abcd"), capture)
    assert worth_extending(dict.fromkeys("abcde"), capture)
    assert not worth_extending(dict.fromkeys("abcdefghij"), capture)
