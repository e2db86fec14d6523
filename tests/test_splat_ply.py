"""3DGS .ply: round trips, an independent reader and writer, and files that mean no good."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import plyfile
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recon.errors import FormatError
from recon.formats.splat_cloud import SplatCloud
from recon.formats.splat_ply import MAX_LOGIT, MIN_LOG_SCALE, read_splat_ply, write_splat_ply

FIELDS = ("means", "quats", "log_scales", "logit_opacities", "sh")


def make_cloud(count: int, degree: int = 3, seed: int = 0) -> SplatCloud:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    quats = normal(count, 4)
    return SplatCloud(
        means=normal(count, 3),
        quats=(quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32),
        log_scales=normal(count, 3),
        logit_opacities=normal(count),
        sh=normal(count, (degree + 1) ** 2, 3),
    )


def assert_same(a: SplatCloud, b: SplatCloud) -> None:
    for field in FIELDS:
        x, y = getattr(a, field), getattr(b, field)
        assert x.dtype == np.float32
        assert x.flags.c_contiguous
        if field == "quats":  # normalised once more on the way
            np.testing.assert_allclose(x, y, atol=2e-7)
        else:
            np.testing.assert_array_equal(x, y)


@given(count=st.integers(0, 30), degree=st.integers(0, 3), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, count, degree, seed) -> None:
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    cloud = make_cloud(count, degree, seed)
    write_splat_ply(path, cloud)
    assert_same(read_splat_ply(path), cloud)
    assert [p.name for p in path.parent.iterdir()] == ["a.ply"]


def test_writing_in_several_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.formats.splat_ply._ROWS_PER_WRITE", 7)
    cloud = make_cloud(50)
    write_splat_ply(tmp_path / "a.ply", cloud)
    assert_same(read_splat_ply(tmp_path / "a.ply"), cloud)


def test_an_independent_reader_sees_the_standard_layout(tmp_path: Path) -> None:
    cloud = make_cloud(5, 2)
    write_splat_ply(tmp_path / "a.ply", cloud)
    data = plyfile.PlyData.read(tmp_path / "a.ply")
    assert not data.text
    assert data.byte_order == "<"
    vertex = data["vertex"]
    names = [p.name for p in vertex.properties]
    assert names[:9] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    assert names[9:33] == [f"f_rest_{i}" for i in range(24)]
    assert names[33:] == [
        "opacity",
        "scale_0",
        "scale_1",
        "scale_2",
        *(f"rot_{i}" for i in range(4)),
    ]
    np.testing.assert_array_equal(vertex["y"], cloud.means[:, 1])
    np.testing.assert_array_equal(vertex["f_dc_1"], cloud.sh[:, 0, 1])
    # Channel-major: 8 of red, then of green, then of blue.
    np.testing.assert_array_equal(vertex["f_rest_0"], cloud.sh[:, 1, 0])
    np.testing.assert_array_equal(vertex["f_rest_7"], cloud.sh[:, 8, 0])
    np.testing.assert_array_equal(vertex["f_rest_10"], cloud.sh[:, 3, 1])
    np.testing.assert_array_equal(vertex["f_rest_23"], cloud.sh[:, 8, 2])
    np.testing.assert_array_equal(vertex["scale_2"], cloud.log_scales[:, 2])
    np.testing.assert_allclose(vertex["rot_3"], cloud.quats[:, 3], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_extras_and_other_types_of_an_independent_writer(
    tmp_path: Path, seed: int
) -> None:
    """No normals, a shuffled order, unknown properties, doubles, and a second element."""
    rng = np.random.default_rng(seed)
    cloud = make_cloud(6, 1, seed)
    columns: dict[str, np.ndarray] = {"label": np.arange(6, dtype=np.uint8)}
    columns["confidence"] = np.full(6, 0.5, dtype=np.float32)
    columns |= {name: cloud.means[:, i].astype(np.float64) for i, name in enumerate("xyz")}
    columns |= {f"f_dc_{i}": cloud.sh[:, 0, i] for i in range(3)}
    columns |= {f"f_rest_{i}": cloud.sh[:, 1 + i % 3, i // 3] for i in range(9)}
    columns["opacity"] = cloud.logit_opacities
    columns |= {f"scale_{i}": cloud.log_scales[:, i] for i in range(3)}
    columns |= {f"rot_{i}": 3.0 * cloud.quats[:, i] for i in range(4)}
    names = list(columns)
    rng.shuffle(names)
    table = np.empty(6, dtype=[(name, columns[name].dtype) for name in names])
    for name in names:
        table[name] = columns[name]
    other = np.array([(1.0,), (2.0,)], dtype=[("w", "<f4")])
    elements = [plyfile.PlyElement.describe(table, "vertex")]
    if seed % 2:
        elements.append(plyfile.PlyElement.describe(other, "other"))
    path = tmp_path / "a.ply"
    plyfile.PlyData(elements, byte_order="<", comments=["made elsewhere"]).write(str(path))
    assert_same(read_splat_ply(path), cloud)


def test_windows_line_ends_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    write_splat_ply(path, make_cloud(3))
    head, tail = path.read_bytes().split(b"end_header\n", 1)
    path.write_bytes(head.replace(b"\n", b"\r\n") + b"end_header\r\n" + tail)
    assert_same(read_splat_ply(path), make_cloud(3))


def test_quaternions_are_normalised_both_ways(tmp_path: Path) -> None:
    cloud = make_cloud(3)
    cloud.quats[:] = [[2, 0, 0, 0], [0, 0, 0, 0], [1e-30, 1e-30, 0, 0]]
    write_splat_ply(tmp_path / "a.ply", cloud)
    half = np.sqrt(0.5)
    want = [[1, 0, 0, 0], [1, 0, 0, 0], [half, half, 0, 0]]
    vertex = plyfile.PlyData.read(tmp_path / "a.ply")["vertex"]
    np.testing.assert_allclose(np.stack([vertex[f"rot_{i}"] for i in range(4)], 1), want)
    np.testing.assert_allclose(read_splat_ply(tmp_path / "a.ply").quats, want)


def patched(path: Path, name: str, value: float) -> None:
    """Overwrite one value of the first splat in place."""
    raw = path.read_bytes()
    head, _ = raw.split(b"end_header\n", 1)
    names = re.findall(rb"property float (\S+)", head)
    at = len(head) + len(b"end_header\n") + 4 * names.index(name.encode())
    path.write_bytes(raw[:at] + np.float32(value).tobytes() + raw[at + 4 :])


@pytest.mark.parametrize("name", ["x", "f_dc_0", "f_rest_44", "opacity", "scale_1", "rot_2"])
def test_nan_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.ply"
    write_splat_ply(path, make_cloud(4))
    patched(path, name, np.nan)
    with pytest.raises(FormatError, match="finite"):
        read_splat_ply(path)


def test_infinite_logits_mean_opaque_and_infinitely_small(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    write_splat_ply(path, make_cloud(4))
    patched(path, "opacity", np.inf)
    patched(path, "scale_0", -np.inf)
    cloud = read_splat_ply(path)
    assert cloud.logit_opacities[0] == MAX_LOGIT
    assert cloud.log_scales[0, 0] == MIN_LOG_SCALE
    patched(path, "scale_0", np.inf)
    with pytest.raises(FormatError, match="scales"):
        read_splat_ply(path)


@pytest.mark.parametrize("field", FIELDS)
def test_a_broken_model_is_not_written_over_a_good_one(tmp_path: Path, field: str) -> None:
    path = tmp_path / "a.ply"
    write_splat_ply(path, make_cloud(4))
    broken = make_cloud(4)
    getattr(broken, field).flat[1] = np.nan
    with pytest.raises(FormatError, match=field):
        write_splat_ply(path, broken)
    assert_same(read_splat_ply(path), make_cloud(4))


def test_a_failing_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ply"
    write_splat_ply(path, make_cloud(4))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_splat_ply(path, make_cloud(9))
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]
    assert len(read_splat_ply(path)) == 4


@given(cut=st.integers(0, 4000))
@settings(max_examples=60, deadline=None)
def test_every_truncation_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    write_splat_ply(path, make_cloud(12, 1))
    raw = path.read_bytes()
    path.write_bytes(raw[: min(cut, len(raw) - 1)])
    with pytest.raises(FormatError):
        read_splat_ply(path)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_corrupt_headers_give_an_error_or_a_cloud(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    write_splat_ply(path, make_cloud(3, 1))
    raw = bytearray(path.read_bytes())
    end = raw.index(b"end_header\n") + 11
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, end - 1))
        if data.draw(st.booleans()):
            raw[at] = data.draw(st.integers(0, 255))
        else:
            raw[at:at] = data.draw(st.binary(max_size=12))
    path.write_bytes(raw)
    try:
        cloud = read_splat_ply(path)
    except FormatError:
        return
    assert all(np.isfinite(getattr(cloud, field)).all() for field in FIELDS)


@given(raw=st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    path.write_bytes(b"ply\n" + raw)
    with pytest.raises(FormatError):
        read_splat_ply(path)


def header_of(*lines: str) -> bytes:
    return "\n".join(["ply", "format binary_little_endian 1.0", *lines, "end_header", ""]).encode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "begin with"),
        (b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n", "encoding"),
        (b"ply\nelement vertex 0\nproperty float x\nend_header\n", "encoding"),
        (b"ply\n" + b"comment " + b"x" * 200_000 + b"\nend_header\n", "no end"),
        (b"ply\n" + b"comment x\n" * 20_000 + b"end_header\n", "no end"),
        (header_of("element vertex 3", "property float x"), "points, not splats"),
        (header_of("element vertex -3", "property float x"), "number of splats"),
        (header_of(f"element vertex {'9' * 50_000}", "property float x"), "number of splats"),
        (header_of("element chunk 3", "property float min_x"), "compressed"),
        (header_of("element vertex 3", "property list uchar int x"), "not supported"),
        (header_of("element vertex 0", "property float x", "property float x"), "twice"),
        (header_of("element vertex 0", *(f"property float f_rest_{i}" for i in range(10))), "10"),
        (
            header_of("element vertex 0", *(f"property float f_rest_{i}" for i in range(1, 10))),
            "f_rest_0",
        ),
    ],
)
def test_what_is_no_splat_file_is_refused_with_a_reason(
    tmp_path: Path, raw: bytes, why: str
) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(raw)
    with pytest.raises(FormatError, match=why) as caught:
        read_splat_ply(path)
    assert "a.ply" in str(caught.value)


def test_a_huge_count_does_not_allocate(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    write_splat_ply(path, make_cloud(3))
    path.write_bytes(path.read_bytes().replace(b"vertex 3\n", b"vertex 999999999999\n", 1))
    with pytest.raises(FormatError, match="cut short"):
        read_splat_ply(path)


def test_trailing_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    write_splat_ply(path, make_cloud(3))
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(FormatError, match="4 bytes follow"):
        read_splat_ply(path)


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_unreadable_paths(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.ply"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(FormatError, match="cannot be read"):
        read_splat_ply(path)
