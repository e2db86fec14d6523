"""Exports: other programs see the same scene, in the capture's own world."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.capture import load_capture
from recon.errors import FormatError, OptionError, RunDirError
from recon.export import ExportJob, export_run
from recon.export.move import moved, sh_rotation
from recon.fit.manifest import Manifest
from recon.fit.parts import FitParts, default_parts
from recon.fit.rundir import RunDir
from recon.formats.colmap import read_model
from recon.formats.splat_cloud import SplatCloud
from recon.formats.splat_file import write_splat_file
from recon.formats.splat_ply import read_splat_ply
from recon.formats.spz import write_spz
from recon.geometry import Camera, Sim3, look_at, rotation_from_quat
from recon.model import RenderOptions
from recon.scene import PosedScene, SparsePoints, View
from recon.sfm import load_scene, save_scene
from recon.splat import SplatModel

# A world that shares nothing with the normalised space: other axes, other units.
NORM_FROM_WORLD = Sim3(0.37, rotation_from_quat([0.6, -0.3, 0.5, 0.2]), np.array([0.4, -2.0, 1.1]))


def random_cloud(count: int = 300, degree: int = 3, seed: int = 0) -> SplatCloud:
    rng = np.random.default_rng(seed)
    parts = (
        0.4 * rng.normal(size=(count, 3)),
        rng.normal(size=(count, 4)),
        rng.uniform(-4.5, -2.5, (count, 3)),
        rng.uniform(-1, 3, count),
        0.4 * rng.normal(size=(count, (degree + 1) ** 2, 3)),
    )
    return SplatCloud(*(np.ascontiguousarray(part, np.float32) for part in parts))


def camera_at(angle: float, size: tuple[int, int] = (64, 48)) -> Camera:
    pose = look_at([2 * np.cos(angle), 2 * np.sin(angle), 0.7], [0, 0, 0], [0, 0, 1])
    return Camera(*size, 70.0, 71.0, 33.0, 23.5, pose)


def make_run(folder: Path, views: int = 9, *, masks: bool = False) -> Path:
    """A run directory with a scene and a trained splat model."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    posed = []
    for i in range(views):
        path = folder / "images" / f"{i:03d}.png"
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
        mask = None
        if masks and i == 2:
            (folder / "masks").mkdir()
            mask = folder / "masks" / "2.png"
            Image.fromarray(rng.integers(0, 2, (48, 64), dtype=np.uint8) * 255).save(mask)
        side = "train" if i % 8 else "test"
        posed.append(View(f"p/{i:03d}.jpg", path, camera_at(0.6 * i), side, mask))
    points = SparsePoints(
        rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 255, (40, 3), dtype=np.uint8)
    )
    save_scene(PosedScene(tuple(posed), points, NORM_FROM_WORLD), folder)
    run = RunDir(folder, Manifest("done", "", "", str(folder), "splat"))
    run.update()
    SplatModel.from_cloud(random_cloud()).save(run.model("splat"))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "recon")


@pytest.fixture(scope="module")
def parts() -> FitParts:
    return default_parts()


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_moved_splats_look_the_same_from_a_moved_camera(degree: int) -> None:
    cloud = random_cloud(degree=degree)
    world_from_norm = NORM_FROM_WORLD.inverse()
    there = SplatModel.from_cloud(moved(cloud, world_from_norm))
    here = SplatModel.from_cloud(cloud)
    for angle in (0.0, 2.0, 4.5):
        camera = camera_at(angle)
        along = camera.at(world_from_norm.move_camera(camera.cam_from_world))
        a = here.render(camera, RenderOptions(depth=True))
        b = there.render(along, RenderOptions(depth=True))
        assert a.color.std() > 0.05
        np.testing.assert_allclose(a.color, b.color, atol=2e-3)
        assert a.depth is not None
        assert b.depth is not None
        seen = a.alpha > 0.5
        np.testing.assert_allclose(b.depth[seen], a.depth[seen] / 0.37, rtol=2e-3)


