"""The error pane: absolute, signed and FLIP; what it costs once is not paid again."""

from __future__ import annotations

import numpy as np
import pytest
from test_viewer_support import BallModel, ball_scene

from recon.errors import BackendUnavailable, OptionError
from recon.metrics import ERROR_FULL_SCALE, error_map, flip, flip_installed, flip_map
from recon.viewer import compare, error_pane
from recon.viewer.compare import ComparisonPicture, Rendered
from recon.viewer.error_pane import available_kinds, colour_stops, map_error
from recon.viewer.images import to_rgb8
from recon.viewer.workspace import NamedModel

needs_flip = pytest.mark.skipif(not flip_installed(), reason="flip-evaluator is not installed")


def grey(value: int, width: int = 40, height: int = 30) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_the_signed_error_tells_light_from_dark() -> None:
    truth, render = grey(128), grey(128)
    render[:, :10] += 64
    render[:, 30:] -= 64
    shown = map_error("Lighter, darker", render, truth).picture
    assert (shown[0, 5, 0] > shown[0, 5, 2]).all()
    assert (shown[0, 35, 2] > shown[0, 35, 0]).all()
    assert shown[0, 20].tolist() == [255, 255, 255]


def test_the_absolute_error_is_the_one_of_reports() -> None:
    rng = np.random.default_rng(0)
    truth, render = (rng.integers(0, 256, (30, 40, 3), dtype=np.uint8) for _ in range(2))
    render = (0.8 * truth + 0.2 * render).astype(np.uint8)
    shown = map_error("Absolute", render, truth)
    expected = np.abs(render.astype(float) - truth).mean(axis=-1) / 255 / ERROR_FULL_SCALE
    np.testing.assert_allclose(shown.places, np.minimum(expected, 1), atol=1e-6)
    # Rounding decides between neighbouring colours of the table, now and then.
    apart = np.abs(shown.picture.astype(int) - error_map(render, truth)).max(axis=-1)
    assert (apart > 0).mean() < 0.01


@pytest.mark.parametrize("kind", ["Absolute", "Lighter, darker"])
def test_the_stops_of_a_page_make_the_same_colours(kind: error_pane.ErrorKind) -> None:
    """A page colours its maps by straight lines between the stops, as SVG's table does."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    shown = map_error(kind, np.roll(truth // 4 * 3, 1, axis=0), truth)
    stops = np.array(colour_stops(kind), float)
    at = shown.places.astype(float) * (len(stops) - 1)
    low = np.minimum(at.astype(int), len(stops) - 2)
    part = (at - low)[..., None]
    coloured = (1 - part) * stops[low] + part * stops[low + 1]
    # The pane rounds to 256 colours: half a step of the steepest line is 1.3.
    assert np.abs(coloured - shown.picture).max() < 3


@needs_flip
def test_flip_is_nought_for_equal_pictures_and_grows_with_the_difference() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    assert flip_map(truth, truth).max() == 0
    means = [flip_map(grey(value), grey(100)).mean() for value in (110, 140, 200)]
    assert 0 < means[0] < means[1] < means[2] < 1
    # White beside black is the largest difference that there is.
    assert flip_map(grey(255), grey(0)).mean() > 0.95
    with pytest.raises(OptionError):
        flip_map(grey(0), grey(0, width=41))


@needs_flip
def test_flip_shows_where_the_difference_is() -> None:
    truth, render = grey(120, 200, 100), grey(120, 200, 100)
    render[40:60, 20:40] = (250, 30, 30)
    found = flip_map(render, truth)
    assert found.shape == (100, 200)
    assert found[45:55, 25:35].min() > 10 * max(found[:, 150:].max(), 1e-6)


def test_without_the_package_flip_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_pane, "flip_installed", lambda: False)
    assert "FLIP" not in available_kinds()
    monkeypatch.setitem(__import__("sys").modules, "flip_evaluator", None)
    with pytest.raises(BackendUnavailable, match="pip install flip-evaluator"):
        flip.flip_map(grey(1), grey(2))


def test_an_error_is_computed_once(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counting(kind: error_pane.ErrorKind, *pictures: np.ndarray) -> error_pane.ErrorMap:
        made.append(kind)
        return map_error(kind, *pictures)

    monkeypatch.setattr(compare, "map_error", counting)
    view = ball_scene(tmp_path_factory.mktemp("ball"), count=1).views[0]
    truth = to_rgb8(BallModel().render(view.camera).color)
    image = to_rgb8(BallModel(dim=0.9).render(view.camera).color)
    named = NamedModel("ball", "ball", BallModel())
    picture = ComparisonPicture(
        view.camera.width, view.camera.height, (Rendered(named, image),), True, view, truth
    )
    for kind in ("Absolute", "Lighter, darker", "Absolute"):
        panes = picture.panes(kind)
        assert len(panes) == picture.pane_count == 3
    assert made == ["Absolute", "Lighter, darker"]
