"""Metashape's XML: its own camera model written out, ties to photos, and hostile files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.capture import load_capture
from recon.errors import FormatError
from recon.formats.metashape import read_metashape
from recon.geometry import look_at

# Numbers are checked before they are reckoned with: numpy has nothing to warn of.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

CALIBRATION = {
    "f": 60.0, "cx": 1.5, "cy": -0.5, "b1": 0.3,
    "k1": -0.1, "k2": 0.02, "k3": 0.01, "p1": 0.002, "p2": -0.001,
}  # fmt: skip


def pose(index: int) -> np.ndarray:
    return look_at(np.array([3.0, index - 2.0, 1.0]), (0, 0, 0), (0, 0, 1))


def document(calibration: dict[str, float] = CALIBRATION, more: str = "", scale: str = "") -> str:
    numbers = "".join(f"<{name}>{value}</{name}>" for name, value in calibration.items())
    cameras = ""
    for index in range(5):
        matrix = " ".join(str(x) for x in np.linalg.inv(pose(index)).ravel())
        cameras += (
            f'<camera id="{index}" sensor_id="0" label="{index}">'
            f"<transform>{matrix}</transform></camera>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><document version="1.5.0"><chunk label="c">'
        '<sensors><sensor id="0" type="frame"><resolution width="64" height="48"/>'
        '<calibration type="frame" class="adjusted"><resolution width="64" height="48"/>'
        f"{numbers}</calibration></sensor></sensors>"
        f'<cameras><group id="0">{cameras}<camera id="9" sensor_id="0" label="lost"/>{more}'
        f"</group></cameras>{scale}</chunk></document>"
    )


@pytest.fixture
def scene(tmp_path, write_photo) -> Path:
    for index in range(5):
        write_photo(tmp_path / f"{index}.jpg", index)
    return tmp_path


def test_cameras_are_tied_to_photos_by_their_labels(scene):
    (scene / "cameras.xml").write_text(document())
    given_poses = load_capture(scene).given
    assert given_poses is not None
    assert given_poses.kind == "metashape"
    assert set(given_poses.cameras) == {f"{index}.jpg" for index in range(5)}
    for index in range(5):
        np.testing.assert_allclose(
            given_poses.cameras[f"{index}.jpg"].cam_from_world, pose(index), atol=1e-9
        )


def test_distortion_is_that_of_the_manual(scene):
    (scene / "c.xml").write_text(document())
    lens = read_metashape(scene / "c.xml")["0"].lens
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-0.4, 0.4, (2, 50))
    c = CALIBRATION
    r2 = x * x + y * y
    radial = 1 + c["k1"] * r2 + c["k2"] * r2**2 + c["k3"] * r2**3
    x2 = x * radial + c["p1"] * (r2 + 2 * x * x) + 2 * c["p2"] * x * y
    y2 = y * radial + c["p2"] * (r2 + 2 * y * y) + 2 * c["p1"] * x * y
    u = 32 + c["cx"] + x2 * c["f"] + x2 * c["b1"]
    v = 24 + c["cy"] + y2 * c["f"]
    np.testing.assert_allclose(
        lens.pixels_from_rays(np.stack([x, y], 1)), np.stack([u, v], 1), atol=1e-9
    )


def test_the_chunks_scale_makes_metres(scene):
    (scene / "c.xml").write_text(document(scale="<transform><scale>2.5</scale></transform>"))
    centre = read_metashape(scene / "c.xml")["4"].centre
    np.testing.assert_allclose(centre, 2.5 * np.array([3.0, 2.0, 1.0]), atol=1e-9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (document({**CALIBRATION, "k4": 0.1}), "k4"),
        (document({**CALIBRATION, "b2": 5.0}), "b2"),
        (document({**CALIBRATION, "f": float("nan")}), "not finite"),
        (document({**CALIBRATION, "f": 0.0}), "focal length"),
        (document(more='<camera sensor_id="0" label="0"><transform>1</transform></camera>'), "two"),
        (document(more='<camera sensor_id="7" label="x"><transform>1</transform></camera>'), "no"),
        (
            document(more='<camera sensor_id="0" label="x"><transform>1 2</transform></camera>'),
            "4x4",
        ),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]>" + document(), "entities"),
        (document()[:400], "not readable"),
        (document().replace("UTF-8", "UTF-9"), "unknown encoding"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_the_reason(scene, text, words):
    (scene / "c.xml").write_text(text)
    with pytest.raises(FormatError, match=words) as caught:
        read_metashape(scene / "c.xml")
    assert caught.value.remedy


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_mutated_files_give_format_errors_only(data):
    content = bytearray(document().encode())
    for _ in range(data.draw(st.integers(1, 10))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.xml"
        path.write_bytes(bytes(content))
        try:
            cameras = read_metashape(path)
        except FormatError:
            return
        assert all(np.isfinite(posed.cam_from_world).all() for posed in cameras.values())
