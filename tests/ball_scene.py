"""A small analytic scene for the tests of training: a ball of coloured splats."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from recon.formats.images import load_rgb8
from recon.formats.splat_cloud import SplatCloud
from recon.geometry import Camera, Sim3, look_at
from recon.model import RadianceModel, RenderOptions
from recon.scene import PosedScene, SparsePoints, View
from recon.splat import SplatOptions

if TYPE_CHECKING:
    from recon.nerf import NerfOptions

SIZE = 64


def true_cloud(n: int = 300) -> SplatCloud:
    """A ball of coloured splats: the world that the photos show."""
    rng = np.random.default_rng(3)
    means = rng.normal(size=(n, 3))
    means *= 0.5 / np.linalg.norm(means, axis=1, keepdims=True)
    sh = np.zeros((n, 1, 3))
    sh[:, 0] = 1.5 * np.sin(4 * means) + 0.3
    return SplatCloud(
        means=means.astype(np.float32),
        quats=rng.normal(size=(n, 4)).astype(np.float32),
        log_scales=rng.normal(-2.8, 0.3, size=(n, 3)).astype(np.float32),
        logit_opacities=np.full(n, 2.0, np.float32),
        sh=sh.astype(np.float32),
    )


def ball_scene(folder: Path, *, transparent: bool = False) -> PosedScene:
    """17 photos of the ball on a ring, every 8th held out, with a noisy cloud. Behind the ball is
    black, or nothing: `transparent` photos with alpha, for a white background."""
    from recon.splat import SplatModel

    folder.mkdir(exist_ok=True)
    truth = SplatModel.from_cloud(true_cloud())
    views = []
    for i in range(17):
        angle = 2 * math.pi * i / 17
        camera = Camera(
            width=SIZE,
            height=SIZE,
            fx=70.0,
            fy=70.0,
            cx=SIZE / 2,
            cy=SIZE / 2,
            cam_from_world=look_at(
                [1.4 * math.cos(angle), 1.4 * math.sin(angle), 0.5], [0, 0, 0], [0, 0, 1]
            ),
        )
        out = truth.render(camera, RenderOptions())
        picture = out.color
        if transparent:
            alpha = out.alpha[..., None]
            picture = np.concatenate([picture / np.maximum(alpha, 1e-6), alpha], 2)
        path = folder / f"{i:02d}.png"
        Image.fromarray((255 * picture.clip(0, 1) + 0.5).astype(np.uint8)).save(path)
        views.append(View(path.name, path, camera, "test" if i % 8 == 0 else "train"))
    rng = np.random.default_rng(0)
    cloud = true_cloud()
    keep = rng.choice(len(cloud), 100, replace=False)
    xyz = cloud.means[keep] + rng.normal(0, 0.01, (100, 3)).astype(np.float32)
    rgb = np.full((100, 3), 128, np.uint8)
    points = SparsePoints(xyz.astype(np.float32), rgb)
    return PosedScene(
        tuple(views), points, Sim3(), background=(1.0, 1.0, 1.0) if transparent else None
    )


def mean_psnr(model: RadianceModel, scene: PosedScene) -> float:
    values = []
    for view in scene.test_views:
        size = (view.camera.width, view.camera.height)
        truth = load_rgb8(view.image_path, *size, scene.background).astype(np.float32) / 255
        options = RenderOptions(background=scene.background or (0.0, 0.0, 0.0))
        mse = np.mean((model.render(view.camera, options).color.clip(0, 1) - truth) ** 2)
        values.append(-10 * math.log10(mse))
    return float(np.mean(values))


def small_options(**changes: object) -> SplatOptions:
    base = SplatOptions(
        steps=200,
        max_splats=400,
        start_factor=2.0,
        grow_every=20,
        eval_every=None,
        checkpoint_every=1e9,
        threads=2,
    )
    return dataclasses.replace(base, **changes)


def small_field_options(**changes: object) -> NerfOptions:
    from recon.nerf import NerfOptions

    base = NerfOptions(
        steps=40,
        log2_table=12,
        finest=128,
        grid=32,
        open_grid=32,
        first_batch=2048,
        batch=4096,
        step_length=0.03,
        cone=1 / 32,
        eval_every=None,
        checkpoint_every=1e9,
        threads=2,
    )
    return dataclasses.replace(base, **changes)
