"""Camera formats: round trips, an independent reader, and hostile bytes."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.errors import FormatError
from recon.formats.colmap import ColmapModel, read_model, write_model
from recon.formats.lens import (
    Lens,
    PosedLens,
    WorldPoints,
    colmap_from_lens,
    lens_from_colmap,
)
from recon.formats.llff import read_llff
from recon.formats.transforms_json import read_transforms
from recon.geometry import rotation_from_quat

# Numbers are checked before they are reckoned with: numpy has nothing to warn of.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

MANY = settings(max_examples=60, deadline=None)

small = st.floats(-0.2, 0.2)
lenses = st.builds(
    Lens,
    width=st.integers(100, 4000),
    height=st.integers(100, 4000),
    fx=st.floats(300, 5000),
    fy=st.floats(300, 5000),
    cx=st.floats(0, 4000),
    cy=st.floats(0, 4000),
    k=st.one_of(
        st.just((0.0,) * 6),
        st.tuples(small, small, *[st.just(0.0)] * 4),
        st.tuples(*[small] * 6),
    ),
    p=st.tuples(small, small),
)
numbers = st.floats(-100, 100)
poses = st.tuples(st.tuples(*[numbers] * 4), st.tuples(*[numbers] * 3)).filter(
    lambda qt: np.linalg.norm(qt[0]) > 0.1
)


def rigid(quat_and_shift) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3] = rotation_from_quat(quat_and_shift[0])
    out[:3, 3] = quat_and_shift[1]
    return out


def example_model() -> ColmapModel:
    rng = np.random.default_rng(0)
    lens = [
        Lens(640, 480, 500.0, 510.0, 320.0, 240.0, k=(0.1, -0.02, 0, 0, 0, 0), p=(1e-3, 2e-3)),
        Lens(300, 200, 250.0, 250.0, 150.0, 100.0),
    ]
    images = {
        f"folder/photo {index}.jpg": PosedLens(
            lens[index % 2], rigid((rng.normal(size=4), rng.normal(size=3)))
        )
        for index in range(5)
    }
    xyz = rng.normal(size=(7, 3))
    return ColmapModel(images, WorldPoints(xyz, rng.integers(0, 256, (7, 3), dtype=np.uint8)))


@MANY
@given(lenses)
def test_a_lens_survives_colmaps_spelling(lens):
    spelled = colmap_from_lens(lens)
    assert lens_from_colmap(spelled.model, lens.width, lens.height, spelled.params) == lens


@MANY
@given(st.lists(st.tuples(lenses, poses), min_size=1, max_size=5))
def test_a_model_comes_back_as_it_was(entries):
    images = {f"{i}.jpg": PosedLens(lens, rigid(qt)) for i, (lens, qt) in enumerate(entries)}
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), ColmapModel(images))
        back = read_model(Path(folder)).images
    assert list(back) == list(images)
    for name, posed in images.items():
        assert back[name].lens == posed.lens
        assert np.allclose(back[name].cam_from_world, posed.cam_from_world, atol=1e-9)


_INDEPENDENT = """
import json, sys, zlib
import numpy as np
import pycolmap
model = pycolmap.Reconstruction(sys.argv[1])
model.write_text(sys.argv[2])
point = np.array([0.3, -0.2, 5.0])
rays = np.array([[0.1, 0.2], [-0.3, 0.15]])
out = {}
for image in model.images.values():
    homogeneous = np.hstack([rays, np.ones((2, 1))])
    out[image.name] = {
        "in_cam": (image.cam_from_world() * point).tolist(),
        "pixels": [image.camera.img_from_cam(ray).tolist() for ray in homogeneous],
        "size": [image.camera.width, image.camera.height],
    }
fisheye = pycolmap.Camera(model="OPENCV_FISHEYE", width=640, height=480,
    params=[300, 310, 320, 240, 0.05, -0.01, 0.003, -0.001])
