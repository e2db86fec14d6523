"""What the viewer reads of a run, and how it serves: scores, photos, errors, ports."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_viewer_support import ball_content, ball_scene

from recon.errors import OptionError, RunDirError
from recon.viewer.overlays import frustum_scale
from recon.viewer.photos import Photos
from recon.viewer.run import (
    eval_long_side,
    greeting,
    load_in_background,
    read_curve,
    read_scores,
)
from recon.viewer.server import ServerOptions, ViewerServer, free_port, is_loopback
from recon.viewer.workspace import Content, Workspace

# Content.


def test_scores_are_read_and_rubbish_is_left_out() -> None:
    good = {
        "psnr": 27.5, "ssim": 0.9, "train_seconds": 60, "splats": 1000, "width": 54, "height": 96,
        "views": {"a.jpg": {"psnr": 27.0, "ssim": 0.88}},
    }  # fmt: skip
    unmeasured = {**good, "psnr": None, "ssim": None, "views": {}}
    rows = read_scores({"splat": good, "bad": {"psnr": "x"}, "worse": 3, "none": unmeasured})
    assert [row.method for row in rows] == ["splat"]
    assert rows[0].views["a.jpg"].psnr == 27.0
    assert rows[0].size == 1000


def test_photos_of_several_sizes_are_compared_at_the_sizes_that_were_measured() -> None:
    """Most photos are small, and none of them is enlarged: the large ones must not shrink."""
    small, large = {"width": 64, "height": 48}, {"width": 72, "height": 96}
    entry = {**small, "views": {"a": small, "b": small, "c": large, "d": 7, "e": {}}}
    assert eval_long_side({"splat": entry, "bad": 3, "worse": {"views": []}}) == 96
    assert eval_long_side({"splat": {**small, "views": {}}}) is None


def test_scores_without_training_time_are_kept() -> None:
    rows = read_scores({"splat": {"psnr": 27.5, "ssim": 0.9, "splats": 10, "views": {}}})
    assert rows[0].train_seconds is None


def test_curves_are_read() -> None:
    events = [
        {"type": "step", "step": 10, "loss": 0.2},
        {"type": "eval", "step": 20, "psnr": 21.0},
        {"type": "notice", "step": 20, "text": "x"},
    ]
    curve = read_curve(events)
    assert (curve.steps, curve.losses, curve.eval_steps, curve.psnrs) == (
        (10,), (0.2,), (20,), (21.0,),
    )  # fmt: skip


def test_photos_are_kept_and_unreadable_ones_are_grey(tmp_path: Path) -> None:
    scene = ball_scene(tmp_path, count=2)
    view, photos = scene.views[0], Photos(keep=1)
    first = photos.at(view, view.camera, scene)
    assert photos.at(view, view.camera, scene) is first
    view.image_path.write_bytes(b"not a picture")
    assert len(np.unique(photos.thumbnail(view, scene))) == 1


def test_frustums_are_small_beside_their_distance(tmp_path: Path) -> None:
    scene = ball_scene(tmp_path)
    assert 0.02 <= frustum_scale(scene) <= 0.2
    assert frustum_scale(replace(scene, views=scene.views[:1])) > 0


def test_loading_errors_are_told(tmp_path: Path) -> None:
    def broken(_: Path) -> Content:
        raise RunDirError("no model here", remedy="train one")

    def bug(_: Path) -> Content:
        raise KeyError("oops")

    for load, said in ((broken, "train one"), (bug, "oops")):
        workspace = Workspace()
        load_in_background(workspace, tmp_path, load).join(5)
        assert workspace.content.phase == "failed"
        assert said in workspace.content.note


def test_loading_keeps_the_title(tmp_path: Path) -> None:
    workspace = Workspace(Content(title="fox"))
    load_in_background(workspace, tmp_path, lambda _: ball_content(tmp_path)).join(5)
    assert (workspace.content.phase, workspace.content.title) == ("ready", "fox")


# Serving.


def test_a_port_in_use_moves_to_the_next() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with ViewerServer(Workspace(), ServerOptions(port=port)) as server:
            assert server.port > port
            said = "\n".join(greeting(server))
            assert f"Port {port} is in use" in said
            assert f"http://127.0.0.1:{server.port}" in said
            assert "Warning" not in said


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(OptionError, match="cannot listen"):
        free_port("192.0.2.1", 8080)
    with pytest.raises(OptionError, match="not known"):
        free_port("no.such.host.invalid", 8080)


def test_nothing_is_printed_while_serving(capsys: pytest.CaptureFixture[str]) -> None:
    ViewerServer(Workspace(), ServerOptions(port=8500)).stop()
    captured = capsys.readouterr()
    assert captured.out == ""


def test_strangers_are_warned_of() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("my-machine")
    with ViewerServer(Workspace(), ServerOptions(host="0.0.0.0", port=8500)) as server:
        said = "\n".join(greeting(server))
    assert "no password" in said
