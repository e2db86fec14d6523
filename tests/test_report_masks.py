"""What a mask leaves out of the figures is seen in the report to be left out."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_cases import VIEWS, make_run, read_page, with_mask

from recon.report.data import read_run
from recon.report.pictures import NO_MASK, Picture, PicturedView, picture_views


def pixels(picture: Picture | None) -> np.ndarray:
    assert picture is not None
    file = io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def pictured(run: Path, name: str) -> PicturedView:
    return next(view for view in picture_views(read_run(run)) if view.name == name)


def test_no_error_is_drawn_where_nothing_counts(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", VIEWS)
    plain = pictured(run, "b.jpg")
    with_mask(run, "b.jpg", 30)
    view = pictured(run, "b.jpg")
    (rendered,), (before,) = view.rendered, plain.rendered
    inside, beside = np.s_[:, :26], np.s_[:, 34:]  # not at the border: codecs blur it
    error = pixels(rendered.error)
    assert np.ptp(error[inside], axis=2).mean() < 4, "grey: no error is coloured there"
    assert np.ptp(pixels(before.error)[inside], axis=2).mean() > 50
    assert np.abs(error[beside] - pixels(before.error)[beside]).mean() < 8
    for shown, was in ((view.truth, plain.truth), (rendered.render, before.render)):
        assert pixels(shown)[inside].std() < 0.5 * pixels(was)[inside].std()
        assert pixels(shown)[beside].std() > 0.9 * pixels(was)[beside].std()


def test_the_page_says_what_is_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", VIEWS)
    assert "masked" not in read_page(run).words
    with_mask(run, "b.jpg", 30)
    words = read_page(run).words
    assert "PSNR 21.00 dB · SSIM 0.500 · 50% masked" in words
    assert words.count("50% masked") == 1
    assert "b.jpg (masked)" in words
    assert "masked: in no figure" in words
    assert "A mask leaves pixels out of 1 photo" in words


@pytest.mark.parametrize("how", ["missing", "broken", "no scene"])
def test_a_mask_that_cannot_be_read_is_told(tmp_path: Path, how: str) -> None:
    run = make_run(tmp_path / "run", VIEWS)
    mask = with_mask(run, "b.jpg", 30)
    if how == "no scene":
        (run / "scene.json").unlink()
    elif how == "broken":
        mask.write_bytes(b"no picture")
    else:
        mask.unlink()
    assert NO_MASK in read_page(run).words
