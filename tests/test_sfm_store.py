"""Scenes on disk: round trip and hostile files."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recon.errors import FormatError, OptionError
from recon.geometry import Camera, Sim3, look_at, rotation_from_quat
from recon.scene import PosedScene, SparsePoints, View
from recon.sfm import load_scene, save_scene


def example(folder: Path) -> PosedScene:
    rng = np.random.default_rng(0)
    views = tuple(
        View(
            name=f"sub/{index}.jpg",
            image_path=folder / "images" / "sub" / f"{index}.jpg.png",
            camera=Camera(
                64, 48, 50.5, 51, 32, 24, look_at(rng.normal(size=3), (0,) * 3, (0, 0, 1))
            ),
            split="test" if index == 0 else "train",
            mask_path=folder / "masks" / "1.png" if index == 1 else None,
        )
        for index in range(3)
    )
    return PosedScene(
        views=views,
        points=SparsePoints(
            rng.normal(size=(5, 3)).astype(np.float32),
            rng.integers(0, 256, (5, 3), dtype=np.uint8),
        ),
        norm_from_world=Sim3(0.3, rotation_from_quat((1, 2, 3, 4)), np.array([1.0, 2.0, 3.0])),
        background=(1.0, 1.0, 1.0),
        failed=(("x.jpg", "does not overlap"),),
    )


def test_a_scene_comes_back_exactly(tmp_path):
    scene = example(tmp_path)
    save_scene(scene, tmp_path)
    back = load_scene(tmp_path)
    assert back.background == scene.background
    assert back.failed == scene.failed
    assert np.array_equal(back.points.xyz, scene.points.xyz)
    assert np.array_equal(back.points.rgb, scene.points.rgb)
    assert np.array_equal(back.norm_from_world.matrix(), scene.norm_from_world.matrix())
    for one, other in zip(back.views, scene.views, strict=True):
        assert (one.name, one.image_path, one.split, one.mask_path) == (
            other.name,
            other.image_path,
            other.split,
            other.mask_path,
        )
        assert np.array_equal(one.camera.cam_from_world, other.camera.cam_from_world)
        assert (one.camera.fx, one.camera.width) == (other.camera.fx, other.camera.width)


def test_a_scene_can_be_moved_as_a_whole(tmp_path):
    save_scene(example(tmp_path / "a"), tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    back = load_scene(tmp_path / "b")
    assert back.views[0].image_path.is_relative_to(tmp_path / "b")


def test_images_outside_the_folder_are_refused(tmp_path):
    with pytest.raises(OptionError, match="outside"):
        save_scene(example(tmp_path / "elsewhere"), tmp_path / "here")


def test_saving_leaves_no_partial_files(tmp_path):
    save_scene(example(tmp_path), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "points.safetensors",
        "scene.json",
    ]


def edit(folder: Path, change) -> None:
    path = folder / "scene.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(version=99),
        lambda d: d.pop("views"),
        lambda d: d["views"][0].update(image="../../etc/passwd"),
        lambda d: d["views"][0].update(image="/etc/passwd"),
        lambda d: d.update(points="../points.safetensors"),
        lambda d: d["views"][0].update(width=10**9),
        lambda d: d["views"][0].update(width=1.5),
        lambda d: d["views"][0].update(fx=float("nan")),
        lambda d: d["views"][0].update(split="val"),
        lambda d: d["views"][1].update(name=d["views"][0]["name"]),
        lambda d: d["views"][0]["cam_from_norm"][0].__setitem__(0, 7.0),
        lambda d: d["views"][0].update(cam_from_norm=[[1]]),
        lambda d: d["norm_from_world"].update(scale=-1),
        lambda d: d["norm_from_world"].update(rotation=[[2, 0, 0], [0, 1, 0], [0, 0, 1]]),
        lambda d: d.update(background=[1]),
        lambda d: d.update(failed=[1]),
    ],
)
def test_scenes_that_cannot_be_are_refused(tmp_path, change):
    save_scene(example(tmp_path), tmp_path)
    edit(tmp_path, change)
    with pytest.raises(FormatError) as caught:
        load_scene(tmp_path)
    assert caught.value.where
    assert caught.value.remedy


def test_missing_and_truncated_files_are_refused(tmp_path):
    with pytest.raises(FormatError):
        load_scene(tmp_path)
    save_scene(example(tmp_path), tmp_path)
    points = tmp_path / "points.safetensors"
    points.write_bytes(points.read_bytes()[:-4])
    with pytest.raises(FormatError):
        load_scene(tmp_path)


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([[]])
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(
        ["norm_from_world", "views", "points", "background", "failed", "view", "camera"]
    ),
    anything,
)
def test_any_other_value_gives_a_format_error_or_a_scene(tmp_path, key, value):
    def change(data):
        if key == "view":
            data["views"][0] = value
        elif key == "camera":
            data["views"][0]["cam_from_norm"] = value
        else:
            data[key] = value

    save_scene(example(tmp_path), tmp_path)
    edit(tmp_path, change)
    with contextlib.suppress(FormatError):
        load_scene(tmp_path)
