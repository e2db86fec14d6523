"""Composes the canvas of a comparison: panes, split, flicker, magnifier, labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recon.viewer.error_pane import ErrorKind
from recon.viewer.images import Rgb8, resize_rgb

Layout = Literal["Panes", "Split", "Flicker"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

GAP = 8
"""Pixels between panes and around them."""

ZOOM = 4
"""Enlargement of the magnifier, in canvas pixels per canvas pixel."""


@dataclass(frozen=True)
class Pane:
    """One picture with its caption. All panes of a comparison show the same view."""

    title: str
    image: Rgb8


@dataclass(frozen=True)
class Place:
    """Where a pane lies on the canvas, pixels."""

    x: int
    y: int
    width: int
    height: int

    def fraction(self, x: float, y: float) -> tuple[float, float] | None:
        """Canvas pixel to (u, v) in 0..1 inside the pane; None outside."""
        u, v = (x - self.x) / self.width, (y - self.y) / self.height
        return (u, v) if 0.0 <= u <= 1.0 and 0.0 <= v <= 1.0 else None


@dataclass(frozen=True)
class _Label:
    """A caption at a pane's upper corner, cut to `room` pixels."""

    x: int
    y: int
    text: str
    room: int
    right: bool = False


@dataclass(frozen=True)
class Arrangement:
    """How panes are laid out.

    Attributes:
        layout: all side by side, the first two with a divider, or one at a time.
        split: the divider's place, fraction of the picture's width.
        shown: the pane that Flicker shows.
        error: what the error pane shows.
        magnifier: (u, v) of its middle in the picture, or None.
        dark: whether the surround is dark.
        hint: a line at the bottom of the canvas, if that is wide enough.
    """

    layout: Layout = "Panes"
    split: float = 0.5
    shown: int = 0
    error: ErrorKind = "Absolute"
    magnifier: tuple[float, float] | None = None
    dark: bool = True
    hint: str = ""


def divider_at(arrangement: Arrangement, aspect: float, size: tuple[int, int]) -> float:
    """Where the divider lies on the canvas of `size`, as a fraction of its width."""
    spot = place_panes(1, aspect, *size)[0]
    return (spot.x + arrangement.split * spot.width) / size[0]


def hint_height(width: int) -> int:
    """Pixels kept free at the bottom of a canvas for the hint; none on a narrow one."""
    return 36 if width >= 480 else 0


