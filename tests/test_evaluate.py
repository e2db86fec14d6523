"""Evaluation of held-out views with models whose quality is known beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recon.errors import FormatError, TrainingError
from recon.evaluate import MethodEval, ViewEval, evaluate, picture_files
from recon.geometry import Camera, Sim3, look_at
from recon.metrics import psnr, ssim
from recon.model import RenderOptions, RenderOutput
from recon.scene import PosedScene, SparsePoints, View

WIDTH, HEIGHT = 60, 40


class KnownModel:
    """Renders a given picture for every camera, by its position, with an error added."""

    method = "splat"
    size = 1234

    def __init__(self, pictures: dict[float, np.ndarray], error: float = 0.0) -> None:
        self.pictures = pictures
        self.error = error
        self.asked: list[tuple[Camera, RenderOptions]] = []

    def render(self, camera: Camera, options: RenderOptions = RenderOptions()) -> RenderOutput:  # noqa: B008
        self.asked.append((camera, options))
        color = self.pictures[round(float(camera.centre[0]), 6)] + np.float32(self.error)
        return RenderOutput(color.astype(np.float32), np.ones(color.shape[:2], np.float32))

    def save(self, path: Path) -> None:
        raise NotImplementedError


def picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(30, 220, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def scene(tmp_path: Path) -> PosedScene:
    views = []
    for i in range(5):
        path = tmp_path / f"{i}.png"
        Image.fromarray(picture(i)).save(path)
        pose = look_at([i, -5.0, 0.0], [i, 0.0, 0.0], [0.0, 0.0, 1.0])
        camera = Camera(WIDTH, HEIGHT, 50.0, 50.0, 30.0, 20.0, pose)
        views.append(View(f"day/{i}.jpg", path, camera, "test" if i % 2 == 0 else "train"))
    points = SparsePoints(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8))
    return PosedScene(tuple(views), points, Sim3())


def exact(scene: PosedScene) -> dict[float, np.ndarray]:
    return {float(i): picture(i).astype(np.float32) / 255 for i in range(5)}


def test_figures_and_files(scene: PosedScene, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    model = KnownModel(exact(scene), error=0.1)
    result = evaluate(
        model,
        scene,
        long_side=None,
        renders_dir=tmp_path / "renders",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert list(result.views) == ["day/0.jpg", "day/2.jpg", "day/4.jpg"]
    assert result.psnr == pytest.approx(20.0, abs=1e-4)
    for i in (0, 2, 4):
        view = result.views[f"day/{i}.jpg"]
        shifted = (picture(i) / 255 + 0.1).astype(np.float32)
        assert view.ssim == pytest.approx(ssim(shifted, picture(i)), abs=1e-6)
        saved = np.array(Image.open(tmp_path / "renders/splat" / f"day__{i}.png"))
        np.testing.assert_allclose(saved, 255 * shifted, atol=0.501)
        truth = np.array(Image.open(tmp_path / "renders/truth" / f"day__{i}.png"))
        np.testing.assert_array_equal(truth, picture(i))

    entry = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert entry["psnr"] == pytest.approx(20.0, abs=1e-4)
    assert entry["ssim"] == pytest.approx(result.ssim, abs=1e-6)
    assert (entry["splats"], entry["width"], entry["height"]) == (1234, WIDTH, HEIGHT)
    assert entry["views"]["day/2.jpg"]["file"] == "day__2.png"


def test_renders_are_not_rounded_before_they_are_measured(scene: PosedScene) -> None:
    result = evaluate(KnownModel(exact(scene), error=0.001), scene, long_side=None)
    assert result.psnr == pytest.approx(60.0, abs=0.01)
    assert all(v.file is None for v in result.views.values())


def test_the_size_is_fitted_and_truth_is_averaged(scene: PosedScene) -> None:
    small = {
        x: p.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean((1, 3)) for x, p in exact(scene).items()
    }
    model = KnownModel(small)
    result = evaluate(model, scene, long_side=30)
    assert (result.width, result.height) == (30, 20)
    assert model.asked[0][0].fx == 25.0
    assert result.psnr is not None
    assert result.psnr > 50, "only rounding of the truth to 8 bits is left"


def test_background_goes_to_truth_and_render(scene: PosedScene, tmp_path: Path) -> None:
    clear = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    for view in scene.views:
        Image.fromarray(clear).save(view.image_path)
    white = PosedScene(scene.views, scene.points, scene.norm_from_world, (1.0, 1.0, 1.0))
    ones = {float(i): np.ones((HEIGHT, WIDTH, 3), np.float32) for i in range(5)}
    model = KnownModel(ones)
    assert evaluate(model, white, long_side=None).psnr == 100.0
    assert model.asked[0][1].background == (1.0, 1.0, 1.0)
    evaluate(model, white, long_side=None, background=(0.0, 0.5, 0.0))
    assert model.asked[-1][1].background == (0.0, 0.5, 0.0)
    evaluate(model, scene, long_side=None)
    assert model.asked[-1][1].background == (0.0, 0.0, 0.0)


def test_nothing_held_out_gives_no_figures(scene: PosedScene) -> None:
    train = PosedScene(scene.train_views, scene.points, scene.norm_from_world)
    result = evaluate(KnownModel({}), train, long_side=None)
    assert result.psnr is None
    assert result.ssim is None
    entry = result.to_json()
    assert entry["psnr"] is None
    assert entry["ssim"] is None
    assert entry["width"] is None
    assert entry["views"] == {}
    json.dumps(entry, allow_nan=False)


def test_masks_decide_what_counts(scene: PosedScene, tmp_path: Path) -> None:
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, :30] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(0 * mask).save(tmp_path / "nothing.png")
    masks = {"day/0.jpg": tmp_path / "mask.png", "day/2.jpg": tmp_path / "nothing.png"}
    views = tuple(
        View(v.name, v.image_path, v.camera, v.split, masks.get(v.name)) for v in scene.views
    )
    pictures = exact(scene)
    pictures[0.0][:, :30] = 0.5
    pictures[0.0][:, 30:] += 0.1
    result = evaluate(KnownModel(pictures), PosedScene(views, scene.points, Sim3()), long_side=None)
    assert list(result.views) == ["day/0.jpg", "day/4.jpg"]
    assert "mask" in result.unscored["day/2.jpg"]
    first = result.views["day/0.jpg"]
    assert first.masked
    assert first.psnr == pytest.approx(20.0, abs=1e-3)
    assert first.psnr == psnr(pictures[0.0], picture(0), mask > 0)
    assert not result.views["day/4.jpg"].masked

    (tmp_path / "mask.png").write_bytes(b"no picture")
    with pytest.raises(FormatError, match="mask"):
        evaluate(KnownModel(pictures), PosedScene(views, scene.points, Sim3()), long_side=None)


def test_views_too_small_for_ssim_are_named(scene: PosedScene) -> None:
    tiny = {float(i): np.zeros((8, 12, 3), np.float32) for i in range(5)}
    result = evaluate(KnownModel(tiny), scene, long_side=12)
    assert result.psnr is None
    assert set(result.unscored) == {"day/0.jpg", "day/2.jpg", "day/4.jpg"}


def test_a_broken_model_is_an_error(scene: PosedScene, tmp_path: Path) -> None:
    pictures = exact(scene)
    pictures[2.0][3, 3] = np.nan
    with pytest.raises(TrainingError, match=r"day/2\.jpg"):
        evaluate(KnownModel(pictures), scene, long_side=None)


def test_a_missing_photo_is_an_error(scene: PosedScene) -> None:
    scene.test_views[1].image_path.unlink()
    with pytest.raises(FormatError, match=r"2\.png"):
        evaluate(KnownModel(exact(scene)), scene, long_side=None)


def test_mixed_sizes_state_the_common_one() -> None:
    views = {
        n: ViewEval(20.0, 0.5, w, 10, 0.1, False, None)
        for n, w in (("a", 20), ("b", 30), ("c", 30))
    }
    result = MethodEval("nerf", 7, views, {})
    assert result.width == 30
    assert result.to_json()["views"]["a"]["width"] == 20
    assert result.to_json()["parameters"] == 7


@given(st.sets(st.text(min_size=1, max_size=200), max_size=12))
def test_picture_files_are_portable_and_distinct(names: set[str]) -> None:
    files = picture_files(names)
    assert set(files) == names
    assert len({f.casefold() for f in files.values()}) == len(names)
    for file in files.values():
        assert file.endswith(".png")
        assert not file.startswith(".")
        assert not set(file) & set('/\\:*?"<>|\0\n')
        assert len(file.encode()) < 200


def test_picture_files_that_would_collide() -> None:
    files = picture_files(["a.jpg", "A.png", "b/c.jpg", "b__c.jpg", "../../x.jpg"])
    assert files["b/c.jpg"] == "b__c.png"
    assert len(set(files.values())) == 5
    assert picture_files(["IMG_0001.JPG"]) == {"IMG_0001.JPG": "IMG_0001.png"}
