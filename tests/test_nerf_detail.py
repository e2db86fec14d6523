"""Rays go where photos have detail, and count by the inverse."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from ball_scene import ball_scene, mean_psnr, small_field_options
from field_cases import MARCH, SHAPE, make_state
from numpy.typing import NDArray

from recon.errors import OptionError
from recon.kernels.field_ops import PHOTO_TILE, StepSettings, photo_tiles
from recon.kernels.ops import PinholeView

pytest.importorskip("recon.kernels.native_field", reason="native kernels not built")
from recon.kernels.field_tensors import TrainImage
from recon.kernels.native_field import FieldEngine
from recon.nerf import NerfOptions, NerfTrainer
from recon.nerf.detail import tile_shares

WHOLE = 2**32
# Two whole tiles and a bit in each direction.
WIDTH, HEIGHT = 2 * PHOTO_TILE + 3, 2 * PHOTO_TILE + 5
TILES = photo_tiles(WIDTH, HEIGHT)


def photo(seed: int = 3) -> NDArray[np.uint8]:
    """Noise that grows to the right and downwards."""
    rng = np.random.default_rng(seed)
    size = np.linspace(0.0, 1.0, WIDTH) * np.linspace(0.0, 1.0, HEIGHT)[:, None]
    noise = rng.uniform(-100.0, 100.0, (HEIGHT, WIDTH, 4)) * size[..., None]
    return (128.0 + noise).round().astype(np.uint8)


def parts_of(shares: NDArray[np.uint32]) -> NDArray[np.float64]:
    return np.diff(shares.astype(np.float64), prepend=0.0) / WHOLE


def expected_parts(
    rgba: NDArray[np.uint8], weight: NDArray[np.uint8], detail: float
) -> NDArray[np.float64]:
    """As the docstring of `tile_shares` says, pixel by pixel."""
    area, busy = np.zeros(TILES), np.zeros(TILES)
    across = math.ceil(WIDTH / PHOTO_TILE)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            tile = y // PHOTO_TILE * across + x // PHOTO_TILE
            square = 0.0
            for v, u in ((y, x + 1), (y + 1, x)):
                if v < HEIGHT and u < WIDTH:
                    square += sum(
                        (int(a) - int(b)) ** 2 for a, b in zip(rgba[v, u], rgba[y, x], strict=True)
                    )
            area[tile] += weight[y, x] / 255
            busy[tile] += weight[y, x] / 255 * math.sqrt(square)
    return (1 - detail) * area / area.sum() + detail * busy / busy.sum()


@pytest.mark.parametrize("detail", [0.0, 0.6])
@pytest.mark.parametrize("masked", [False, True])
def test_shares_follow_detail_and_area(detail: float, masked: bool) -> None:
    weight = np.full((HEIGHT, WIDTH), 255, np.uint8)
    if masked:
        weight[PHOTO_TILE:] = 0  # the last tiles have nothing that counts
        weight[:3, :5] = 100
    shares = tile_shares(photo(), weight if masked else None, detail)
    assert (shares.dtype, shares.shape) == (np.dtype(np.uint32), (TILES,))
    assert shares[-1] == WHOLE - 1
    assert np.abs(parts_of(shares) - expected_parts(photo(), weight, detail)).max() < 1e-8


def test_even_and_masked_photos() -> None:
    even = np.full((HEIGHT, WIDTH, 4), 77, np.uint8)
    areas = expected_parts(photo(), np.full((HEIGHT, WIDTH), 255, np.uint8), 0.0)
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    assert np.abs(parts_of(tile_shares(even, None, 0.9)) - areas).max() < 1e-8
    assert np.array_equal(tile_shares(photo(), nothing, 0.9), tile_shares(photo(), None, 0.9))
    one = tile_shares(even[:1, :1], None, 0.9)
    assert one.tolist() == [WHOLE - 1]


def mean_square(
    share: NDArray[np.uint32] | None, weight: NDArray[np.uint8] | None = None, spread: float = 1.0
) -> float:
    """The mean of the squared colours that a step of many rays finds, through an empty field."""
    view = PinholeView(
        WIDTH, HEIGHT, 20.0, 21.0, 8.0, 6.0, (1, 0, 0, 0, 1, 0, 0, 0, 1), (0.0, 0.0, 1.5)
    )
    state = make_state(photos=1)
    state.weights.occupied.zero_()
    engine = FieldEngine(SHAPE)
    engine.set_images(
        (
            TrainImage(
                view,
                torch.from_numpy(photo()),
                None if weight is None else torch.from_numpy(weight),
                None if share is None else torch.from_numpy(share),
            ),
        )
    )
    engine.use_grid(state.weights)
    settings = StepSettings(
        0, 1, 1 << 17, huber_delta=1.0, spread=spread, background=(0.0, 0.0, 0.0)
    )
    result = engine.train_step(state, MARCH, settings)
    assert result is not None
    return result.error


def squares(mask: NDArray[np.uint8] | None = None, fine: int = 16) -> NDArray[np.float64]:
    """The mean over a pixel (HEIGHT, WIDTH) of the squared colour of the photo, that is linear
    between the middles of pixels and, in parts that a mask lets count, made of those alone."""
    weight = np.ones((HEIGHT, WIDTH)) if mask is None else mask / 255.0
    stack = np.concatenate([photo()[..., :3] / 255.0 * weight[..., None], weight[..., None]], 2)
    wide = torch.nn.functional.interpolate(
        torch.from_numpy(stack).permute(2, 0, 1)[None],
        scale_factor=fine,
        mode="bilinear",
        align_corners=False,
    )[0].numpy()
    color = wide[:3] / np.maximum(wide[3:], 1e-12)
    square = np.square(color).mean(0)
    return square.reshape(HEIGHT, fine, WIDTH, fine).mean((1, 3))


def test_the_loss_is_the_mean_over_all_pixels_wherever_rays_go() -> None:
    weight = np.full((HEIGHT, WIDTH), 255, np.uint8)
    weight[:, : WIDTH // 2] = 0
    weight[PHOTO_TILE:, -1] = 128
    assert squares().std() > 0.1 * squares().mean()  # else any weights would do
    for mask in (None, weight):
        truth = (squares(mask) * (1.0 if mask is None else mask / 255.0)).mean()
        for detail in (0.0, 0.5, 0.9):
            shares = tile_shares(photo(), mask, detail)
            assert mean_square(shares, mask) == pytest.approx(truth, rel=5e-3)
        assert mean_square(None, mask) == pytest.approx(truth, rel=1e-2)


def test_without_spread_rays_go_through_the_middles_of_pixels() -> None:
    middles = np.square(photo() / 255.0)[..., :3].mean()
    assert middles > 1.01 * squares().mean()  # between pixels, noise is less
    assert mean_square(None, spread=0.0) == pytest.approx(middles, rel=4e-3)
    with pytest.raises(ValueError, match="pixel"):
        mean_square(None, spread=1.1)


def test_a_tile_has_its_part_of_the_rays() -> None:
    """All rays in one tile, each counting by that tile's area."""
    square = squares()
    across = math.ceil(WIDTH / PHOTO_TILE)
    for tile in (0, across - 1, across + 1, TILES - 1):
        shares = np.zeros(TILES, np.uint32)
        shares[tile:] = WHOLE - 1
        top, left = (PHOTO_TILE * i for i in divmod(tile, across))
        part = square[top : top + PHOTO_TILE, left : left + PHOTO_TILE]
        expected = part.mean() * part.size / square.size
        assert mean_square(shares) == pytest.approx(expected, rel=1e-2)


def test_training_with_and_without(tmp_path: Path) -> None:
    scene = ball_scene(tmp_path, transparent=True)
    for detail in (0.0, 0.9):
        trainer = NerfTrainer(scene, small_field_options(steps=200, detail=detail))
        list(trainer.run())
        assert mean_psnr(trainer.snapshot(), scene) > 18.0


@pytest.mark.parametrize("detail", [-0.1, 1.0, math.nan])
def test_impossible_parts_are_refused(detail: float) -> None:
    with pytest.raises(OptionError, match="follows detail"):
        dataclasses.replace(NerfOptions(), detail=detail)