def place_panes(count: int, aspect: float, width: int, height: int) -> list[Place]:
    """Equal places for `count` pictures of `aspect` in the grid that makes them largest."""
    height -= hint_height(width)
    best: tuple[float, int] = (0.0, 1)
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        cell_w = (width - GAP * (columns + 1)) / columns
        cell_h = (height - GAP * (rows + 1)) / rows
        best = max(best, (min(cell_w, cell_h * aspect), columns))
    pane_w = max(2, int(best[0]))
    pane_h = max(2, round(pane_w / aspect))
    columns = best[1]
    rows = -(-count // columns)
    left = (width - columns * pane_w - (columns - 1) * GAP) // 2
    top = (height - rows * pane_h - (rows - 1) * GAP) // 2
    return [
        Place(
            max(0, left + (index % columns) * (pane_w + GAP)),
            max(0, top + (index // columns) * (pane_h + GAP)),
            pane_w,
            pane_h,
        )
        for index in range(count)
    ]


def compose(
    panes: list[Pane], aspect: float, arrangement: Arrangement, width: int, height: int
) -> Rgb8:
    """The canvas, (height, width, 3); `aspect` is the pictures' width over height."""
    surround = 24 if arrangement.dark else 235
    canvas = np.full((height, width, 3), surround, np.uint8)
    if not panes:
        return canvas
    count = len(panes) if arrangement.layout == "Panes" else 1
    spots = place_panes(count, aspect, width, height)
    labels: list[_Label] = []
    if arrangement.layout == "Panes":
        for pane, spot in zip(panes, spots, strict=True):
            _paste(canvas, _magnified(pane.image, spot, arrangement.magnifier), spot)
            labels.append(_Label(spot.x, spot.y, pane.title, spot.width))
    elif arrangement.layout == "Split" and len(panes) > 1:
        spot = spots[0]
        left = _magnified(panes[0].image, spot, arrangement.magnifier)
        right = _magnified(panes[1].image, spot, arrangement.magnifier)
        column = min(max(round(arrangement.split * spot.width), 0), spot.width)
        both = np.concatenate([left[:, :column], right[:, column:]], axis=1)
        _paste(canvas, both, spot)
        _divider(canvas, spot, column)
        half = spot.width // 2
        labels.append(_Label(spot.x, spot.y, panes[0].title, half))
        labels.append(_Label(spot.x + spot.width, spot.y, panes[1].title, half, right=True))
    else:
        pane = panes[arrangement.shown % len(panes)]
        _paste(canvas, _magnified(pane.image, spots[0], arrangement.magnifier), spots[0])
        labels.append(_Label(spots[0].x, spots[0].y, pane.title, spots[0].width))
    return _with_text(canvas, labels, arrangement.hint)


def _paste(canvas: Rgb8, image: Rgb8, spot: Place) -> None:
    height = min(spot.height, canvas.shape[0] - spot.y)
    width = min(spot.width, canvas.shape[1] - spot.x)
    if height > 0 and width > 0:  # a window may be too small for all panes
        canvas[spot.y : spot.y + height, spot.x : spot.x + width] = image[:height, :width]


def _magnified(image: Rgb8, spot: Place, at: tuple[float, float] | None) -> Rgb8:
    """The picture at its place's size, with the magnifier's square drawn into it."""
    shown = resize_rgb(image, spot.width, spot.height)
    if at is None:
        return shown
    shown = shown.copy()
    side = max(24, int(0.4 * min(spot.width, spot.height)))
    left = min(max(round(at[0] * spot.width - side / 2), 0), max(0, spot.width - side))
    top = min(max(round(at[1] * spot.height - side / 2), 0), max(0, spot.height - side))
    side = min(side, spot.width, spot.height)
    # The square shows what lies under its own middle, ZOOM times larger, from the picture's own
    # pixels: unsmoothed, so that every pixel can be judged.
    scale_x, scale_y = image.shape[1] / spot.width, image.shape[0] / spot.height
    offsets = (np.arange(side) + 0.5 - side / 2) / ZOOM
    columns = np.clip((at[0] * spot.width + offsets) * scale_x, 0, image.shape[1] - 1)
    rows = np.clip((at[1] * spot.height + offsets) * scale_y, 0, image.shape[0] - 1)
    window = image[rows.astype(int)[:, None], columns.astype(int)[None, :]].copy()
    window[[0, 1, -2, -1]] = 255
    window[:, [0, 1, -2, -1]] = 255
    shown[top : top + side, left : left + side] = window
    return shown


def _divider(canvas: Rgb8, spot: Place, column: int) -> None:
    x = spot.x + column
    canvas[spot.y : spot.y + spot.height, max(0, x - 1) : x + 1] = 255
    middle, size = spot.y + spot.height // 2, 18
    grip = canvas[middle - size : middle + size, max(0, x - 5) : x + 5]
    grip[:] = 255


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _with_text(canvas: Rgb8, labels: list[_Label], hint: str) -> Rgb8:
    """Captions in the panes, the hint at the bottom."""
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image, "RGBA")
    for label in labels:
        small = label.room < 140
        font = _font(11 if small else 15)
        margin, height = (2, 16) if small else (6, 22)
        text = label.text
        while text and draw.textlength(text, font=font) > label.room - 2 * margin - 12:
            text = text[:-1]
        if not text:
            continue
        width = draw.textlength(text, font=font) + 12
        x0 = label.x - width - margin if label.right else label.x + margin
        y0 = label.y + margin
        draw.rounded_rectangle((x0, y0, x0 + width, y0 + height), 4, fill=(0, 0, 0, 170))
        draw.text((x0 + 6, y0 + 2), text, font=font, fill=(255, 255, 255, 255))
    if hint and hint_height(canvas.shape[1]):
        small = _font(13)
        width = draw.textlength(hint, font=small)
        x0, y0 = (image.width - width) / 2, image.height - 30
        draw.rounded_rectangle((x0 - 8, y0 - 3, x0 + width + 8, y0 + 19), 5, fill=(0, 0, 0, 140))
        draw.text((x0, y0), hint, font=small, fill=(255, 255, 255, 230))
    return np.asarray(image)


def message(text: str, width: int, height: int, dark: bool = True) -> Rgb8:
    """A canvas that only says something, in its middle."""
    image = Image.new("RGB", (width, height), (24, 24, 27) if dark else (235, 235, 235))
    draw = ImageDraw.Draw(image)
    ink = (230, 230, 230) if dark else (30, 30, 30)
    size = 18 if width >= 600 else 13
    lines = _wrap(text, max(20, int(width / (size * 0.6))))
    for index, line in enumerate(lines):
        y = height / 2 + (index - len(lines) / 2) * size * 1.5
        draw.text(
            ((width - draw.textlength(line, font=_font(size))) / 2, y),
            line,
            font=_font(size),
            fill=ink,
        )
    return np.asarray(image)


def _wrap(text: str, columns: int) -> list[str]:
    import textwrap

    return [part for line in text.splitlines() for part in textwrap.wrap(line, columns) or [""]]