def test_turning_sh_forth_and_back_is_nothing_and_blocks_do_not_mix() -> None:
    rotation = NORM_FROM_WORLD.rotation
    forth, back = sh_rotation(rotation), sh_rotation(rotation.T)
    np.testing.assert_allclose(forth @ back, np.eye(16), atol=1e-12)
    np.testing.assert_allclose(forth @ forth.T, np.eye(16), atol=1e-12)
    assert np.abs(forth[4:9, 1:4]).max() == 0
    # Degree 1 turns as a vector does: its functions are -y, z, -x.
    order = np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]], float)
    np.testing.assert_allclose(forth[1:4, 1:4], order @ rotation @ order.T, atol=1e-12)


def test_a_ply_in_world_space_renders_as_the_run_does(run: Path, parts: FitParts) -> None:
    out = export_run(run, ExportJob("ply"), parts=parts).path
    assert out == run / "exports" / "splats.ply"
    here, scene = SplatModel.load(run / "splat.safetensors"), load_scene(run)
    there = SplatModel.from_cloud(read_splat_ply(out))
    world_from_norm = scene.norm_from_world.inverse()
    for view in scene.views[:3]:
        along = view.camera.at(world_from_norm.move_camera(view.camera.cam_from_world))
        np.testing.assert_allclose(
            here.render(view.camera).color, there.render(along).color, atol=2e-3
        )


def test_normalised_space_is_what_was_trained(run: Path, parts: FitParts, tmp_path: Path) -> None:
    job = ExportJob("ply", tmp_path / "n.ply", space="normalised")
    cloud = read_splat_ply(export_run(run, job, parts=parts).path)
    np.testing.assert_allclose(cloud.means, random_cloud().means, atol=1e-6)
    np.testing.assert_allclose(cloud.sh, random_cloud().sh, atol=1e-6)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("suffix", ["splat", "spz"])
def test_small_formats_as_another_library_reads_them(
    tmp_path: Path, suffix: str, degree: int
) -> None:
    gaussforge = pytest.importorskip("gaussforge")
    cloud = random_cloud(degree=degree)
    path, as_ply = tmp_path / f"x.{suffix}", tmp_path / "x.ply"
    (write_spz if suffix == "spz" else write_splat_file)(path, cloud)
    result = gaussforge.GaussForge().convert(path.read_bytes(), suffix, "ply")
    assert result.get("error") is None
    as_ply.write_bytes(bytes(result["data"]))
    found = read_splat_ply(as_ply)
    order = np.arange(len(cloud))
    if suffix == "splat":
        order = np.array([np.abs(cloud.means - mean).sum(1).argmin() for mean in found.means])
    assert len(set(order)) == len(cloud)
    np.testing.assert_allclose(found.means, cloud.means[order], atol=1e-5)
    # Steps of a byte: a sixteenth of a logarithm, an eighth or a quarter of an SH coefficient.
    np.testing.assert_allclose(found.log_scales, cloud.log_scales[order], atol=0.032)
    same = np.abs(np.sum(found.unit_quats() * cloud.unit_quats()[order], axis=1))
    # The fourth number follows from three bytes, which tells little of one near 0.
    assert same.min() > 0.995
    assert np.median(same) > 0.9999
    opacities = [1 / (1 + np.exp(-c.logit_opacities)) for c in (found, cloud)]
    np.testing.assert_allclose(opacities[0], opacities[1][order], atol=0.6 / 255)
    if suffix == "spz":
        assert found.sh_degree == degree
        bounds = np.array([0.015, *[0.04] * 3, *[0.07] * 12])[: (degree + 1) ** 2, None]
        held = np.clip(cloud.sh[:, 1:], -1, 127 / 128)  # what a byte can say
        np.testing.assert_array_less(
            np.abs(found.sh[:, 1:] - held), np.ones_like(held) * bounds[1:]
        )
        assert np.abs(found.sh[:, 0] - cloud.sh[:, 0]).max() < bounds[0]


