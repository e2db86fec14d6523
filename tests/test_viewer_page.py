"""The comparison page: one HTML file that holds photos, renders, errors and figures itself."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_viewer_support import BallModel, ball_content

from recon.errors import OptionError
from recon.metrics import ERROR_FULL_SCALE, flip_installed, flip_map
from recon.model import RenderOutput
from recon.viewer import error_pane, page
from recon.viewer.compare import PhotoTask
from recon.viewer.error_pane import available_kinds, map_error
from recon.viewer.images import resize_rgb, to_rgb8
from recon.viewer.page import NO_FLIP, comparison_page
from recon.viewer.photos import Photos
from recon.viewer.workspace import Content, NamedModel


def page_data(page: str) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def picture_of(address: str) -> np.ndarray:
    head, _, text = address.partition(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))).astype(float)


def render_photo(named: NamedModel, photo: PhotoTask) -> RenderOutput:
    return named.model.render(photo.camera)


def test_the_page_holds_everything_itself(tmp_path: Path) -> None:
    content = replace(ball_content(tmp_path), title="ball </script><b>")
    text = comparison_page(content, Photos(), render_photo)
    data = page_data(text)
    psnrs = [view["renders"][0]["psnr"] for view in data["views"]]
    assert psnrs == sorted(psnrs)
    assert len(psnrs) == 3
    assert all(view["held_out"] for view in data["views"])
    assert picture_of(data["views"][0]["renders"][0]["image"]).shape == (120, 160, 3)
    assert not re.search(r'(src|href)="?https?:', text), "nothing is fetched"
    assert "<b>" not in text


def test_the_page_holds_every_kind_of_error(tmp_path: Path) -> None:
    content = ball_content(tmp_path, BallModel(dim=0.9))
    data = page_data(comparison_page(content, Photos(), render_photo))
    names = [kind["name"] for kind in data["kinds"]]
    assert names == ["Absolute", "Lighter, darker", *(["FLIP"] if flip_installed() else [])]
    view = data["views"][0]
    photo = PhotoTask.load(content, view["name"], Photos())
    assert photo is not None
    image = to_rgb8(content.models[0].model.render(photo.camera).color)
    difference = (image.astype(float) - photo.truth) / 255 / ERROR_FULL_SCALE
    expected = {
        "Absolute": np.minimum(np.abs(difference).mean(-1), 1),
        "Lighter, darker": 0.5 + 0.5 * np.clip(difference.mean(-1), -1, 1),
    }
    if flip_installed():
        expected["FLIP"] = flip_map(image, photo.truth)
    errors = view["renders"][0]["errors"]
    assert len(errors) == len(names)
    for name, error in zip(names, errors, strict=True):
        stored = picture_of(error["map"])
        assert stored.shape == (120, 160), "grey: the page colours it"
        assert np.sqrt(np.square(stored / 255 - expected[name]).mean()) < 0.03, name
    if flip_installed():
        assert errors[-1]["title"] == f"FLIP {expected['FLIP'].mean():.3f}"


@pytest.mark.browser
def test_the_page_colours_its_maps_as_the_viewer_does(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    content = ball_content(tmp_path, BallModel(dim=0.8))
    file = tmp_path / "comparison.html"
    file.write_text(comparison_page(content, Photos(), render_photo), encoding="utf-8")
    photo = PhotoTask.load(content, "photo_08.png", Photos())
    assert photo is not None
    image = to_rgb8(content.models[0].model.render(photo.camera).color)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1100, "height": 500})
        problems: list[str] = []
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto(file.as_uri())
        assert "photo_08.png" in tab.locator("#facts").inner_text(), "the worst one first"
        for kind in available_kinds():
            tab.locator("#kind").select_option(label=kind)
            assert kind in tab.locator("#about").inner_text()
            pane = tab.locator(".pane").last
            expected = map_error(kind, image, photo.truth)
            assert expected.title in pane.inner_text()
            png = pane.screenshot()
            shown = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
            drawn = resize_rgb(expected.picture, shown.shape[1], shown.shape[0])
            below = shown.shape[0] // 4  # of the caption
            apart = np.abs(shown[below:].astype(float) - drawn[below:])
            assert apart.mean() < 6, kind
            assert drawn[below:].std() > 10, "a picture that could be told from a blank one"
        tab.locator("#stage").click()
        tab.keyboard.press("e")
        assert tab.locator("#kind").input_value() == "0", "round the end"
        browser.close()
    assert problems == []


def test_a_page_without_flip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = ball_content(tmp_path)
    if flip_installed():
        assert page_data(comparison_page(content, Photos(), render_photo))["missing"] == ""
    monkeypatch.setattr(error_pane, "flip_installed", lambda: False)
    monkeypatch.setattr(page, "flip_installed", lambda: False)
    data = page_data(comparison_page(content, Photos(), render_photo))
    assert [kind["name"] for kind in data["kinds"]] == ["Absolute", "Lighter, darker"]
    assert all(len(r["errors"]) == 2 for view in data["views"] for r in view["renders"])
    assert data["missing"] == NO_FLIP
    assert "pip install" in NO_FLIP


def test_a_page_of_nothing_is_refused() -> None:
    with pytest.raises(OptionError):
        comparison_page(Content("ready", ""), Photos(), render_photo)
