"""An analytic model and a small capture of it, for the viewer's tests; and tests of the fakes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from recon.geometry import Camera, Sim3, look_at
from recon.model import RadianceModel, RenderOptions, RenderOutput
from recon.scene import PosedScene, SparsePoints, View
from recon.viewer.images import crop_rows
from recon.viewer.workspace import Content, MethodScore, NamedModel, ViewScore

OPTIONS = RenderOptions()


@dataclass
class BallModel:
    """A shaded ball on a chequered floor, traced exactly; `dim` scales its colours.

    Attributes:
        method: name of the method.
        delay: seconds that each render takes at least.
        sizes: (width, height) of every render so far.
        broken: raise instead of rendering.
    """

    dim: float = 1.0
    method: str = "ball"
    delay: float = 0.0
    broken: bool = False

    def __post_init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        return 2

    def save(self, path: Path) -> None:
        path.write_text("ball", encoding="utf-8")

    def render(self, camera: Camera, options: RenderOptions = OPTIONS) -> RenderOutput:
        if self.broken:
            raise RuntimeError("the ball burst")
        time.sleep(self.delay)
        self.sizes.append((camera.width, camera.height))
        v, u = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
        rays = np.stack(
            [(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1
        )
        rays = rays @ camera.cam_from_world[:3, :3]
        eye = camera.centre
        color = np.broadcast_to(np.array(options.background), rays.shape).copy()
        depth = np.zeros(u.shape)
        floor = np.where(rays[..., 2] < -1e-6, (-0.4 - eye[2]) / np.minimum(rays[..., 2], -1e-6), 0)
        hit = eye + floor[..., None] * rays
        on_floor = (floor > 0) & (np.abs(hit[..., :2]).max(axis=-1) < 1.5)
        tile = (np.floor(hit[..., 0] * 4) + np.floor(hit[..., 1] * 4)) % 2
        color[on_floor] = np.where(tile[..., None] > 0, (0.8, 0.75, 0.6), (0.2, 0.25, 0.4))[
            on_floor
        ]
        depth[on_floor] = floor[on_floor]
        a = (rays**2).sum(-1)
        b = (rays * eye).sum(-1)
        inside = b * b - a * (eye @ eye - 0.4**2)
        near = (-b - np.sqrt(np.maximum(inside, 0))) / a
        ball = (inside > 0) & (near > 0)
        normal = (eye + near[..., None] * rays) / 0.4
        shade = 0.3 + 0.7 * np.clip(normal @ np.array([0.5, -0.3, 0.8]), 0, 1)
        color[ball] = (shade[..., None] * np.array([0.9, 0.3, 0.2]))[ball]
        depth[ball] = near[ball]
        alpha = (ball | on_floor).astype(np.float32)
        color = np.where(alpha[..., None] > 0, color * self.dim, color)
        return RenderOutput(
            color=color.astype(np.float32),
            alpha=alpha,
            depth=depth.astype(np.float32) if options.depth else None,
        )


def ball_scene(folder: Path, count: int = 10, width: int = 160, height: int = 120) -> PosedScene:
    """`count` photos of the ball from a ring of cameras, every fourth held out.

    The principal points are off the middle, as undistortion leaves them.
    """
    truth = BallModel()
    views: list[View] = []
    for index in range(count):
        angle = 2 * np.pi * index / count
        eye = np.array([1.6 * np.cos(angle), 1.6 * np.sin(angle), 0.6 + 0.05 * index])
        camera = Camera(
            width, height, 1.1 * width, 1.1 * width, 0.53 * width, 0.48 * height,
            look_at(eye, (0, 0, 0), (0, 0, 1)),
        )  # fmt: skip
        path = folder / f"photo_{index:02d}.png"
        color = truth.render(camera).color
        Image.fromarray((np.clip(color, 0, 1) * 255 + 0.5).astype(np.uint8)).save(path)
        views.append(View(path.name, path, camera, "test" if index % 4 == 0 else "train"))
    rng = np.random.default_rng(7)
    xyz = rng.normal(size=(500, 3))
    xyz = 0.4 * xyz / np.linalg.norm(xyz, axis=1, keepdims=True)
    points = SparsePoints(xyz.astype(np.float32), np.full((500, 3), 200, np.uint8))
    return PosedScene(tuple(views), points, Sim3(), failed=(("blurred.jpg", "too few matches"),))


def ball_content(folder: Path, model: BallModel | None = None, **scene_sizes: int) -> Content:
    """A ready workspace content: one model, scores worst first at photo_08."""
    scene = ball_scene(folder, **scene_sizes)
    model = model or BallModel(dim=0.9)
    psnrs = {v.name: 30.0 - index for index, v in enumerate(scene.test_views)}
    score = MethodScore(
        "ball", 28.0, 0.9, 60.0, 2, {name: ViewScore(p, 0.9) for name, p in psnrs.items()}
    )
    named = NamedModel("ball", "ball", model)
    return Content("ready", "", "ball", scene, (named,), (score,))


def test_the_ball_is_a_model() -> None:
    assert isinstance(BallModel(), RadianceModel)


def test_the_ball_renders_equal_in_bands(tmp_path: Path) -> None:
    camera = ball_scene(tmp_path, count=1).views[0].camera
    whole = BallModel().render(camera, RenderOptions(depth=True))
    part = BallModel().render(crop_rows(camera, 30, 50), RenderOptions(depth=True))
    np.testing.assert_array_equal(whole.color[30:50], part.color)
    assert whole.depth is not None
    assert part.depth is not None
    np.testing.assert_array_equal(whole.depth[30:50], part.depth)


def test_the_photos_are_the_ball(tmp_path: Path) -> None:
    view = ball_scene(tmp_path, count=2).views[1]
    photo = np.asarray(Image.open(view.image_path)) / 255.0
    assert np.abs(photo - BallModel().render(view.camera).color).max() < 0.003
    assert replace(view, split="test").split == "test"