def test_splat_records(tmp_path: Path) -> None:
    cloud = random_cloud(50)
    write_splat_file(tmp_path / "x.splat", cloud)
    data = (tmp_path / "x.splat").read_bytes()
    assert len(data) == 32 * 50
    x, y, z, sx, sy, sz, r, g, b, a, *quat = struct.unpack("<6f8B", data[:32])
    opacities = 1 / (1 + np.exp(-cloud.logit_opacities))
    first = int(np.argmax(opacities * np.exp(cloud.log_scales.sum(1))))
    np.testing.assert_allclose([x, y, z], cloud.means[first], rtol=1e-6)
    np.testing.assert_allclose([sx, sy, sz], np.exp(cloud.log_scales[first]), rtol=1e-6)
    rgb = np.clip(0.5 + 0.28209479 * cloud.sh[first, 0], 0, 1)
    np.testing.assert_allclose(np.array([r, g, b]) / 255, rgb, atol=0.51 / 255)
    assert a == round(255 * opacities[first])
    np.testing.assert_allclose((np.array(quat) - 128) / 128, cloud.unit_quats()[first], atol=0.01)


def test_what_spz_cannot_hold_is_refused(tmp_path: Path) -> None:
    cloud = random_cloud(5)
    far = replace(cloud, means=cloud.means * np.float32(1e8))
    with pytest.raises(FormatError, match="too far"):
        write_spz(tmp_path / "x.spz", far)
    broken = replace(cloud, log_scales=cloud.log_scales * np.float32("nan"))
    with pytest.raises(FormatError, match="not finite"):
        write_splat_file(tmp_path / "x.splat", broken)
    assert list(tmp_path.iterdir()) == []


def world_cameras(run: Path) -> dict[str, Camera]:
    scene = load_scene(run)
    back = scene.norm_from_world.inverse()
    return {
        f"{view.image_path.stem}": view.camera.at(back.move_camera(view.camera.cam_from_world))
        for view in scene.views
    }


@pytest.mark.parametrize("to", ["colmap", "colmap-text"])
def test_a_colmap_model_comes_back_in_the_world(
    run: Path, parts: FitParts, tmp_path: Path, to: str
) -> None:
    import pycolmap

    out = export_run(run, ExportJob(to, tmp_path / "c"), parts=parts).path  # pyright: ignore
    ours = read_model(out / "sparse" / "0")
    theirs = pycolmap.Reconstruction(str(out / "sparse" / "0"))
    wanted = world_cameras(run)
    assert len(ours.images) == len(theirs.images) == len(wanted)
    by_name = {image.name: image for image in theirs.images.values()}
    for name, posed in ours.images.items():
        camera = wanted[Path(name).stem.removeprefix("p__")]
        np.testing.assert_allclose(posed.cam_from_world, camera.cam_from_world, atol=1e-9)
        image = by_name[name]
        pose = image.cam_from_world().matrix()
        np.testing.assert_allclose(pose, camera.cam_from_world[:3], atol=1e-9)
        np.testing.assert_allclose(
            theirs.cameras[image.camera_id].params, [camera.fx, camera.fy, camera.cx, camera.cy]
        )
        with Image.open(out / "images" / name) as photo:
            assert photo.size == (posed.lens.width, posed.lens.height)
    scene = load_scene(run)
    xyz = scene.norm_from_world.inverse().apply(scene.points.xyz)
    np.testing.assert_allclose(ours.points.xyz, xyz, atol=1e-6)
    found = np.array([theirs.points3D[i + 1].xyz for i in range(len(xyz))])
    np.testing.assert_allclose(found, xyz, atol=1e-6)
    # And as a capture of ours.
    given = load_capture(out).poses_for("auto")
    assert given is not None
    assert given.kind == "colmap"
    assert len(given.cameras) == len(wanted)


