"""Splats per pixel and the near plane of a splat model, against models of fewer splats."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from recon.errors import BackendUnavailable
from recon.formats.splat_cloud import SplatCloud
from recon.geometry import Camera, look_at
from recon.model import RenderOptions

try:
    from recon.splat import SplatModel
except BackendUnavailable as error:
    pytest.skip(f"splats need the native kernels: {error.what}", allow_module_level=True)

F = np.float32


def camera(width: int = 61, height: int = 47) -> Camera:
    pose = look_at(np.array([0.0, -3.0, 0.3]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    return Camera(width, height, 50.0, 52.0, 28.0, 25.0, pose)


def cloud(count: int = 60) -> SplatCloud:
    rng = np.random.default_rng(8)
    return SplatCloud(
        means=rng.uniform(-1.2, 1.2, (count, 3)).astype(F),
        quats=rng.normal(0, 1, (count, 4)).astype(F),
        log_scales=rng.uniform(-4, -0.8, (count, 3)).astype(F),
        logit_opacities=rng.uniform(-7, 4, count).astype(F),
        sh=rng.normal(0, 0.5, (count, 4, 3)).astype(F),
    )


def only(whole: SplatCloud, chosen: np.ndarray) -> SplatModel:
    parts = {f.name: np.ascontiguousarray(getattr(whole, f.name)[chosen]) for f in fields(whole)}
    return SplatModel.from_cloud(SplatCloud(**parts))


def test_coverage_is_the_sum_of_what_each_splat_covers() -> None:
    whole = cloud()
    alone = [only(whole, np.array([i])).render(camera()).alpha > 0 for i in range(60)]
    expected = np.sum(alone, axis=0)
    found = SplatModel.from_cloud(whole).coverage(camera())
    assert found.dtype == np.int32
    assert expected.max() > 8
    # A pixel centre on an ellipse's edge may fall on either side of it.
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.01


def test_coverage_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SplatModel.from_cloud(cloud())
    at_once = model.coverage(camera())
    monkeypatch.setattr("recon.splat.coverage._SPANS_AT_ONCE", 37)
    np.testing.assert_array_equal(model.coverage(camera()), at_once)


def test_nothing_in_sight_covers_nothing() -> None:
    behind = cloud(5)
    behind.means[:, 1] = -9.0
    assert SplatModel.from_cloud(behind).coverage(camera()).sum() == 0


def test_the_near_plane_leaves_out_what_is_nearer() -> None:
    whole = cloud()
    model = SplatModel.from_cloud(whole)
    z = whole.means @ camera().cam_from_world[2, :3].astype(F) + F(camera().cam_from_world[2, 3])
    near = float(np.median(z))
    whole_render = model.render(camera())
    options = RenderOptions(near=near, depth=True)
    clipped = model.render(camera(), options)
    expected = only(whole, np.nonzero(z >= near)[0]).render(camera(), RenderOptions(depth=True))
    np.testing.assert_array_equal(clipped.color, expected.color)
    assert clipped.depth is not None
    np.testing.assert_array_equal(clipped.depth, expected.depth)
    assert np.abs(clipped.color - whole_render.color).max() > 0.05
    # And the model is whole again without it.
    np.testing.assert_array_equal(model.render(camera()).color, whole_render.color)