out["fisheye"] = [fisheye.img_from_cam(ray).tolist() for ray in homogeneous]
points = sorted(point.xyz.tolist() for point in model.points3D.values())
print(json.dumps({"images": out, "points": points}))
"""


def test_colmap_itself_reads_the_same(tmp_path):
    model = example_model()
    write_model(tmp_path / "bin", model)
    (tmp_path / "txt").mkdir()
    # In a process of its own, since pycolmap and other libraries disturb each other's heap.
    command = [sys.executable, "-c", _INDEPENDENT, str(tmp_path / "bin"), str(tmp_path / "txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])
    rays = np.array([[0.1, 0.2], [-0.3, 0.15]])
    for name, posed in model.images.items():
        seen = theirs["images"][name]
        expected = (posed.cam_from_world @ [0.3, -0.2, 5.0, 1.0])[:3]
        assert np.allclose(seen["in_cam"], expected, atol=1e-9)
        assert np.allclose(seen["pixels"], posed.lens.pixels_from_rays(rays), atol=1e-9)
        assert seen["size"] == [posed.lens.width, posed.lens.height]
    fisheye = lens_from_colmap(
        "OPENCV_FISHEYE", 640, 480, [300, 310, 320, 240, 0.05, -0.01, 0.003, -0.001]
    )
    assert np.allclose(theirs["images"]["fisheye"], fisheye.pixels_from_rays(rays), atol=1e-9)
    assert np.allclose(theirs["points"], sorted(model.points.xyz.tolist()))
    # And what COLMAP writes as text is read as what it wrote in binary.
    text = read_model(tmp_path / "txt")
    assert sorted(text.images) == sorted(model.images)
    for name, posed in text.images.items():
        assert np.allclose(posed.cam_from_world, model.images[name].cam_from_world, atol=1e-9)
        assert posed.lens == model.images[name].lens
    assert len(text.points) == len(model.points)


def mutate(data: bytes, edits: list[tuple[int, int]], cut: int | None) -> bytes:
    out = bytearray(data)
    for position, value in edits:
        if out:
            out[position % len(out)] = value
    return bytes(out if cut is None else out[: cut % (len(out) + 1)])


edits = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)
cuts = st.one_of(st.none(), st.integers(0, 10_000))


def only_format_errors(read, path: Path) -> None:
    try:
        read(path)
    except FormatError as error:
        complete = error.where is not None and error.remedy
        if not complete:
            pytest.fail(f"says neither where nor what to do: {error}")


@pytest.fixture(scope="module")
def model_files(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, example_model())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@MANY
@given(st.sampled_from(["cameras.bin", "images.bin", "points3D.bin"]), edits, cuts)
def test_mutated_binary_models_give_format_errors_only(model_files, name, changes, cut):
    with tempfile.TemporaryDirectory() as folder:
        for file, data in model_files.items():
            changed = mutate(data, changes, cut) if file == name else data
            (Path(folder) / file).write_bytes(changed)
        only_format_errors(read_model, Path(folder))


TEXT = {
    "cameras.txt": b"# cameras\n1 OPENCV 640 480 500 510 320 240 0.1 -0.02 0.001 0.002\n",
    "images.txt": b"# images\n1 1 0 0 0 0.1 0.2 0.3 1 a b.jpg\n10 20 -1\n"
    b"2 0.7 0.7 0 0 1 2 3 1 c.jpg\n\n",
    "points3D.txt": b"# points\n1 0.5 0.6 0.7 255 128 0 0.4 1 0 2 0\n",
}


@MANY
@given(st.sampled_from(sorted(TEXT)), edits, cuts)
def test_mutated_text_models_give_format_errors_only(name, changes, cut):
    with tempfile.TemporaryDirectory() as folder:
        for file, data in TEXT.items():
            changed = mutate(data, changes, cut) if file == name else data
            (Path(folder) / file).write_bytes(changed)
        only_format_errors(read_model, Path(folder))


def test_a_text_model(tmp_path):
    for file, data in TEXT.items():
        (tmp_path / file).write_bytes(data)
    model = read_model(tmp_path)
    assert list(model.images) == ["a b.jpg", "c.jpg"]
    assert model.points.track.tolist() == [2]
    assert model.points.error.tolist() == [0.4]


def test_counts_beyond_the_file_are_refused_at_once(tmp_path, model_files):
    for file, data in model_files.items():
        lie = (1 << 60).to_bytes(8, "little") + data[8:]
        (tmp_path / file).write_bytes(lie)
    with pytest.raises(FormatError, match="more than it can hold"):
        read_model(tmp_path)


@pytest.mark.parametrize("number", ["nan", "inf", "1e999"])
def test_text_models_with_infinite_poses_are_refused(tmp_path, number):
    for file, data in TEXT.items():
        (tmp_path / file).write_bytes(data.replace(b"0.1 0.2 0.3", f"{number} 0 0".encode()))
    with pytest.raises(FormatError):
        read_model(tmp_path)


TRANSFORMS = {
    "camera_model": "OPENCV",
    "fl_x": 500.0,
    "fl_y": 500.0,
    "cx": 320.0,
    "cy": 240.0,
    "w": 640,
    "h": 480,
    "k1": 0.1,
    "frames": [
        {"file_path": f"images/{i}.jpg", "transform_matrix": np.eye(4).tolist()} for i in range(3)
    ],
    "train_filenames": ["images/0.jpg", "images/1.jpg"],
    "test_filenames": ["images/2.jpg"],
}

anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["../up.jpg", "/etc/passwd", "C:/x.jpg", "EQUIRECTANGULAR", 10**400]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@MANY
@given(
    st.sampled_from([*TRANSFORMS, "frame:file_path", "frame:transform_matrix", "frame", "cell"]),
    anything,
)
def test_mutated_transforms_give_format_errors_only(key, value):
    data = copy.deepcopy(TRANSFORMS)
    match key.split(":"):
        case ["frame", inner]:
            data["frames"][1][inner] = value
        case ["frame"]:
            data["frames"][1] = value
        case ["cell"]:
            data["frames"][1]["transform_matrix"][0][0] = value
        case _:
            data[key] = value

    def read(path: Path) -> None:
        for frame in read_transforms(path).frames:
            try:
                frame.intrinsics.lens(640, 480)
            except FormatError as error:
                # The capture adds the file when it asks for a lens.
                raise FormatError(error.what, where=path, remedy=error.remedy or "x") from error

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transforms.json"
        path.write_text(json.dumps(data))
        only_format_errors(read, path)


@MANY
@given(edits, cuts)
def test_mutated_json_bytes_give_format_errors_only(changes, cut):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transforms.json"
        path.write_bytes(mutate(json.dumps(TRANSFORMS).encode(), changes, cut))
        only_format_errors(read_transforms, path)


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, '{"frames": []}', '{"frames": [{}]}', "\x00", '{"a":NaN}']
)
def test_json_that_is_no_transforms_file_is_refused(tmp_path, text):
    path = tmp_path / "transforms.json"
    path.write_text(text)
    with pytest.raises(FormatError):
        read_transforms(path)


@pytest.mark.parametrize(
    "name", ["../x.jpg", "/x.jpg", "a/../../x.jpg", "C:\\x.jpg", "..\\x", "a\0b"]
)
def test_paths_that_lead_out_are_refused(tmp_path, name):
    data = copy.deepcopy(TRANSFORMS)
    data["frames"][0]["file_path"] = name
    (tmp_path / "t.json").write_text(json.dumps(data))
    with pytest.raises(FormatError):
        read_transforms(tmp_path / "t.json")


def llff_row() -> np.ndarray:
    """The pose and size of a camera at the origin, (15,)."""
    row = np.column_stack([np.eye(3)[:, [1, 0, 2]], np.zeros(3), [480, 640, 500.0]])
    row[:, 2] *= -1
    return row.reshape(-1)


@MANY
@given(edits, cuts)
def test_mutated_llff_files_give_format_errors_only(changes, cut):
    row = llff_row()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "poses_bounds.npy"
        np.save(path, [[*row, 1.0, 9.0]] * 3)
        assert len(read_llff(path)) == 3
        path.write_bytes(mutate(path.read_bytes(), changes, cut))
        only_format_errors(read_llff, path)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((0, 0), 1e300, "photo 1' is not a rotation"),
        ((1, 3), -1e300, "photo 1' is not a rotation"),
        ((1, 3), np.inf, "not finite"),
        ((2, 4), np.nan, "not finite"),
        ((2, 4), 1e300, "focal length"),
        ((0, 4), 1e300, "size"),
        ((2, 2), 1.0, "photo 1' mirrors"),
    ],
)
def test_llff_numbers_beyond_all_measure_are_refused(tmp_path, place, value, words):
    row = llff_row().reshape(3, 5)
    row[place] = value
    np.save(tmp_path / "p.npy", [[*row.reshape(-1), 1.0, 9.0]])
    with pytest.raises(FormatError, match=words) as caught:
        read_llff(tmp_path / "p.npy")
    assert caught.value.remedy


@pytest.mark.parametrize("place", [(0, 0), (1, 3)])
def test_transforms_beyond_all_measure_are_refused(tmp_path, place):
    matrix = np.eye(4)
    matrix[place] = 1e300
    frame = {"file_path": "a.jpg", "transform_matrix": matrix.tolist()}
    (tmp_path / "t.json").write_text(json.dumps({"fl_x": 50, "frames": [frame]}))
    with pytest.raises(FormatError, match="singular or out of range"):
        read_transforms(tmp_path / "t.json")


def test_llff_never_unpickles(tmp_path):
    path = tmp_path / "poses_bounds.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError):
        read_llff(path)
