"""The picture that a page shows before viser's client runs."""

from __future__ import annotations

import gzip
import http.client
import io
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_viewer_support import BallModel, ball_content

from recon.model import RenderOptions
from recon.viewer.cameras import best_view, viewpoint_of
from recon.viewer.opening import CLIENT, HELD_CLIENT, PICTURE, SIZE
from recon.viewer.server import ServerOptions, ViewerServer
from recon.viewer.workspace import NamedModel, Workspace


def get(server: ViewerServer, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, dict(answer.headers), answer.read()


def test_it_is_what_is_seen_from_home(tmp_path: Path) -> None:
    content = ball_content(tmp_path)
    with ViewerServer(Workspace(content), ServerOptions(port=8620)) as server:
        status, headers, file = get(server, PICTURE)
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    shown = np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(float)
    scene = content.scene
    assert scene is not None
    home = best_view(scene)
    assert home is not None
    camera = viewpoint_of(home.camera, scene, aspect=1.4).camera(*SIZE)
    expected = content.models[0].model.render(camera, RenderOptions()).color * 255
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() < 3


def test_the_page_has_it_in_itself_once_it_is_made(tmp_path: Path) -> None:
    with ViewerServer(Workspace(ball_content(tmp_path)), ServerOptions(port=8620)) as server:
        get(server, PICTURE)
        _, headers, page = get(server, "/")
        assert int(headers["Content-Length"]) == len(page)
        assert b"data:image/jpeg;base64," in page
        assert CLIENT not in page
        assert page.count(HELD_CLIENT) == 1
        _, headers, zipped = get(server, "/", **{"Accept-Encoding": "gzip"})
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(zipped) == page


def test_a_page_before_the_model_asks_for_it_and_waits(tmp_path: Path) -> None:
    workspace = Workspace()
    with ViewerServer(workspace, ServerOptions(port=8620)) as server:
        _, _, page = get(server, "/")
        assert f'"{PICTURE}"'.encode() in page
        assert CLIENT in page, "the client is not held for what may never come"
        content = ball_content(tmp_path)
        workspace.update(lambda _: content)
        assert get(server, PICTURE)[0] == 200


def test_another_model_has_another_picture(tmp_path: Path) -> None:
    content = ball_content(tmp_path)
    workspace = Workspace(content)
    with ViewerServer(workspace, ServerOptions(port=8620)) as server:
        first = get(server, PICTURE)[2]
        dim = NamedModel("ball", "ball", BallModel(dim=0.3))
        workspace.update(lambda now: replace(now, models=(dim,)))
        assert b"data:image/jpeg" not in get(server, "/")[2], "not the old one"
        assert get(server, PICTURE)[2] != first


def test_without_a_model_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("recon.viewer.opening.PATIENCE", 0.3)
    with ViewerServer(Workspace(), ServerOptions(port=8620)) as server:
        assert get(server, PICTURE)[0] == 404
    broken = ball_content(tmp_path, BallModel())
    assert isinstance(broken.models[0].model, BallModel)
    broken.models[0].model.broken = True
    with ViewerServer(Workspace(broken), ServerOptions(port=8620)) as server:
        assert get(server, PICTURE)[0] == 404


def test_a_stopping_server_lets_those_go_who_wait() -> None:
    answers: list[int] = []
    with ViewerServer(Workspace(), ServerOptions(port=8620)) as server:
        waiting = threading.Thread(target=lambda: answers.append(get(server, PICTURE)[0]))
        waiting.start()
        time.sleep(0.3)
        assert waiting.is_alive()
        started = time.monotonic()
    waiting.join()
    assert answers == [404]
    assert time.monotonic() - started < 5.0
