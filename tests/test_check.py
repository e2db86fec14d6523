"""`recon check` on a small capture, and that a fit takes over what it found."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sfm_room import make_room

from recon.capture import load_capture
from recon.cli.main import main
from recon.sfm import KnownDistance, SfmOptions, jobs, load_report, pose_capture

pytest.importorskip("pycolmap")


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A room in eight photos, one of them also saved again, after a check."""
    folder = tmp_path_factory.mktemp("check") / "scene"
    make_room(folder, 8)
    photo = Image.open(folder / "images" / "003.png")
    photo.save(folder / "images" / "sent.jpg", quality=80)
    return folder, main(["check", str(folder), "--poses", "sfm", "--threads", "2"])


def test_the_check_names_what_is_wrong_and_exits_with_its_verdict(checked, capsys, monkeypatch):
    folder, code = checked
    assert code == 10
    # Another check takes what the first one found.
    monkeypatch.setattr(jobs, "run_worker", None)
    assert main(["check", str(folder), "--poses", "sfm", "--json"]) == 10
    data = json.loads(capsys.readouterr().out)
    assert (data["verdict"], data["placed"], data["usable"]) == ("reservations", 8, 8)
    assert {"few", "small", "copies"} <= {finding["code"] for finding in data["findings"]}
    assert set(data["estimates"]) == {"draft", "standard", "high"}
    assert main(["check", str(folder), "--poses", "sfm", "--all"]) == 10
    text = capsys.readouterr().out
    assert "8 photos are few" in text
    assert "sent.jpg" in text
    assert "--preset standard" in text


def test_a_fit_takes_the_cameras_from_the_check(checked, monkeypatch):
    folder, _ = checked
    monkeypatch.setattr(jobs, "run_worker", None)
    capture = load_capture(folder)
    options = SfmOptions(quality="draft", long_side=200)
    scene = pose_capture(capture, folder / "recon", options)
    assert len(scene.views) == 8
    # A known distance changes the world that results are exported to, not the scene.
    known = replace(options, known_distance=KnownDistance("000.png", "007.png", 3.0))
    measured = pose_capture(capture, folder / "recon", known)
    world = measured.norm_from_world.inverse()
    centres = {view.name: world.apply(view.camera.centre) for view in measured.views}
    assert np.linalg.norm(centres["000.png"] - centres["007.png"]) == pytest.approx(3.0)
    assert load_report(folder / "recon").unit == "metres"
    np.testing.assert_allclose(
        measured.views[3].camera.cam_from_world, scene.views[3].camera.cam_from_world, atol=1e-9
    )


def test_wrong_places_are_refused_in_words(tmp_path, capsys):
    assert main(["check", str(tmp_path / "absent")]) == 3
    assert "no such folder" in capsys.readouterr().err
    assert main(["check", str(tmp_path)]) == 3
    assert "no photos in this folder" in capsys.readouterr().err
