"""Pixels that a mask leaves out: seen to be left out wherever a figure that lacks them stands."""

from __future__ import annotations

import asyncio
import base64
import io
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_viewer_page import page_data, render_photo
from test_viewer_support import BallModel, ball_content
from viewer_pages import gets_picture, hears, open_page

from recon.evaluate import evaluate
from recon.metrics import about_left_out, flip_installed, hatch
from recon.viewer.compare import ComparisonPicture, PhotoTask
from recon.viewer.error_pane import available_kinds, map_error
from recon.viewer.page import comparison_page
from recon.viewer.photos import Photos
from recon.viewer.request import Frame
from recon.viewer.server import ServerOptions, ViewerServer
from recon.viewer.workspace import Content, Workspace

NAME = "photo_08.png"
LEFT = slice(0, 40)
"""Columns, of 160, that the mask of that photo leaves out: somebody in white stood there."""


def masked_content(folder: Path) -> Content:
    content = ball_content(folder, BallModel(dim=0.9))
    view = content.view(NAME)
    assert view is not None
    assert content.scene is not None
    photo = np.array(Image.open(view.image_path).convert("RGB"))
    photo[:, LEFT] = 255
    Image.fromarray(photo).save(view.image_path)
    mask = np.full(photo.shape[:2], 255, np.uint8)
    mask[:, LEFT] = 0
    path = folder / "mask.png"
    Image.fromarray(mask).save(path)
    views = tuple(replace(v, mask_path=path) if v.name == NAME else v for v in content.scene.views)
    return replace(content, scene=replace(content.scene, views=views))


def comparison(content: Content, name: str = NAME) -> ComparisonPicture:
    photo = PhotoTask.load(content, name, Photos())
    assert photo is not None
    frame = Frame((content.models[0].model.render(photo.camera),), 1.0, True, 0.1, 1)
    return ComparisonPicture.at_photo(photo, content.models, frame).measured(photo, frame)


def is_hatched(picture: np.ndarray) -> bool:
    """Stripes of two greys and nothing else."""
    return bool((picture == picture[..., :1]).all()) and len(np.unique(picture)) == 2


@pytest.mark.parametrize("kind", available_kinds())
def test_no_error_is_drawn_where_nothing_counts(tmp_path: Path, kind: str) -> None:
    masked = comparison(masked_content(tmp_path))
    shown = masked.error(kind)  # type: ignore[arg-type]
    assert shown is not None
    assert is_hatched(shown.picture[:, LEFT])
    assert masked.truth is not None
    plain = map_error(kind, masked.rendered[0].image, masked.truth)  # type: ignore[arg-type]
    beside = slice(LEFT.stop + 20, None)  # FLIP looks at neighbours
    np.testing.assert_allclose(
        shown.picture[:, beside].astype(int), plain.picture[:, beside].astype(int), atol=1
    )
    assert not is_hatched(shown.picture[:, beside])


def test_the_error_that_is_shown_is_the_one_that_is_measured(tmp_path: Path) -> None:
    content = masked_content(tmp_path)
    picture = comparison(content)
    assert content.scene is not None
    expected = evaluate(BallModel(dim=0.9), content.scene, long_side=None).views[NAME]
    assert expected.masked
    score = picture.rendered[0].score
    assert score is not None
    assert (score.psnr, score.ssim) == (expected.psnr, expected.ssim)
    assert picture.truth is not None
    off = (picture.rendered[0].image.astype(float) - picture.truth) / 255
    seen = off[:, LEFT.stop :]  # all that is not hatched
    assert -10 * math.log10(np.square(seen).mean()) == pytest.approx(score.psnr, abs=0.1)  # 8 bits
    assert -10 * math.log10(np.square(off).mean()) < score.psnr - 3


def test_the_panes_say_and_show_what_is_left_out(tmp_path: Path) -> None:
    content = masked_content(tmp_path)
    picture = comparison(content)
    photo, render, error = picture.panes()
    assert render.title.endswith(", 25% masked")
    assert picture.truth is not None
    for pane, plain in ((photo, picture.truth), (render, picture.rendered[0].image)):
        np.testing.assert_array_equal(pane.image[:, LEFT.stop :], plain[:, LEFT.stop :])
        faded, stripes = pane.image[:, LEFT].astype(int), hatch(160, 120)[:, LEFT, None]
        assert np.abs(faded - (0.3 * plain[:, LEFT] + 0.7 * stripes)).max() <= 1
    assert is_hatched(error.image[:, LEFT])
    other = comparison(content, "photo_04.png").panes()
    assert all("masked" not in pane.title for pane in other)


