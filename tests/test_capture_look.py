"""Sharpness, exposure and copies, judged from pixels."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from recon.capture import load_capture
from recon.capture.look import LOOK_SIDE, look_at, resemblance

STUDIO = Path(__file__).resolve().parents[1] / "scenes" / "studio" / "images"


@pytest.fixture(scope="module")
def edges() -> Image.Image:
    """A chessboard, LOOK_SIDE wide, slightly turned: perfectly sharp but for its anti-aliasing."""
    y, x = np.mgrid[:600, :LOOK_SIDE].astype(float)
    across, down = x + 0.1 * y, y - 0.1 * x

    def square(t: np.ndarray) -> np.ndarray:
        return np.clip(50 - np.abs(t % 200 - 100), -0.5, 0.5)

    return Image.fromarray((128 + 400 * square(across) * square(down)).astype(np.uint8))


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_the_blur_of_known_gaussians_is_found(edges, sigma):
    blurred = edges.filter(ImageFilter.GaussianBlur(sigma))
    assert look_at(blurred).blur == pytest.approx(sigma, rel=0.25)
    assert look_at(edges).blur < 0.8


def test_motion_in_one_direction_counts_in_full(edges):
    pixels = np.asarray(edges, dtype=float)
    moved = np.mean([np.roll(pixels, shift, axis=1) for shift in range(15)], axis=0)
    # A box of 15 pixels has a standard deviation of 4.3; that it is no Gaussian shows.
    assert 3.0 < look_at(Image.fromarray(moved.astype(np.uint8))).blur < 8.0


def test_real_photos_are_sharp_and_half_the_light_is_one_stop_less():
    photo = Image.open(STUDIO / "000.jpg").convert("RGB")
    assert look_at(photo).blur < 1.2
    linear = (np.asarray(photo) / 255.0) ** 2.2
    darker = Image.fromarray(np.round(255 * (0.5 * linear) ** (1 / 2.2)).astype(np.uint8))
    stops = look_at(darker).brightness - look_at(photo).brightness
    assert stops == pytest.approx(-1.0, abs=0.05)


def test_a_blank_photo_has_no_blur_to_speak_of():
    look = look_at(Image.new("RGB", (300, 200), (255, 255, 255)))
    assert math.isnan(look.blur)
    assert look.bright == 1.0


def test_copies_saved_again_are_left_out_and_named(tmp_path):
    for index in range(6):
        photo = Image.open(STUDIO / f"{index:03d}.jpg").convert("RGB")
        photo.save(tmp_path / f"{index}.jpg", quality=95)
    photo.save(tmp_path / "5_sent.jpg", quality=70)
    photo.resize((320, 240)).save(tmp_path / "4_small.jpg", quality=90)
    capture = load_capture(tmp_path)
    assert [p.name for p in capture.photos] == [f"{index}.jpg" for index in range(6)]
    assert {s.name for s in capture.skipped} == {"5_sent.jpg", "4_small.jpg"}
    assert all(s.copy and "5.jpg" in s.reason for s in capture.skipped)


def test_mirror_images_of_other_photos_are_left_out(tmp_path):
    for index in range(4):
        photo = Image.open(STUDIO / f"{index:03d}.jpg").convert("RGB")
        photo.save(tmp_path / f"{index}.jpg", quality=95)
        ImageOps.mirror(photo).save(tmp_path / f"{index}_selfie.jpg", quality=85)
    capture = load_capture(tmp_path)
    assert [p.name for p in capture.photos] == [f"{index}.jpg" for index in range(4)]
    assert capture.skipped[2].reason == "is the mirror image of 2.jpg"


def test_plain_photos_are_no_copies_of_each_other(tmp_path):
    for index in range(4):
        Image.new("RGB", (64, 48), (100 + index,) * 3).save(tmp_path / f"{index}.png")
    assert len(load_capture(tmp_path).photos) == 4


def test_resemblance_outlasts_exposure_and_tells_photos_apart():
    photo, other = (Image.open(STUDIO / f"{index:03d}.jpg") for index in (0, 20))
    look = look_at(photo)
    assert resemblance(look, look_at(photo.point(lambda v: v // 2))) > 0.98
    assert resemblance(look, look_at(other)) < 0.75
    assert resemblance(look, look_at(Image.new("L", (64, 48)))) is None
    assert resemblance(look, replace(look, sketch="")) is None
    with pytest.raises(ValueError, match="sketch"):
        replace(look, sketch="00ff")
