"""Models of a run in the viewer: trained, checkpoints, edits; ellipses and cutting."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_viewer_support import BallModel, ball_content, ball_scene

from recon.errors import BackendUnavailable, FormatError, OptionError
from recon.formats.splat_cloud import SplatCloud
from recon.geometry import Camera, look_at
from recon.model import RadianceModel, RenderOptions
from recon.viewer.box import Box, Cut
from recon.viewer.compare import Comparison
from recon.viewer.look import Look
from recon.viewer.shown import evaluated_layer, render_shown, shown_layer
from recon.viewer.workspace import NamedModel

try:
    from recon.kernels.field_ops import FEATURES, WEIGHTS, FieldShape, March
    from recon.kernels.field_tensors import FieldWeights
    from recon.nerf import NerfModel
    from recon.splat import SplatModel
    from recon.viewer.models import LazyModel, _edit, save_edit
    from recon.viewer.variants import as_ellipses, cut, write_ply
except BackendUnavailable as error:
    pytest.skip(f"splats need the native kernels: {error.what}", allow_module_level=True)


def cloud(count: int = 400) -> SplatCloud:
    rng = np.random.default_rng(3)
    f = np.float32
    return SplatCloud(
        means=rng.uniform(-1, 1, (count, 3)).astype(f),
        quats=np.tile(np.array([1, 0, 0, 0], f), (count, 1)),
        log_scales=np.full((count, 3), np.log(0.05), f),
        logit_opacities=np.where(np.arange(count) % 2, 2.0, -6.0).astype(f),
        sh=rng.normal(0, 0.5, (count, 4, 3)).astype(f),
    )


@pytest.fixture
def model() -> SplatModel:
    return SplatModel.from_cloud(cloud())


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return ball_scene(tmp_path, count=1).views[0].camera


def box(half: float = 0.5, angle: float = 0.0) -> Box:
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    return Box(np.zeros(3), np.full(3, half), rotation)


def test_a_box_knows_what_is_inside() -> None:
    points = np.array([[0.4, 0, 0], [0.6, 0, 0], [0.6, 0.0, 0.6]], np.float32)
    assert box().contains(points).tolist() == [True, False, False]
    assert box(angle=np.pi / 4).contains(points).tolist() == [True, True, False]


def test_a_box_has_twelve_edges_of_its_size() -> None:
    edges = box(half=0.5, angle=0.3).edges()
    assert edges.shape == (12, 2, 3)
    np.testing.assert_allclose(np.linalg.norm(edges[:, 0] - edges[:, 1], axis=1), 1.0, rtol=1e-6)


def test_cutting_parts_a_model_in_two(model: SplatModel) -> None:
    inside = cut(model, box(), keep_inside=True)
    outside = cut(model, box(), keep_inside=False)
    assert inside.size + outside.size == model.size
    assert isinstance(inside, SplatModel)
    assert np.abs(inside.to_cloud().means).max() <= 0.5
    assert model.size == 400, "the model itself stays whole"


def test_cutting_everything_is_refused(model: SplatModel) -> None:
    with pytest.raises(OptionError, match="no splat would be left"):
        cut(model, box(half=10), keep_inside=False)
    with pytest.raises(OptionError, match="not made of splats"):
        cut(BallModel(), box(), keep_inside=True)


@pytest.fixture
def fog() -> NerfModel:
    """The same grey fog everywhere."""
    shape = FieldShape(base=4, finest=16, log2_table=10, grid=32, half=1.0, density_bias=1.5)
    weights = FieldWeights(
        torch.zeros(shape.entries, FEATURES, dtype=torch.float16),
        torch.zeros(WEIGHTS),
        torch.full((32**3 // 8,), 255, dtype=torch.uint8),
    )
    return NerfModel(shape, March(near=0.05, far=6.0, shortest=0.02), weights)


def axis_alpha(model: RadianceModel, near: float = 0.0, *, quick: bool = False) -> float:
    """Opacity along the ray from (0, 0, -2) to (0, 0, 4), which begins at a depth of 0.05."""
    camera = Camera(1, 1, 1.0, 1.0, 0.5, 0.5, look_at((0, 0, -2), (0, 0, 0), (0, 1, 0)))
    return float(model.render(camera, RenderOptions(near=near, quick=quick)).alpha[0, 0])


def through(alpha: float) -> float:
    """Length of fog, in its own units, behind an opacity."""
    return -math.log(max(1.0 - alpha, 1e-12))


def test_a_field_is_cut_by_its_cells(fog: NerfModel, tmp_path: Path) -> None:
    inside = cut(fog, box(), keep_inside=True)
    outside = cut(fog, box(), keep_inside=False)
    assert isinstance(inside, NerfModel)
    assert isinstance(outside, NerfModel)
    assert inside.occupied + outside.occupied == fog.occupied == 32**3
    assert inside.occupied == 8**3, "a quarter of the middle half of the contracted cube"
    density = math.exp(1.5)
    # 1 of 4 units lies in the box.
    assert through(axis_alpha(inside)) == pytest.approx(density, rel=0.06)
    with pytest.raises(OptionError, match="nothing would be left"):
        cut(inside, box(), keep_inside=False)
    path = save_edit(tmp_path, "half", inside)
    named = _edit(path)
    assert (path.name, named.label) == ("nerf.half.safetensors", "nerf: half")
    assert axis_alpha(named.model) == axis_alpha(inside)


def test_a_field_heeds_the_near_plane(fog: NerfModel) -> None:
    inside = cut(fog, box(), keep_inside=True)
    density = math.exp(1.5)
    assert axis_alpha(inside, near=1.4) == axis_alpha(inside)
    # The box lies at depths of 1.5 to 2.5.
    assert through(axis_alpha(inside, near=2.0)) == pytest.approx(density / 2, rel=0.08)
    assert axis_alpha(inside, near=2.6) == 0.0


def test_a_quick_picture_of_a_field_is_nearly_the_same(fog: NerfModel) -> None:
    inside = cut(fog, box(), keep_inside=True)
    assert axis_alpha(inside, quick=True) != axis_alpha(inside)
    assert axis_alpha(inside, quick=True) == pytest.approx(axis_alpha(inside), abs=0.02)
    # A ray ends where 1 % of the light comes through.
    assert 0.99 <= axis_alpha(fog, quick=True) < axis_alpha(fog)


def test_the_shown_field_has_its_near_plane_and_preview(fog: NerfModel) -> None:
    named = NamedModel("nerf", "nerf", fog)
    camera = Camera(1, 1, 1.0, 1.0, 0.5, 0.5, look_at((0, 0, -2), (0, 0, 0), (0, 1, 0)))
    preview = Cut(box(), keep_inside=True)
    shown = render_shown(named, RenderOptions(near=2.0), "Colour", preview, camera)
    expected = axis_alpha(cut(fog, box(), keep_inside=True), near=2.0)
    assert float(shown.alpha[0, 0]) == expected
    ball = NamedModel("ball", "ball", BallModel())
    render_shown(ball, RenderOptions(), "Colour", preview, camera)  # has no cells to cut


def test_what_is_measured_is_a_still_and_what_is_looked_at_is_not(fog: NerfModel) -> None:
    named = NamedModel("nerf", "nerf", cut(fog, box(), keep_inside=True))
    camera = Camera(9, 7, 9.0, 9.0, 4.5, 3.5, look_at((0, 0, -2), (0, 0, 0), (0, 1, 0)))
    measured = evaluated_layer(named, camera, None)
    looked_at = shown_layer(named, camera, Look(), None, "Colour")
    still = named.model.render(camera, RenderOptions(still=True)).alpha
    np.testing.assert_array_equal(measured.render(camera).alpha, still)
    assert not np.array_equal(looked_at.render(camera).alpha, still)
    assert measured.key != looked_at.key  # one takes four times as long as the other


def test_ellipses_are_solid_small_and_made_once(model: SplatModel, camera: Camera) -> None:
    shown = as_ellipses(model)
    assert as_ellipses(model) is shown
    assert isinstance(shown, SplatModel)
    before, after = model.to_cloud(), shown.to_cloud()
    seen = before.logit_opacities > 0
    assert (after.logit_opacities[seen] > 2.5).all()
    assert (after.logit_opacities[~seen] < -10).all()
    assert (after.log_scales < before.log_scales).all()
    assert after.sh_degree == 0
    assert 0 < shown.render(camera).alpha.mean() < model.render(camera).alpha.mean()


def test_a_lazy_model_is_read_when_it_is_looked_at(model: SplatModel, camera: Camera) -> None:
    reads: list[int] = []

    def load() -> RadianceModel:
        reads.append(1)
        return model

    lazy = LazyModel("splat", load)
    assert isinstance(lazy, RadianceModel)
    assert NamedModel("a", "a", lazy).is_splats
    assert (lazy.method, lazy.size, reads) == ("splat", 0, [])
    np.testing.assert_array_equal(lazy.render(camera).color, model.render(camera).color)
    lazy.render(camera)
    assert reads == [1]
    assert lazy.size == model.size
    assert cut(lazy, box(), keep_inside=True).size > 0


def test_a_lazy_model_that_cannot_be_read_says_so(camera: Camera, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    lazy = LazyModel("splat", lambda: SplatModel.load(tmp_path / "broken.safetensors"))
    with pytest.raises(FormatError):
        lazy.render(camera)


def test_edits_are_saved_under_free_names(model: SplatModel, tmp_path: Path) -> None:
    first = save_edit(tmp_path, "clean", model)
    second = save_edit(tmp_path, "clean", model)
    assert [first.name, second.name] == ["clean.safetensors", "clean-2.safetensors"]
    assert SplatModel.load(second).size == model.size


def test_a_model_is_written_for_other_programs(model: SplatModel, tmp_path: Path) -> None:
    write_ply(model, tmp_path / "splats.ply")
    assert (tmp_path / "splats.ply").read_bytes().startswith(b"ply\n")
    with pytest.raises(OptionError):
        write_ply(BallModel(), tmp_path / "ball.ply")


def test_edits_are_compared_only_when_chosen(tmp_path: Path) -> None:
    content = ball_content(tmp_path)
    edit = NamedModel("edit", "edit", BallModel(), aside=True)
    content = replace(content, models=(*content.models, edit))
    assert [m.key for m in Comparison("a").methods(content, "ball")] == ["ball"]
    assert [m.key for m in Comparison("a").methods(content, "edit")] == ["edit", "ball"]
    # From a free camera there is nothing else to compare with.
    assert [m.key for m in Comparison(None).methods(content, "ball")] == ["ball", "edit"]


def test_rows_of_a_field_are_rendered_on_their_own(camera: Camera) -> None:
    """What the viewer relies on to refine a slow picture in bands."""
    from test_field_kernels import MARCH, SHAPE, make_state

    from recon.nerf import NerfModel
    from recon.viewer.images import crop_rows

    model = NerfModel(SHAPE, MARCH, make_state().weights)
    assert NamedModel("nerf", "nerf", model).bands
    whole = model.render(camera)
    part = model.render(crop_rows(camera, 40, 61))
    assert whole.alpha.max() > 0.5
    np.testing.assert_allclose(part.color, whole.color[40:61], atol=1e-4)