def test_transforms_come_back_upright_and_to_scale(
    run: Path, parts: FitParts, tmp_path: Path
) -> None:
    out = export_run(run, ExportJob("nerfstudio", tmp_path / "n"), parts=parts).path
    data = json.loads((out / "transforms.json").read_text())
    applied = np.array(data["applied_transform"])
    np.testing.assert_allclose(applied[:, :3], NORM_FROM_WORLD.rotation, atol=1e-12)
    wanted = world_cameras(run)
    for frame in data["frames"]:
        camera = wanted[Path(frame["file_path"]).stem.removeprefix("p__")]
        # Back to the original world, then to our axes, by nothing of ours.
        c2w = np.array(frame["transform_matrix"])
        rotation = applied[:, :3].T @ c2w[:3, :3] @ np.diag([1, -1, -1])
        centre = applied[:, :3].T @ (c2w[:3, 3] - applied[:, 3])
        np.testing.assert_allclose(rotation, camera.world_from_cam[:3, :3], atol=1e-9)
        np.testing.assert_allclose(centre, camera.centre, atol=1e-9)
    assert (data["fl_x"], data["w"], data["h"]) == (70.0, 64, 48)
    assert (
        data["test_filenames"]
        == data["val_filenames"]
        == [
            "images/p__000.png",
            "images/p__008.png",
        ]
    )
    assert len(data["train_filenames"]) == 7
    # As a capture of ours: the same split, and cameras that are the world's, turned upright.
    capture = load_capture(out)
    assert sum(side == "test" for side in capture.split.values()) == 2
    given = capture.poses_for("auto")
    assert given is not None
    assert given.kind == "transforms"
    for name, posed in given.cameras.items():
        camera = wanted[Path(name).stem.removeprefix("p__")]
        np.testing.assert_allclose(
            posed.cam_from_world[:3, :3] @ NORM_FROM_WORLD.rotation,
            camera.cam_from_world[:3, :3],
            atol=1e-6,
        )


def test_nerfstudio_points_lie_where_its_cameras_look(
    run: Path, parts: FitParts, tmp_path: Path
) -> None:
    plyfile = pytest.importorskip("plyfile")
    out = export_run(run, ExportJob("nerfstudio", tmp_path / "n"), parts=parts).path
    table = plyfile.PlyData.read(str(out / "sparse_pc.ply"))["vertex"]
    xyz = np.stack([table[axis] for axis in "xyz"], axis=1)
    scene = load_scene(run)
    frame = json.loads((out / "transforms.json").read_text())["frames"][3]
    c2w = np.array(frame["transform_matrix"])
    seen = (xyz - c2w[:3, 3]) @ c2w[:3, :3] * [1, -1, -1]
    camera = scene.views[3].camera
    wanted = scene.points.xyz @ camera.cam_from_world[:3, :3].T + camera.cam_from_world[:3, 3]
    np.testing.assert_allclose(seen, wanted / 0.37, atol=1e-5)
    np.testing.assert_array_equal(
        np.stack([table[c] for c in ("red", "green", "blue")], axis=1), scene.points.rgb
    )
    plain = export_run(run, ExportJob("points", tmp_path / "p.ply"), parts=parts).path
    table = plyfile.PlyData.read(str(plain))["vertex"]
    xyz = np.stack([table[axis] for axis in "xyz"], axis=1)
    np.testing.assert_allclose(NORM_FROM_WORLD.apply(xyz), scene.points.xyz, atol=1e-5)


def test_masks_are_there_for_all_or_for_none(tmp_path: Path, parts: FitParts) -> None:
    folder = make_run(tmp_path / "recon", masks=True)
    out = export_run(folder, ExportJob("transforms", tmp_path / "t"), parts=parts).path
    frames = json.loads((out / "transforms.json").read_text())["frames"]
    levels = []
    for frame in frames:
        with Image.open(out / frame["mask_path"]) as mask:
            levels.append(np.asarray(mask).min())
    assert levels == [255, 255, 0, 255, 255, 255, 255, 255, 255]
    assert not (out / "sparse_pc.ply").exists()


def test_mistakes_are_named(run: Path, parts: FitParts, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(RunDirError, match="not empty"):
        export_run(run, ExportJob("colmap", tmp_path / "full"), parts=parts)
    with pytest.raises(RunDirError, match="is a folder"):
        export_run(run, ExportJob("ply", tmp_path / "full"), parts=parts)
    with pytest.raises(RunDirError, match="no recon run"):
        export_run(tmp_path, ExportJob("ply"), parts=parts)
    with pytest.raises(OptionError, match="voxel"):
        ExportJob("mesh", voxel=0.0)
    with pytest.raises(OptionError, match="no format"):
        ExportJob("dwg")  # pyright: ignore[reportArgumentType]
    folder = make_run(tmp_path / "bare")
    (folder / "splat.safetensors").unlink()
    with pytest.raises(RunDirError, match="no trained splat model"):
        export_run(folder, ExportJob("spz"), parts=parts)
