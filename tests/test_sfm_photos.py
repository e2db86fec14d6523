"""Decoding and undistorting photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sfm_photos import photo_of, pixel_grid

from recon.capture.types import Photo
from recon.formats.lens import Lens
from recon.sfm.photos import open_upright, png_note, save_png, work_size, write_work_copy
from recon.sfm.undistort import pinhole_of, plan, undistort


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(tmp_path, orientation):
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:10, :20] = 255
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    stored = Image.fromarray(np.ascontiguousarray(undo(upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "p.png"
    stored.save(path, exif=exif)
    size = (60, 40)
    photo = Photo("p.png", path, *size, orientation, None, "", False, "0" * 64)
    assert np.array_equal(np.asarray(open_upright(photo)), upright)


def test_sixteen_bit_photos_keep_their_range(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    path = tmp_path / "deep.png"
    Image.fromarray(ramp).save(path)
    photo = Photo("deep.png", path, 64, 48, 1, None, "", False, "0" * 64)
    got = np.asarray(open_upright(photo))
    assert got.shape == (48, 64, 3)
    assert np.abs(got[..., 0].astype(float) - ramp / 257).max() <= 1


def test_working_copies_are_small_upright_and_composited(tmp_path):
    image = Image.new("RGBA", (400, 200), (255, 0, 0, 0))
    photo = photo_of(tmp_path / "p.png", image)
    size = work_size(photo, 100)
    assert size == (100, 50)
    write_work_copy(photo, tmp_path / "w.jpg", size, (1.0, 1.0, 1.0))
    copy = Image.open(tmp_path / "w.jpg")
    assert (copy.size, copy.getpixel((50, 25))) == ((100, 50), (255, 255, 255))
    assert work_size(photo, 4000) == (400, 200)


def test_notes_in_pngs(tmp_path):
    save_png(Image.new("RGB", (4, 4)), tmp_path / "a.png", note="hello")
    assert png_note(tmp_path / "a.png") == "hello"
    assert png_note(tmp_path / "none.png") is None
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
    assert png_note(tmp_path / "bad.png") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "bad.png"]


def invert(lens: Lens, pixels: np.ndarray) -> np.ndarray:
    """Rays (x/z, y/z) of pixels (..., 2), by fixed-point iteration."""
    focal, centre = np.array([lens.fx, lens.fy]), np.array([lens.cx, lens.cy])
    rays = (pixels - centre) / focal
    for _ in range(100):
        rays = rays + (pixels - lens.pixels_from_rays(rays)) / focal
    return rays


def pattern(rays: np.ndarray) -> np.ndarray:
    """A smooth picture (..., 3) uint8 as a function of the viewing ray."""
    x, y = rays[..., 0], rays[..., 1]
    waves = [np.sin(9 * x + 1), np.cos(8 * y), np.sin(6 * (x + y))]
    return np.clip(np.stack(waves, axis=-1) * 100 + 128, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "lens",
    [
        Lens(360, 240, 300.0, 305.0, 185.0, 118.0),
        Lens(360, 240, 300.0, 305.0, 185.0, 118.0, k=(-0.25, 0.06, 0, 0, 0, 0), p=(2e-3, -1e-3)),
        Lens(360, 240, 300.0, 305.0, 185.0, 118.0, k=(0.2, 0.05, 0, 0, 0, 0)),
        Lens(360, 240, 200.0, 200.0, 180.0, 120.0, k=(0.02, -0.01, 0, 0, 0, 0), fisheye=True),
    ],
    ids=["pinhole", "barrel", "pincushion", "fisheye"],
)
@pytest.mark.parametrize("long_side", [None, 180])
def test_undistorted_images_show_what_a_pinhole_would_see(tmp_path, lens, long_side):
    if lens.distorted:
        pixels = pattern(invert(lens, pixel_grid(360, 240)))
    else:
        pixels = pattern((pixel_grid(360, 240) - (lens.cx, lens.cy)) / (lens.fx, lens.fy))
    photo = photo_of(tmp_path / "p.png", Image.fromarray(pixels))
    job = plan(photo, lens, np.eye(4), long_side, tmp_path / "out")
    undistort(job)
    camera = job.camera
    assert (camera.width, camera.height) == ((360, 240) if long_side is None else (180, 120))
    rays = (pixel_grid(camera.width, camera.height) - (camera.cx, camera.cy)) / (
        camera.fx,
        camera.fy,
    )
    got = np.asarray(Image.open(job.path)).astype(float)
    error = np.abs(got - pattern(rays))
    assert error.mean() < 1.0
    # Also at the border: nothing black, nothing smeared.
    assert error.max() < 12.0


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-0.3, 0.3),
    st.floats(-0.1, 0.1),
    st.floats(-5e-3, 5e-3),
    st.floats(0.4, 0.6),
    st.booleans(),
)
def test_every_pixel_of_the_pinhole_has_a_source_and_none_is_wasted(k1, k2, p1, cx, fisheye):
    lens = Lens(
        640,
        480,
        600.0,
        600.0,
        640 * cx,
        240.0,
        (k1, k2, 0, 0, 0, 0),
        (0.0 if fisheye else p1, 0.0),
        fisheye,
    )
    hole = pinhole_of(lens)
    assert (hole.width, hole.height, hole.cx, hole.cy) == (640, 480, lens.cx, lens.cy)
    corners = np.stack(np.meshgrid(np.linspace(0, 640, 41), np.linspace(0, 480, 31)), axis=-1)
    rays = (corners - (hole.cx, hole.cy)) / (hole.fx, hole.fy)
    source = lens.pixels_from_rays(rays)
    assert source.min() >= -1e-9
    assert np.all(source <= (640 + 1e-9, 480 + 1e-9))


def test_fox_is_halved_exactly():
    lens = Lens(1080, 1920, 1375.5, 1374.5, 554.6, 965.3, k=(0.06, -0.08, 0, 0, 0, 0))
    photo = Photo("0001.jpg", Path("0001.jpg"), 1080, 1920, 1, None, "", False, "0" * 64)
    job = plan(photo, lens, np.eye(4), 960, Path("images"))
    assert (job.camera.width, job.camera.height) == (540, 960)
    assert job.path == Path("images/0001.jpg.png")


def test_an_undistorted_photo_of_the_right_size_keeps_its_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8)
    photo = photo_of(tmp_path / "p.png", Image.fromarray(pixels))
    job = plan(photo, Lens(64, 48, 50, 50, 32, 24), np.eye(4), 64, tmp_path)
    undistort(job)
    assert np.array_equal(np.asarray(Image.open(job.path)), pixels)


def test_transparent_pixels_do_not_tint_the_edges(tmp_path):
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, 32:] = (200, 100, 50, 255)
    pixels[:, :32] = (0, 255, 0, 0)
    photo = photo_of(tmp_path / "p.png", Image.fromarray(pixels))
    lens = Lens(64, 64, 60, 60, 32, 32, k=(0.1, 0, 0, 0, 0, 0))
    job = plan(photo, lens, np.eye(4), 21, tmp_path)
    undistort(job)
    out = np.asarray(Image.open(job.path)).astype(int)
    mixed = out[out[..., 3] > 8]
    assert np.abs(mixed[:, :3] - (200, 100, 50)).max() <= 16
    assert set(np.unique(out[:, :5, 3])) == {0}


def test_a_finished_image_is_not_made_again(tmp_path):
    photo = photo_of(tmp_path / "p.png", Image.new("RGB", (64, 48), (10, 20, 30)))
    lens = Lens(64, 48, 50, 50, 32, 24)
    first = plan(photo, lens, np.eye(4), 32, tmp_path / "out")
    undistort(first)
    stamp = first.path.stat().st_mtime_ns
    undistort(first)
    assert first.path.stat().st_mtime_ns == stamp
    undistort(plan(photo, lens, np.eye(4), 16, tmp_path / "out"))
    assert Image.open(first.path).size == (16, 12)