@pytest.mark.skipif(not flip_installed(), reason="flip-evaluator is not installed")
def test_flip_is_the_mean_of_what_counts() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    render, counted = truth.copy(), np.ones((60, 80), np.bool_)
    counted[:, :30] = False
    render[:, :30] = 255 - truth[:, :30]
    shown = map_error("FLIP", render, truth, counted)
    assert shown.mean == 0, "nothing of what is left out spreads over the border"
    nothing = map_error("FLIP", render, truth, np.zeros_like(counted))
    assert nothing.mean == 0


@pytest.mark.parametrize(
    ("ignored", "said"),
    [(0, ""), (1, "1% masked"), (1200, "25% masked"), (4799, "99% masked"), (4800, "100% masked")],
)
def test_how_much_is_left_out_is_said(ignored: int, said: str) -> None:
    counted = np.ones(4800, np.bool_)
    counted[:ignored] = False
    assert about_left_out(counted.reshape(60, 80)) == said
    assert about_left_out(None) == ""


def test_a_mask_that_leaves_out_nothing_is_none(tmp_path: Path) -> None:
    content = masked_content(tmp_path)
    Image.new("L", (160, 120), 255).save(tmp_path / "mask.png")
    picture = comparison(content)
    assert picture.counted is None
    assert "masked" not in picture.panes()[1].title


def test_the_panel_says_so_beside_the_figures(tmp_path: Path) -> None:
    async def visit() -> bool:
        async with open_page(server.port) as page:
            assert await gets_picture(page)
            session = server.sessions[0]
            session.board.compare(NAME)
            session.refresh()
            return await hears(page, b"25% masked: hatched, and in no figure")

    with ViewerServer(Workspace(masked_content(tmp_path)), ServerOptions(port=8720)) as server:
        assert asyncio.run(visit())


def test_the_comparison_page_carries_the_mask(tmp_path: Path) -> None:
    data = page_data(comparison_page(masked_content(tmp_path), Photos(), render_photo))
    views = {view["name"]: view for view in data["views"]}
    assert views[NAME]["masked"] == "25% masked"
    head, _, text = views[NAME]["veil"].partition(",")
    assert head == "data:image/png;base64"
    veil = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
    assert veil.shape == (120, 160, 2)
    assert (veil[:, LEFT, 1] == 255).all()
    assert (veil[:, LEFT.stop :, 1] == 0).all()
    assert views["photo_04.png"]["veil"] is None
    assert views["photo_04.png"]["masked"] == ""


@pytest.mark.browser
def test_the_comparison_page_shows_the_mask(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    file = tmp_path / "comparison.html"
    page = comparison_page(masked_content(tmp_path), Photos(), render_photo)
    file.write_text(page, encoding="utf-8")

    def shown(pane: object) -> np.ndarray:
        picture = Image.open(io.BytesIO(pane.screenshot()))  # type: ignore[attr-defined]
        return np.asarray(picture.convert("RGB")).astype(int)[100:-2]  # below the caption

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1100, "height": 500})
        problems: list[str] = []
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto(file.as_uri())
        tab.get_by_text(NAME).first.click()
        panes = tab.locator(".pane")
        assert "25% masked" in panes.nth(1).inner_text()
        assert "25% masked: hatched, and in no figure" in tab.locator("#facts").inner_text()
        for _ in available_kinds():
            error = shown(panes.last)
            inside = error[:, 4 : error.shape[1] // 4 - 4]
            assert np.ptp(inside, axis=2).max() <= 2, "grey: no error is coloured there"
            assert 60 < inside.mean() < 125
            tab.keyboard.press("e")
        photo = shown(panes.first)
        inside = photo[:, 4 : photo.shape[1] // 4 - 4]
        assert inside.max() < 180, "white is dimmed"
        # The magnifier shows the same.
        box = panes.last.bounding_box()
        assert box is not None
        tab.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.7 * box["height"])
        lens = shown(panes.last)[:, : photo.shape[1] // 8]
        assert np.ptp(lens, axis=2).max() <= 2
        tab.get_by_role("button", name="Split").click()
        assert tab.locator(".pane img").count() == 3
        tab.get_by_text("photo_04.png").first.click()
        assert tab.locator(".pane img").count() == 2
        assert "masked" not in tab.locator("body").inner_text()
        tab.get_by_role("button", name="Panes").click()
        tab.set_viewport_size({"width": 390, "height": 800})
        below = tab.evaluate("document.querySelector('header').getBoundingClientRect().bottom")
        above = tab.evaluate("document.querySelector('#views').getBoundingClientRect().top")
        first, last = panes.first.bounding_box(), panes.last.bounding_box()
        assert first is not None
        assert last is not None
        assert below <= first["y"]
        assert last["y"] + last["height"] <= above + 1
        browser.close()
    assert problems == []
