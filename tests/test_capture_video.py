"""Videos and zips as scenes."""

from __future__ import annotations

import contextlib
import io
import json
import re
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from recon.capture import load_capture
from recon.capture.motion import WIDEST, FrameFacts, MotionMeter, choose_frames, sharpness
from recon.capture.unfold import NOTE_FILE
from recon.errors import CaptureError, FormatError, ReconError

STUDIO = Path(__file__).resolve().parents[1] / "scenes" / "studio" / "images"
WIDTH, HEIGHT = 320, 240
FRAMES, PAUSE, SHAKE = 90, range(30, 50), range(5, 90, 10)


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=15)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for pixels in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A pan over a photo that rests in the middle; some frames are smeared."""
    photo = Image.open(STUDIO / "000.jpg").convert("RGB").resize((1280, 960))
    frames, x = [], 0.0
    for index in range(FRAMES):
        x += 0.0 if index in PAUSE else 8.0
        crop = np.asarray(photo.crop((round(x), 200, round(x) + WIDTH, 200 + HEIGHT)), dtype=float)
        if index in SHAKE or index - 1 in SHAKE:
            crop = np.mean([np.roll(crop, shift, axis=1) for shift in range(12)], axis=0)
        frames.append(crop.astype(np.uint8))
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, frames)
    return path


@pytest.fixture(scope="module")
def taken(clip) -> list[int]:
    capture = load_capture(clip)
    return [int(photo.name[6:12]) for photo in capture.photos]


def test_chosen_frames_are_sharp_and_spread_by_motion(taken):
    smeared = [i for i in taken if i in SHAKE or i - 1 in SHAKE]
    even = np.linspace(0, FRAMES - 1, len(taken)).round().astype(int)
    assert len(smeared) < sum(i in SHAKE or i - 1 in SHAKE for i in even)
    assert not smeared
    assert sum(i in PAUSE for i in taken) <= 2
    # Eight pixels a frame: nowhere are more than two stretches of motion skipped.
    moving = [i if i < PAUSE.start else max(PAUSE.start, i - len(PAUSE)) for i in taken]
    assert max(np.diff(moving)) * 8 <= 2.5 * (70 * 8 / len(taken))


def test_a_video_unfolds_once_and_says_what_was_taken(clip, taken):
    folder = clip.with_name("clip-scene")
    first = {p.name: p.stat().st_mtime_ns for p in (folder / "images").iterdir()}
    capture = load_capture(clip)
    assert {p.name: p.stat().st_mtime_ns for p in (folder / "images").iterdir()} == first
    assert len(capture.photos) == len(taken)
    assert re.match(rf"took \d+ of the {FRAMES} frames of clip.mp4", capture.notices[0])
    assert (capture.photos[0].width, capture.photos[0].height) == (WIDTH, HEIGHT)


def test_motion_is_that_of_the_picture():
    photo = np.asarray(Image.open(STUDIO / "003.jpg").convert("L"), dtype=np.float32)
    meter = MotionMeter()
    moved = [meter(photo[100:300, x : x + 240]) for x in (100, 100, 106, 118)]
    assert moved == pytest.approx([0, 0, 6 / 240, 12 / 240], abs=0.002)
    assert sharpness(photo) > sharpness(np.full((50, 50), 7, np.float32)) == 0.0


def test_a_slow_drift_is_motion_and_a_trembling_hand_is_none():
    photo = Image.open(STUDIO / "003.jpg").convert("L")

    def moved(places: list[float]) -> float:
        meter = MotionMeter()
        crops = (photo.transform((240, 180), Image.Transform.AFFINE, (1, 0, 100 + x, 0, 1, 90),
                                 Image.Resampling.BICUBIC) for x in places)  # fmt: skip
        return sum(meter(np.asarray(crop, dtype=np.float32)) for crop in crops)

    # A quarter of a pixel a frame, as a slow walk at 60 frames a second gives.
    assert moved([0.25 * i for i in range(160)]) == pytest.approx(40 / 240, rel=0.1)
    assert moved([0.4 * (-1) ** i for i in range(160)]) < 2 / 240


def test_frames_are_sharper_than_evenly_spaced_ones_at_any_pace():
    """Slow and hasty by turns, with jolts: a frame is smeared by as much as the camera moves."""
    rng = np.random.default_rng(3)
    time = np.arange(600) / 30
    motion = 0.009 * (1 + 0.85 * np.sin(2 * np.pi * time / 5)) * rng.uniform(0.4, 1.6, 600)
    motion[200:260] = 0.0
    smear = motion * 1920 * 0.5
    frames = [FrameFacts(i, 1 / (1 + smear[i]), motion[i]) for i in range(600)]
    chosen = choose_frames(frames, 120)
    even = np.linspace(0, 599, len(chosen)).round().astype(int)
    assert np.mean(smear[chosen]) < 0.9 * np.mean(smear[even])
    assert sum(200 <= i < 260 for i in chosen) <= 2
    # Two that follow each other are at most two stretches apart: two thirds are seen in both.
    assert np.diff(np.cumsum(motion)[chosen]).max() <= 2 * WIDEST


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), max_size=60), st.integers(1, 40))
def test_any_video_gives_few_frames_in_order(facts, most):
    frames = [FrameFacts(i, sharp, motion) for i, (sharp, motion) in enumerate(facts)]
    chosen = choose_frames(frames, most)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= most
    assert bool(chosen) == bool(frames)


def test_a_camera_at_rest_and_broken_videos_are_refused_with_words(tmp_path, clip):
    still = np.asarray(Image.open(STUDIO / "001.jpg").convert("RGB").resize((WIDTH, HEIGHT)))
    write_video(tmp_path / "still.mp4", [still] * 20)
    with pytest.raises(CaptureError, match="does not move"):
        load_capture(tmp_path / "still.mp4")
    for name, data in (("empty.mp4", b""), ("noise.mov", b"\x00\x00\x00\x18ftypmp42" + bytes(500))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FormatError, match=r"cannot be read|no picture"):
            load_capture(tmp_path / name)
    with pytest.raises(CaptureError, match="no such file"):
        load_capture(tmp_path / "absent.mp4")


def test_other_things_are_not_overwritten(tmp_path, clip):
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "clip-scene").mkdir()
    (tmp_path / "clip-scene" / "thesis.txt").write_text("precious")
    with pytest.raises(CaptureError, match="in the way"):
        load_capture(tmp_path / "clip.mp4")
    assert (tmp_path / "clip-scene" / "thesis.txt").read_text() == "precious"


def test_a_folder_with_nothing_but_a_video_says_how_to_use_it(tmp_path, clip):
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    with pytest.raises(CaptureError, match=r"give the video itself: .*clip\.mp4"):
        load_capture(tmp_path)


@pytest.fixture(scope="module")
def short_video(tmp_path_factory) -> bytes:
    photo = np.asarray(Image.open(STUDIO / "002.jpg").convert("RGB"))
    path = tmp_path_factory.mktemp("short") / "s.mp4"
    write_video(path, [photo[:160, x : x + 160] for x in range(0, 96, 12)])
    return path.read_bytes()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mangled_videos_never_end_in_a_traceback(short_video, tmp_path_factory, data):
    content = bytearray(short_video)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    path = tmp_path_factory.mktemp("mangled") / "v.mp4"
    path.write_bytes(bytes(content))
    # The type is what matters: any other error fails the test.
    with contextlib.suppress(ReconError):
        assert load_capture(path).photos


def make_zip(path: Path, files: dict[str, bytes], **how) -> Path:
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def photos(write_photo, tmp_path) -> dict[str, bytes]:
    return {f"{i}.jpg": write_photo(tmp_path / "p" / f"{i}.jpg", i).read_bytes() for i in range(4)}


def test_a_zip_of_a_folder_is_a_scene(tmp_path, photos):
    files = {f"garden/images/{name}": content for name, content in photos.items()}
    files |= {"garden/readme.md": b"x", "__MACOSX/garden/images/._0.jpg": b"x"}
    path = make_zip(tmp_path / "garden.zip", files)
    capture = load_capture(path)
    assert [photo.name for photo in capture.photos] == sorted(photos)
    assert not (tmp_path / "garden-scene" / "readme.md").exists()
    assert json.loads((tmp_path / "garden-scene" / NOTE_FILE).read_text())["key"]


@pytest.mark.parametrize("name", ["../out.jpg", "/etc/out.jpg", "a/../../out.jpg", "C:\\out.jpg"])
def test_members_that_lead_out_are_refused(tmp_path, photos, name):
    with pytest.raises(FormatError, match="leads out"):
        load_capture(make_zip(tmp_path / "evil.zip", {**photos, name: b"x"}))
    assert not list(tmp_path.rglob("out.jpg"))


def test_bombs_links_and_lies_are_refused(tmp_path, photos):
    bomb = make_zip(
        tmp_path / "bomb.zip", {"a.png": bytes(201 << 20)}, compression=zipfile.ZIP_DEFLATED
    )
    with pytest.raises(FormatError, match="when unpacked"):
        load_capture(bomb)
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    path = make_zip(tmp_path / "link.zip", photos)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert len(load_capture(path).photos) == 4
    data = bytearray(make_zip(tmp_path / "lie.zip", photos).read_bytes())
    at = data.index(b"PK\x01\x02") + 24  # the first member's size in the directory
    data[at : at + 4] = (5).to_bytes(4, "little")
    (tmp_path / "lie.zip").write_bytes(data)
    with pytest.raises(FormatError):
        load_capture(tmp_path / "lie.zip")


def test_a_directory_that_points_before_the_file_is_refused(tmp_path, photos):
    data = bytearray(make_zip(tmp_path / "before.zip", photos).read_bytes())
    at = data.index(b"PK\x05\x06") + 16  # where the directory claims to begin
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "little") + 64).to_bytes(4, "little")
    (tmp_path / "before.zip").write_bytes(data)
    with pytest.raises(FormatError, match="not where it should be"):
        load_capture(tmp_path / "before.zip")


def test_a_zip_without_photos_and_no_zip_are_told_apart(tmp_path):
    with pytest.raises(CaptureError, match="no photos in this archive"):
        load_capture(make_zip(tmp_path / "texts.zip", {"a.txt": b"x"}))
    (tmp_path / "no.zip").write_bytes(b"not a zip")
    with pytest.raises(FormatError, match="cannot be read"):
        load_capture(tmp_path / "no.zip")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mangled_zips_never_end_in_a_traceback(tmp_path_factory, data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/b.jpg", b"x" * 50)
        archive.writestr("a/c.jpg", b"y" * 50)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("zip") / "z.zip"
    path.write_bytes(bytes(content))
    with pytest.raises(ReconError):
        load_capture(path)
