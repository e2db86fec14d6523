"""Render the bundled ``studio`` scene: a furnished room with a table full of things.

Everything in it is made by this script: the geometry with numpy, the textures with numpy and
Pillow, the pictures with the path tracer Cycles. Nothing is downloaded. The result is

    studio/images/NNN.jpg          the photographs, numbered along a hand-held camera path
    studio/truth/transforms.json   the true pinhole camera and poses (nerfstudio convention)
    studio/truth/depth/NNN.png     true z-depth, 16 bit, millimetres, at half resolution

How to run it (CPU only; Python 3.11 for bpy 4.2 to 5.0):

    pip install "bpy==5.0.1" "pillow>=10.1"
    python make_studio.py                      # the committed set
    python make_studio.py --width 320 --samples 16 --only 0,12,24 --out /tmp/preview

A run can be interrupted and started again: pictures and depth maps that exist are skipped (delete
them to have them made anew). With a fixed --seed the same scene and camera path come out.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
import zlib
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector
from PIL import Image, ImageDraw, ImageFilter, ImageFont

ROOM_X, ROOM_Y, ROOM_Z = 2.8, 2.5, 2.7  # half width, half depth, height in metres
TABLE_Z = 0.76
FOV_DEGREES = 62.0


class Context:
    """What the whole script shares: the seed and where textures are kept."""

    seed = 7
    textures = Path(".")


def rng_for(name: str) -> np.random.Generator:
    """A generator of its own for each named thing, so that changing one leaves the others."""
    return np.random.default_rng([Context.seed, zlib.crc32(name.encode())])


# ------------------------------------------------------------------------------------------------
# Noise and colour
# ------------------------------------------------------------------------------------------------


def value_noise(rng, height: int, width: int, cell_y: float, cell_x: float) -> np.ndarray:
    """Smooth noise: a random grid of the given cell size, enlarged bicubically."""
    rows, cols = math.ceil(height / cell_y) + 4, math.ceil(width / cell_x) + 4
    grid = Image.fromarray(rng.standard_normal((rows, cols)).astype(np.float32))
    box = (1.5, 1.5, 1.5 + width / cell_x, 1.5 + height / cell_y)
    return np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC, box=box))


def fbm(rng, height, width, cell, octaves=5, gain=0.55, stretch=(1.0, 1.0)) -> np.ndarray:
    """Fractal noise with mean 0 and deviation 1. stretch: factors on the cell size (y, x)."""
    total = np.zeros((height, width), np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        total += amplitude * value_noise(
            rng, height, width, max(cell * stretch[0], 1.0), max(cell * stretch[1], 1.0)
        )
        amplitude *= gain
        cell /= 2.0
        if cell * max(stretch) < 1.0:
            break
    return (total - total.mean()) / (total.std() + 1e-9)


def ramp(t: np.ndarray, *colours) -> np.ndarray:
    """Piecewise linear colours over t in 0..1."""
    table = np.asarray([rgb(c) for c in colours], np.float32)
    stops = np.linspace(0.0, 1.0, len(table))
    return np.stack([np.interp(t, stops, table[:, k]) for k in range(3)], -1).astype(np.float32)


def rgb(colour) -> tuple[float, float, float]:
    """'#rrggbb' or a tuple of 0..1 as a tuple of 0..1."""
    if isinstance(colour, str):
        return tuple(int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5))
    return tuple(colour)


def ink(colour) -> tuple[int, int, int]:
    """A colour for Pillow."""
    return tuple(int(round(255 * min(max(c, 0.0), 1.0))) for c in rgb(colour))


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def to_image(array: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(array, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))


def to_array(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), np.float32) / 255.0


def font(size: float):
    return ImageFont.load_default(size=max(6, size))


def aged(image, name: str, amount=0.05, grain=0.03) -> np.ndarray:
    """A print on paper or cloth: blotches and fine grain over it, so that no part is flat."""
    array = to_array(image) if isinstance(image, Image.Image) else image
    rng = rng_for("aged " + name)
    height, width = array.shape[:2]
    factor = 1.0 + amount * fbm(rng, height, width, width / 5, 7, 0.6)
    factor += grain * rng.standard_normal((height, width)).astype(np.float32)
    return np.clip(array * factor[..., None], 0.0, 1.0)


# ------------------------------------------------------------------------------------------------
# Textures: each returns an RGB array (height, width, 3) of 0..1, sRGB encoded
# ------------------------------------------------------------------------------------------------

OAK = ("#6b4a2c", "#8d6640", "#a98257", "#c3a176")
WALNUT = ("#2e1b10", "#4b2f1d", "#6a452b", "#8a6140")
PINE = ("#9b7142", "#bd9259", "#d3ae78", "#e2c798")
SMOKED = ("#33302c", "#4f4942", "#6a6157", "#857a6c")


def wood(rng, height, width, palette, period=26.0) -> np.ndarray:
    """Flat-sawn timber, its fibres along x."""
    y = np.arange(height, dtype=np.float32)[:, None]
    bend = fbm(rng, height, width, 150, 3, 0.5, (0.9, 4.0))
    rings = (y / period + 1.1 * bend + rng.uniform(0, 9)) % 1.0
    rings = np.where(rings < 0.8, rings / 0.8, (1.0 - rings) / 0.2)
    fibre = fbm(rng, height, width, 5, 3, 0.7, (0.5, 16.0))
    cloud = fbm(rng, height, width, 200, 3, 0.5, (1.0, 2.0))
    t = 0.5 + 0.28 * (rings - 0.5) + 0.11 * fibre + 0.09 * cloud
    pores = smoothstep(1.5, 2.2, fbm(rng, height, width, 2.2, 1, 0.5, (0.7, 12.0)))
    colour = ramp(np.clip(t, 0, 1), *palette[::-1]) * (1.0 - 0.3 * pores[..., None])
    for _ in range(rng.poisson(width * height / 350_000)):  # knots
        ky, kx = rng.uniform(0, height), rng.uniform(0, width)
        size = rng.uniform(0.15, 0.5) * period
        x = np.arange(width, dtype=np.float32)[None, :]
        distance = np.hypot((y - ky) / size, (x - kx) / (1.8 * size))
        distance = distance + 0.15 * fibre
        mask = np.exp(-(distance**2) * 0.7)[..., None]
        swirl = 0.5 + 0.5 * np.sin(9.0 * distance)[..., None]
        colour = colour * (1 - mask) + mask * (np.array(rgb(palette[0])) * (0.55 + 0.35 * swirl))
    return colour


def planks(name, height, width, rows, palette, length=(0.25, 0.5), gap=2.0) -> np.ndarray:
    """Boards along x, every one of its own wood and tone."""
    rng = rng_for(name)
    out = np.zeros((height, width, 3), np.float32)
    edges = np.linspace(0, height, rows + 1).astype(int)
    for top, bottom in zip(edges[:-1], edges[1:], strict=True):
        x = -int(rng.uniform(0, length[0]) * width)
        while x < width:
            size = int(rng.uniform(*length) * width)
            board = wood(rng, bottom - top, size, palette, rng.uniform(14, 40))
            board = board * rng.uniform(0.74, 1.2) * (1.0 + rng.normal(0, 0.025, 3))
            across = np.arange(bottom - top, dtype=np.float32)[:, None]
            along = np.arange(size, dtype=np.float32)[None, :]
            edge = np.minimum(np.minimum(across, bottom - top - 1 - across), along)
            edge = np.minimum(edge, size - 1 - along)
            board = board * (0.28 + 0.72 * smoothstep(-0.5, gap, edge))[..., None]
            first, last = max(x, 0), min(x + size, width)
            out[top:bottom, first:last] = board[:, first - x : last - x]
            x += size
    scuffs = smoothstep(1.2, 2.6, fbm(rng, height, width, 90, 6, 0.7))
    return np.clip(out * (1.0 + 0.18 * scuffs[..., None]), 0, 1)


def bricks(name, height, width, rows) -> np.ndarray:
    """Old brickwork, lime-washed in places."""
    rng = rng_for(name)
    size_y = height / rows
    size_x = size_y * 3.1
    y = np.arange(height, dtype=np.float32)[:, None] + 1.6 * fbm(rng, height, width, 24, 4)
    x = np.arange(width, dtype=np.float32)[None, :] + 1.6 * fbm(rng, height, width, 24, 4)
    row = np.clip(np.floor(y / size_y), 0, rows).astype(int)
    shift = rng.normal(0, 0.06, rows + 1) + 0.5 * (np.arange(rows + 1) % 2) + 1.0
    column_real = x / size_x + shift[row]
    column = np.clip(np.floor(column_real), 0, 400).astype(int)
    in_y, in_x = y / size_y - row, column_real - column
    edge = np.minimum(np.minimum(in_y, 1 - in_y), np.minimum(in_x, 1 - in_x) * 3.1) * size_y
    brick = smoothstep(1.6, 4.6, edge + 0.7 * fbm(rng, height, width, 7, 3))
    tone = rng.beta(2.0, 2.0, (rows + 1, 401))[row, column]
    light = rng.normal(1.0, 0.13, (rows + 1, 401))[row, column]
    colour = ramp(tone, "#6f3526", "#9a4f37", "#b0664a", "#c78a68", "#a8735c") * light[..., None]
    rough = 0.11 * fbm(rng, height, width, 14, 5, 0.75)
    spots = smoothstep(1.6, 2.4, fbm(rng, height, width, 5, 2))
    colour = colour * (1.0 + rough - 0.45 * spots)[..., None]
    mortar = ramp(0.5 + 0.2 * fbm(rng, height, width, 5, 3, 0.8), "#8d8479", "#b9b0a2", "#d3cbbd")
    colour = mortar + (colour - mortar) * brick[..., None]
    wash = smoothstep(0.5, 1.9, fbm(rng, height, width, 420, 8, 0.62))[..., None] * 0.6
    return np.clip(colour + (np.array(rgb("#d9d1c4")) - colour) * wash, 0, 1)


def limewash(name, height, width, *colours) -> np.ndarray:
    """Brushed plaster: cloudy, with visible strokes, specks and a few hairline cracks."""
    rng = rng_for(name)
    cloud = 0.5 + 0.2 * fbm(rng, height, width, width / 9, 8, 0.62)
    strokes = fbm(rng, height, width, 22, 3, 0.6, (0.35, 3.0)) * 0.05
    strokes += fbm(rng, height, width, 22, 3, 0.6, (3.0, 0.35)) * 0.05
    colour = ramp(np.clip(cloud + strokes, 0, 1), *colours)
    crack = np.abs(fbm(rng, height, width, width / 12, 6, 0.55))
    near = smoothstep(0.2, 1.6, fbm(rng, height, width, width / 5, 2))
    colour = colour * (1.0 - 0.45 * (1.0 - smoothstep(0.0, 0.03, crack)) * near)[..., None]
    specks = smoothstep(2.0, 2.7, fbm(rng, height, width, 4, 2))
    pale = smoothstep(2.0, 2.7, fbm(rng, height, width, 6, 2))
    return np.clip(colour * (1.0 - 0.3 * specks + 0.16 * pale)[..., None], 0, 1)


def marble(name, height, width, *colours) -> np.ndarray:
    rng = rng_for(name)
    warp = fbm(rng, height, width, width / 4, 7, 0.6)
    veins = 1.0 - smoothstep(0.0, 0.35, np.abs(fbm(rng, height, width, width / 5, 6) + 0.5 * warp))
    thin = 1.0 - smoothstep(0.0, 0.12, np.abs(fbm(rng, height, width, width / 9, 5, 0.6)))
    t = np.clip(0.35 + 0.1 * warp - 0.55 * veins**2 - 0.3 * thin + 0.3, 0, 1)
    return ramp(t, *colours)


def speckled(name, height, width, base, spot, amount=1.0) -> np.ndarray:
    """Stoneware glaze with iron specks."""
    rng = rng_for(name)
    colour = np.ones((height, width, 3), np.float32) * rgb(base)
    colour = colour * (1.0 + 0.07 * fbm(rng, height, width, width / 6, 6))[..., None]
    for cell, low in ((3.0, 1.7), (7.0, 1.9), (12.0, 2.2)):
        mask = smoothstep(low, low + 0.5, fbm(rng, height, width, cell, 2)) * amount
        colour = colour + (np.array(rgb(spot)) - colour) * np.clip(mask, 0, 1)[..., None]
    drip = 0.2 + 0.06 * fbm(rng, 1, width, width / 14, 4)
    y = np.linspace(1, 0, height)[:, None]
    return np.clip(colour * (1.0 - 0.35 * smoothstep(-0.02, 0.02, drip - y))[..., None], 0, 1)


def leaf_polygon(x, y, length, width, angle, bend=0.0, steps=9):
    """The outline of a pointed leaf that starts at (x, y)."""
    left, right = [], []
    for s in np.linspace(0.0, 1.0, steps):
        heading = angle + bend * s
        cx, cy = x + length * s * math.cos(heading), y + length * s * math.sin(heading)
        half = width * math.sin(math.pi * s**0.8) * 0.5
        left.append((cx - half * math.sin(heading), cy + half * math.cos(heading)))
        right.append((cx + half * math.sin(heading), cy - half * math.cos(heading)))
    return left + right[::-1]


def wallpaper(name, height, width) -> np.ndarray:
    """A botanical paper, drawn stem by stem, none like another."""
    rng = rng_for(name)
    image = Image.new("RGB", (width, height), ink("#24424a"))
    draw = ImageDraw.Draw(image)
    greens = ["#4f7a5c", "#6d9468", "#8fae7c", "#3c6658", "#a9b98b", "#2f5750", "#c2b37c"]
    petals = ["#d9a08b", "#e3c6a1", "#c77a6a", "#e8ddc8", "#b98aa0", "#d8b25f"]
    for _ in range(int(width * height / 9000)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        angle, turn = rng.uniform(0, 2 * math.pi), rng.normal(0, 0.09)
        stem = [(x, y)]
        colour = ink(greens[rng.integers(len(greens))])
        size = rng.uniform(26, 62)
        for step in range(rng.integers(5, 10)):
            x, y = x + 17 * math.cos(angle), y + 17 * math.sin(angle)
            stem.append((x, y))
            angle += turn
            for side in (-1, 1):
                tilt = angle + side * rng.uniform(0.5, 1.0)
                length = size * (1.0 - 0.07 * step) * rng.uniform(0.7, 1.1)
                shape = leaf_polygon(x, y, length, length * 0.34, tilt, -side * 0.4)
                shade = tuple(int(c * rng.uniform(0.75, 1.2)) for c in colour)
                draw.polygon(shape, fill=shade)
                draw.line([shape[0], shape[8]], fill=ink("#1d363b"), width=2)
        draw.line(stem, fill=ink("#1f3a36"), width=3)
        if rng.uniform() < 0.55:
            colour = ink(petals[rng.integers(len(petals))])
            count, radius = rng.integers(5, 9), rng.uniform(13, 30)
            for k in range(count):
                a = 2 * math.pi * k / count + angle
                shape = leaf_polygon(x, y, radius, radius * 0.6, a)
                draw.polygon(shape, fill=colour, outline=ink("#5d4038"))
            r = radius * 0.26
            draw.ellipse((x - r, y - r, x + r, y + r), fill=ink("#7a4a2a"))
    return aged(image, name, 0.07, 0.035)


def rug(name, height, width) -> np.ndarray:
    """A kilim of irregular diamonds, combs and bands."""
    rng = rng_for(name)
    palette = ["#7d2a26", "#a8452f", "#c98544", "#e0c48d", "#27445c", "#3f6d73", "#efe3c8", "#3a2620"]
    image = Image.new("RGB", (width, height), ink("#7d2a26"))
    draw = ImageDraw.Draw(image)

    def pick():
        return ink(palette[rng.integers(len(palette))])

    def diamond(x, y, rx, ry, layers):
        for k in range(layers):
            s = 1.0 - k / layers
            points = [(x - rx * s, y), (x, y - ry * s), (x + rx * s, y), (x, y + ry * s)]
            draw.polygon(points, fill=pick())

    y = 0.0
    while y < height:
        band = rng.uniform(0.035, 0.13) * height
        draw.rectangle((0, y, width, y + band), fill=pick())
        x = -rng.uniform(0, band)
        while x < width + band:
            step = band * rng.uniform(0.5, 1.3)
            kind = rng.integers(4)
            if kind == 0:
                diamond(x, y + band / 2, step * 0.48, band * 0.46, rng.integers(2, 6))
            elif kind == 1:
                for _ in range(rng.integers(2, 6)):
                    cx, cy = x + rng.uniform(-0.4, 0.4) * step, y + rng.uniform(0.15, 0.85) * band
                    diamond(cx, cy, step * 0.16, band * 0.16, 2)
            elif kind == 2:
                colour = pick()
                for k in range(rng.integers(3, 8)):
                    cx = x + (k / 7 - 0.5) * step
                    top = y + rng.uniform(0.05, 0.5) * band
                    draw.rectangle((cx, top, cx + step * 0.06, y + band * 0.9), fill=colour)
            else:
                colour, up = pick(), rng.uniform() < 0.5
                tip = y + (0.08 if up else 0.92) * band
                base = y + (0.92 if up else 0.08) * band
                draw.polygon(
                    [(x - step * 0.45, base), (x, tip), (x + step * 0.45, base)], fill=colour
                )
                diamond(x, (tip + 2 * base) / 3, step * 0.13, band * 0.16, 2)
            x += step
        draw.line((0, y, width, y), fill=pick(), width=int(rng.integers(3, 9)))
        y += band
    border = int(0.028 * width)
    for k in range(3):
        inset = border * k / 3
        draw.rectangle(
            (inset, inset, width - 1 - inset, height - 1 - inset),
            outline=pick(),
            width=border // 3 + 1,
        )
    array = to_array(image)
    abrash = fbm(rng, height, width, 70, 3, 0.6, (0.3, 6.0)) * 0.07
    threads = fbm(rng, height, width, 2.0, 1, 0.5, (1.0, 4.0)) * 0.09
    return np.clip(array * (1.0 + abrash + threads)[..., None], 0, 1)


def cloth(name, height, width) -> np.ndarray:
    """Linen with embroidered flowers and stitches."""
    rng = rng_for(name)
    image = Image.new("RGB", (width, height), ink("#d9cfb8"))
    draw = ImageDraw.Draw(image)
    threads = ["#2f5d7a", "#b5483a", "#d79a3c", "#5d7f4f", "#7a4d79", "#31424f"]
    for _ in range(int(width * height / 3600)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        colour = ink(threads[rng.integers(len(threads))])
        kind, size = rng.integers(3), rng.uniform(9, 26)
        turn = rng.uniform(0, math.pi)
        if kind == 0:
            for k in range(rng.integers(4, 8)):
                a = turn + k * 2 * math.pi / 6
                draw.polygon(leaf_polygon(x, y, size, size * 0.5, a), fill=colour)
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=ink("#e5b64d"))
        elif kind == 1:
            for k in range(rng.integers(3, 9)):
                px, py = x + k * 9 * math.cos(turn), y + k * 9 * math.sin(turn)
                for side in (-1, 1):
                    shape = leaf_polygon(px, py, size * 0.6, size * 0.22, turn + side * 0.8)
                    draw.polygon(shape, fill=colour)
        else:
            for k in range(rng.integers(2, 6)):
                r = size * (k + 1) / 6
                draw.arc((x - r, y - r, x + r, y + r), turn * 57, turn * 57 + 250, colour, 3)
    for k, colour in enumerate(("#b5483a", "#2f5d7a", "#d79a3c")):
        for inset in (14 + 13 * k,):
            draw.rectangle(
                (inset, inset, width - inset, height - inset), outline=ink(colour), width=6
            )
    array = to_array(image)
    weave = fbm(rng, height, width, 2.0, 1, 0.5, (1.0, 3.0)) * 0.05
    weave += fbm(rng, height, width, 2.0, 1, 0.5, (3.0, 1.0)) * 0.05
    return np.clip(array * (1.0 + weave)[..., None], 0, 1)


def delft(name, height, width) -> np.ndarray:
    """Cobalt brushwork on white glaze."""
    rng = rng_for(name)
    image = Image.new("RGB", (width, height), ink("#e9e8e2"))
    draw = ImageDraw.Draw(image)
    blues = ["#1d3f7e", "#2f5c9e", "#4f7fb8", "#7fa3cd", "#16305f"]
    for _ in range(int(width * height / 2600)):
        x, y = rng.uniform(0, width), rng.uniform(0.1, 0.9) * height
        colour = ink(blues[rng.integers(len(blues))])
        size, turn = rng.uniform(10, 46), rng.uniform(0, 2 * math.pi)
        if rng.uniform() < 0.3:
            for k in range(7):
                a = turn + k * 2 * math.pi / 7
                draw.polygon(leaf_polygon(x, y, size, size * 0.45, a), fill=colour)
            r = size * 0.25
            draw.ellipse((x - r, y - r, x + r, y + r), fill=ink("#dfe4ea"))
        else:
            for k in range(rng.integers(2, 5)):
                a = turn + rng.normal(0, 0.6)
                draw.polygon(leaf_polygon(x, y, size, size * 0.2, a, 0.9), fill=colour)
    for y in (0.03, 0.09, 0.92, 0.97):
        draw.line((0, y * height, width, y * height), fill=ink("#1d3f7e"), width=5)
        for _ in range(90):
            x = rng.uniform(0, width)
            draw.ellipse((x, y * height + 8, x + 7, y * height + 15), fill=ink("#2f5c9e"))
    crackle = np.abs(fbm(rng, height, width, 60, 4, 0.6))
    return aged(image, name, 0.03, 0.01) * (1 - 0.18 * (1 - smoothstep(0, 0.05, crackle)))[..., None]


def globe_map(name, height, width) -> np.ndarray:
    """An invented planet in the style of an old globe."""
    rng = rng_for(name)
    land = fbm(rng, height, width, width / 7, 8, 0.58)
    fade = np.abs(np.linspace(-1, 1, width))[None, :] ** 8  # the seam lies in the sea
    land = land - 3.0 * fade
    shade = 0.5 + 0.16 * fbm(rng, height, width, width / 16, 6, 0.65)
    sea = ramp(shade, "#34566b", "#5b8694", "#8fb0ae")
    ground = ramp(np.clip(shade + 0.12 * land, 0, 1), "#7c6a3d", "#b79c5f", "#d9c58d", "#9a7a52")
    mask = smoothstep(0.28, 0.36, land)[..., None]
    colour = sea + (ground - sea) * mask
    coast = 1.0 - smoothstep(0.0, 0.06, np.abs(land - 0.32))
    image = to_image(colour * (1 - 0.55 * coast)[..., None])
    draw = ImageDraw.Draw(image)
    for k in range(1, 24):
        x = width * k / 24
        draw.line((x, 0, x, height), fill=ink("#5a4a34"), width=1)
    for k in range(1, 12):
        y = height * k / 12
        draw.line((0, y, width, y), fill=ink("#5a4a34"), width=2 if k == 6 else 1)
    words = ["MARE", "TERRA", "SINUS", "INSULAE", "OCEANUS", "MONTES", "PORTUS", "FLUMEN", "CAPE"]
    for _ in range(60):
        x, y = rng.uniform(0.02, 0.92) * width, rng.uniform(0.1, 0.9) * height
        word = words[rng.integers(len(words))] + " " + chr(65 + rng.integers(26))
        draw.text((x, y), word, font=font(rng.uniform(14, 34)), fill=ink("#3a2c1d"))
        draw.ellipse((x - 8, y, x - 3, y + 5), fill=ink("#8c2f24"))
    return aged(image, name, 0.05, 0.015)


def hammered(name, height, width, *colours) -> np.ndarray:
    """Beaten, slightly tarnished metal."""
    rng = rng_for(name)
    t = 0.55 + 0.14 * fbm(rng, height, width, width / 7, 7, 0.65)
    t -= 0.35 * smoothstep(1.3, 2.4, fbm(rng, height, width, width / 30, 4, 0.6))
    scratches = smoothstep(1.8, 2.4, fbm(rng, height, width, 3, 1, 0.5, (0.6, 20)))
    return ramp(np.clip(t + 0.2 * scratches, 0, 1), *colours)


def fruit(name, height, width, kind) -> np.ndarray:
    rng = rng_for(name)
    cloud = 0.5 + 0.2 * fbm(rng, height, width, width / 5, 5)
    if kind == "orange":
        colour = ramp(cloud, "#c9641a", "#e07f20", "#eb9a35")
        pits = smoothstep(1.0, 2.0, fbm(rng, height, width, 6, 2))
        return colour * (1 - 0.25 * pits)[..., None]
    if kind == "lemon":
        colour = ramp(cloud, "#cfa51c", "#e3c02f", "#ecd55c")
        pits = smoothstep(1.2, 2.0, fbm(rng, height, width, 7, 2))
        return colour * (1 - 0.2 * pits)[..., None]
    streak = fbm(rng, height, width, 14, 4, 0.7, (8.0, 0.6))
    t = np.clip(cloud + 0.2 * streak, 0, 1)
    colour = ramp(t, "#7c1519", "#a8262a", "#c2503a", "#c9a34a")
    dots = smoothstep(2.0, 2.5, fbm(rng, height, width, 5, 1))
    return colour + 0.25 * dots[..., None]


def leaf_skin(name, height, width, *colours) -> np.ndarray:
    """A leaf: midrib along x, veins to both sides, blotches."""
    rng = rng_for(name)
    v = np.linspace(-1, 1, height)[:, None]
    u = np.linspace(0, 1, width)[None, :]
    t = 0.5 + 0.17 * fbm(rng, height, width, width / 6, 6, 0.65)
    veins = np.abs(((u * 11 - 1.6 * np.abs(v)) % 1.0) - 0.5)
    colour = ramp(np.clip(t, 0, 1), *colours)
    pale = 0.35 * (1 - smoothstep(0, 0.07, veins)) + 0.5 * (1 - smoothstep(0.02, 0.08, np.abs(v)))
    return np.clip(colour + 0.35 * pale[..., None] * np.array([0.9, 1.0, 0.6]), 0, 1)


def garden(name, height, width) -> np.ndarray:
    """What is seen through the windows: trees, a hedge and a bright sky, out of focus."""
    rng = rng_for(name)
    y = np.linspace(0, 1, height)[:, None]
    sky = ramp(np.clip(y + 0.08 * fbm(rng, height, width, width / 5, 6), 0, 1), "#9cc3e6", "#eef4f5")
    cloud = smoothstep(0.2, 1.6, fbm(rng, height, width, width / 4, 6, 0.55, (0.5, 1.2)))
    colour = sky + (1.0 - sky) * cloud[..., None]
    palette = [("#7f9a86", "#b3c4a4"), ("#4d7048", "#9fb565"), ("#2d4a2c", "#7d9a44")]
    for k, (dark, bright) in enumerate(palette):
        level = 0.38 + 0.16 * k
        line = level + (0.07 - 0.01 * k) * fbm(rng, 1, width, width / (5 + 3 * k), 7, 0.6)
        mask = smoothstep(-0.01, 0.01, y - line)[..., None]
        leaves = 0.5 + 0.25 * fbm(rng, height, width, width / (30 + 10 * k), 5, 0.75)
        colour = colour + (ramp(np.clip(leaves, 0, 1), dark, bright) - colour) * mask
    return to_array(to_image(colour).filter(ImageFilter.GaussianBlur(1.5)))


TITLES = (
    "Light and Matter;The Long Field;Notes on Clay;Parallax;A Room in Winter;Salt Roads;Fifty Knots;"
    "The Cartographer;Slow Rivers;Under Glass;Kiln and Fire;Seven Harbours;Ordinary Stars;Thresholds;"
    "On Looking;The Weaver's Year;North of Noon;Epipolar Tales;A Field Guide to Shadows;Loam;Tin Birds;"
    "Pigment;Gaussian Summer;The Paper House;Bundle and Thread;Moss;Horizon Line;Of Oak;Small Boats"
).split(";")
AUTHORS = (
    "M. Alder;J. Quill;R. Tarn;E. Lindqvist;P. Okoro;S. Vance;T. Marsh;H. Ito;L. Brandt;A. Corvo;"
    "N. Hale;D. Ruiz;K. Osei;V. Petrov"
).split(";")
COVERS = (
    "#8c2f2b,#f0e2c4,#e0a03c;#22405c,#e8dfc9,#d8663d;#355e4b,#f1e6cf,#d9b24c;#d7a340,#2b2a2a,#8c2f2b;"
    "#ece3d0,#2a4a5e,#b5483a;#5b3a5e,#ead9c2,#d98f5c;#2e2c2b,#e6c27a,#9db0a4;#b86a4b,#f3e8d5,#2c4a52;"
    "#7d8f69,#f2ead8,#3b2f2a;#3c6e85,#f4ead2,#e3b04b;#c9bfae,#45372d,#a83f34;#a3423f,#f0dfb8,#243b53"
).split(";")


def spine_atlas(name, count, height=320, width=56) -> np.ndarray:
    """Book spines side by side."""
    rng = rng_for(name)
    atlas = Image.new("RGB", (count * width, height))
    for k in range(count):
        base, text, accent = COVERS[rng.integers(len(COVERS))].split(",")
        strip = Image.new("RGB", (height, width), ink(base))  # lying, turned at the end
        draw = ImageDraw.Draw(strip)
        for _ in range(rng.integers(1, 5)):
            x = rng.uniform(0, height)
            draw.rectangle((x, 0, x + rng.uniform(3, 40), width), fill=ink(accent))
        if rng.uniform() < 0.5:
            for _ in range(rng.integers(3, 9)):
                x, r = rng.uniform(0, height), rng.uniform(3, 10)
                y = rng.uniform(0, width)
                draw.ellipse((x - r, y - r, x + r, y + r), outline=ink(text), width=2)
        title = TITLES[rng.integers(len(TITLES))].upper()
        size = min(30, 1.5 * height * 0.7 / len(title))
        draw.text((18, width / 2), title, font=font(size), fill=ink(text), anchor="lm")
        author = AUTHORS[rng.integers(len(AUTHORS))]
        draw.text((height - 10, width / 2), author, font=font(15), fill=ink(accent), anchor="rm")
        atlas.paste(strip.rotate(-90, expand=True), (k * width, 0))
    return aged(atlas, name, 0.06, 0.03)


def book_cover(name, height=560, width=400) -> np.ndarray:
    """A cover with an abstract picture, a title and an author."""
    rng = rng_for(name)
    base, text, accent = COVERS[rng.integers(len(COVERS))].split(",")
    image = Image.new("RGB", (width, height), ink(base))
    draw = ImageDraw.Draw(image)
    style = rng.integers(4)
    for _ in range(60):
        x, y = rng.uniform(0, width), rng.uniform(0.25, 0.85) * height
        r = rng.uniform(5, 52)
        colour = ink([text, accent, base][rng.integers(3)])
        if style == 0:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline=ink(base))
        elif style == 1:
            draw.polygon(leaf_polygon(x, y, 2 * r, r, rng.uniform(0, 6.3), 0.5), fill=colour)
        elif style == 2:
            points = [(x + rng.normal(0, r), y + rng.normal(0, r)) for _ in range(3)]
            draw.polygon(points, fill=colour)
        else:
            draw.arc((x - r, y - r, x + r, y + r), *sorted(rng.uniform(0, 360, 2)), colour, 7)
    title = TITLES[rng.integers(len(TITLES))].upper().split(" ")
    for k, word in enumerate(title):
        draw.text((24, 18 + 40 * k), word, font=font(40), fill=ink(text))
    author = AUTHORS[rng.integers(len(AUTHORS))].upper()
    draw.text((24, height - 60), author, font=font(30), fill=ink(text))
    draw.rectangle((8, 8, width - 9, height - 9), outline=ink(accent), width=3)
    return aged(image, name, 0.06, 0.03)


def pages_edge(name, height=128, width=512) -> np.ndarray:
    rng = rng_for(name)
    t = 0.5 + 0.22 * fbm(rng, height, width, 3, 2, 0.7, (0.6, 40.0)) + 0.1 * fbm(rng, height, width, 90)
    return ramp(np.clip(t, 0, 1), "#a8977a", "#d8cbb0", "#efe6d2")


def printed_pages(name, height=700, width=1000) -> np.ndarray:
    """A spread of an open book: text on the left, a plate and text on the right."""
    rng = rng_for(name)
    image = Image.new("RGB", (width, height), ink("#ece3cd"))
    draw = ImageDraw.Draw(image)
    words = "of light the room and glass a shadow in far line ray point on wall so very still".split()
    for left in (50, width // 2 + 40):
        y = 60
        draw.text((left, 24), TITLES[rng.integers(len(TITLES))], font=font(22), fill=ink("#7a2a22"))
        while y < height - 60:
            if left > width // 2 and y < 330:
                y = 340
            line = ""
            while len(line) < 38 and rng.uniform() > 0.02:
                line += words[rng.integers(len(words))] + " "
            draw.text((left, y), line, font=font(18), fill=ink("#2c2723"))
            y += 26
    plate = to_image(poster_landscape("plate", 250, 400))
    image.paste(plate, (width // 2 + 45, 70))
    return aged(image, name, 0.04, 0.02)


# --- posters -------------------------------------------------------------------------------------


def poster_shapes(name, height, width) -> np.ndarray:
    rng = rng_for(name)
    image = Image.new("RGB", (width, height), ink("#ece0c8"))
    draw = ImageDraw.Draw(image)
    palette = ["#c0392b", "#1f4e79", "#e0a526", "#2b2b2b", "#5b8a72", "#d77a4a"]
    for _ in range(46):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height * 0.85), rng.uniform(12, width / 5)
        colour = ink(palette[rng.integers(len(palette))])
        kind = rng.integers(5)
        if kind == 0:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        elif kind == 1:
            start = 90 * rng.integers(4)
            draw.pieslice((x - r, y - r, x + r, y + r), start, start + 180, fill=colour)
        elif kind == 2:
            a = rng.uniform(0, 3.14)
            dx, dy = 2 * r * math.cos(a), 2 * r * math.sin(a)
            draw.line((x - dx, y - dy, x + dx, y + dy), fill=colour, width=int(rng.integers(3, 16)))
        elif kind == 3:
            draw.rectangle((x - r, y - r / 3, x + r, y + r / 3), outline=colour, width=7)
        else:
            for k in range(5):
                s = r * (k + 1) / 5
                draw.ellipse((x - s, y - s, x + s, y + s), outline=colour, width=3)
    draw.text((24, height * 0.88), "form & plane", font=font(width / 8), fill=ink("#2b2b2b"))
    return aged(image, name)


def poster_landscape(name, height, width) -> np.ndarray:
    rng = rng_for(name)
    y = np.linspace(0, 1, height)[:, None]
    colour = ramp(np.broadcast_to(y, (height, width)), "#e9b872", "#e58f65", "#c8605a")
    yy, xx = np.mgrid[0:height, 0:width]
    sun = np.hypot(xx - width * 0.62, yy - height * 0.3) < width * 0.15
    colour[sun] = rgb("#f7e8c3")
    shades = ("#b5566a", "#8a4a6b", "#5d4166", "#3d3a5c", "#25304a", "#14212f")
    for k, shade in enumerate(shades):
        line = 0.36 + 0.1 * k + 0.06 * fbm(rng, 1, width, width / (3 + k), 7, 0.55)
        mask = (y > line)[..., None]
        tone = (1.0 + 0.1 * fbm(rng, height, width, 30, 5, 0.7))[..., None] * rgb(shade)
        colour = np.where(mask, tone, colour)
    image = to_image(colour)
    draw = ImageDraw.Draw(image)
    for _ in range(80):
        x, base = rng.uniform(0, width), rng.uniform(0.86, 1.02) * height
        size = rng.uniform(0.04, 0.12) * height
        for k in range(4):
            half = size * 0.22 * (1 - k / 5)
            top = base - size * (k + 1.4) / 4
            foot = base - size * k / 4
            points = [(x - half, foot), (x, top), (x + half, foot)]
            draw.polygon(points, fill=ink("#0e1a22"), outline=ink("#2c4a4a"))
    return aged(image, name)


def poster_flow(name, height, width) -> np.ndarray:
    rng = rng_for(name)
    image = Image.new("RGB", (width, height), ink("#16313a"))
    draw = ImageDraw.Draw(image)
    field = fbm(rng, height, width, width / 2, 3) * 1.7
    palette = ["#e9d8a6", "#ee9b00", "#ca6702", "#94d2bd", "#0a9396", "#f4f1de", "#bb3e03"]
    for _ in range(900):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        points = []
        for _ in range(int(rng.integers(8, 46))):
            if not (0 <= x < width and 0 <= y < height):
                break
            points.append((x, y))
            a = field[int(y), int(x)]
            x, y = x + 5 * math.cos(a), y + 5 * math.sin(a)
        if len(points) > 1:
            colour = ink(palette[rng.integers(len(palette))])
            draw.line(points, fill=colour, width=int(rng.integers(1, 6)))
    return aged(image, name)


def poster_contours(name, height, width) -> np.ndarray:
    rng = rng_for(name)
    ground = fbm(rng, height, width, width / 2.5, 6, 0.5)
    colour = ramp(np.clip(0.5 + 0.22 * ground, 0, 1), "#9fc3b0", "#e6dfb8", "#d9a46f", "#f3efe6")
    for step, dark in ((0.12, 0.3), (0.6, 0.6)):
        slope = np.hypot(*np.gradient(ground)) + 1e-3
        phase = np.abs((ground / step) % 1.0 - 0.5) * step / slope
        colour = colour * (1 - dark * (1 - smoothstep(0.6, 1.6, phase)))[..., None]
    image = to_image(colour)
    draw = ImageDraw.Draw(image)
    x, y = 0.1 * width, 0.2 * height
    path = [(x, y)]
    for _ in range(40):
        x, y = x + rng.uniform(0, 0.05) * width, y + rng.normal(0.013, 0.02) * height
        path.append((x, y))
    draw.line(path, fill=ink("#b3261e"), width=4)
    for px, py in path[::5]:
        draw.ellipse((px - 6, py - 6, px + 6, py + 6), fill=ink("#b3261e"))
        label = f"{rng.integers(200, 2900)} m"
        draw.text((px + 9, py - 9), label, font=font(19), fill=ink("#3a2a20"))
    draw.rectangle((0, height * 0.9, width, height), fill=ink("#f3efe6"))
    draw.text((20, height * 0.915), "Sheet 27  Upper Valley", font=font(width / 16), fill=ink("#333333"))
    return aged(image, name)


def poster_cells(name, height, width) -> np.ndarray:
    rng = rng_for(name)
    points = rng.uniform(0, 1, (170, 2)) * (height, width)
    yy, xx = np.mgrid[0:height, 0:width]
    best, second = np.full((height, width), 1e9), np.full((height, width), 1e9)
    owner = np.zeros((height, width), int)
    for k, (py, px) in enumerate(points):
        distance = np.hypot(yy - py, xx - px)
        closer = distance < best
        second = np.where(closer, best, np.minimum(second, distance))
        owner[closer] = k
        best = np.where(closer, distance, best)
    palette = ["#b23a48", "#fcb9b2", "#274c77", "#6096ba", "#e7c663", "#f2efe9", "#3a7d44", "#8c5383"]
    colours = np.array([rgb(palette[rng.integers(len(palette))]) for _ in points])
    colours = colours * rng.uniform(0.75, 1.1, (len(points), 1))
    lead = smoothstep(2.0, 4.5, second - best)[..., None]
    colour = colours[owner] * lead + (1 - lead) * np.array(rgb("#1c1a19"))
    return aged(colour * (1 + 0.1 * fbm(rng, height, width, 25, 4)[..., None]), name)


def poster_words(name, height, width) -> np.ndarray:
    rng = rng_for(name)
    image = Image.new("RGB", (width, height), ink("#e8543f"))
    draw = ImageDraw.Draw(image)
    draw.text((width * 0.06, height * 0.02), "recon", font=font(width / 2.9), fill=ink("#fbf3e4"))
    lines = ["photographs", "cameras", "points", "rays", "splats"]
    for k, word in enumerate(lines):
        place = (width * 0.07, height * (0.31 + 0.1 * k))
        draw.text(place, word, font=font(width / 8.5), fill=ink("#22252b"))
    for _ in range(420):
        x, y = rng.uniform(0, width), height * (0.82 + 0.16 * rng.uniform() ** 0.8)
        r = rng.uniform(1, 9)
        colour = ink(["#fbf3e4", "#22252b", "#f2b84b", "#1f6f78"][rng.integers(4)])
        draw.ellipse((x - r, y - r * 0.7, x + r, y + r * 0.7), fill=colour)
    return aged(image, name)


def poster_stars(name, height, width) -> np.ndarray:
    rng = rng_for(name)
    glow = 0.5 + 0.2 * fbm(rng, height, width, width / 3, 6)
    image = to_image(ramp(np.clip(glow, 0, 1), "#0d1730", "#1c2e57", "#344f86"))
    draw = ImageDraw.Draw(image)
    cx, cy = width / 2, height * 0.46
    for k in range(1, 7):
        r = width * 0.075 * k
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), outline=ink("#7f93bd"), width=1)
    stars = rng.uniform(0.04, 0.96, (240, 2)) * (width, height * 0.88)
    for x, y in stars:
        r = rng.exponential(1.6) + 0.8
        draw.ellipse((x - r, y - r, x + r, y + r), fill=ink("#fff3d1"))
    for k in range(26):
        near = np.argsort(np.hypot(*(stars - stars[k]).T))[: rng.integers(2, 5)]
        for a, b in zip(near[:-1], near[1:], strict=True):
            draw.line((*stars[a], *stars[b]), fill=ink("#d9c07a"), width=2)
        label = chr(945 + k % 24) if False else f"{chr(65 + k)}{k}"
        draw.text(tuple(stars[k] + 6), label, font=font(17), fill=ink("#b9c6e4"))
    draw.text((width * 0.1, height * 0.905), "NORTHERN SKY", font=font(width / 10), fill=ink("#e7d8a8"))
    return aged(image, name)


def poster_portrait(name, height, width) -> np.ndarray:
    """A still life in flat colours: a jug, fruit and leaves."""
    rng = rng_for(name)
    base = limewash(name + " ground", height, width, "#5c7f86", "#87a5a2", "#b4c4b4")
    image = to_image(base)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 0.68, width, height), fill=ink("#b9683f"))
    for _ in range(130):
        x, y = rng.uniform(0, width), rng.uniform(0.7, 1.0) * height
        draw.line((x, y, x + rng.uniform(20, 90), y), fill=ink("#8f4a2c"), width=3)
    for _ in range(70):
        angle = rng.uniform(-2.9, -0.25)
        size = rng.uniform(0.16, 0.36) * height
        x, y = width * 0.45 + rng.normal(0, 14), height * 0.42
        shade = ["#2d4f3a", "#4c7a50", "#86a35a", "#d6c267", "#c7513e"][rng.integers(5)]
        shape = leaf_polygon(x, y, size, size * 0.2, angle, rng.normal(0, 0.5))
        draw.polygon(shape, fill=ink(shade), outline=ink("#20302a"))
    jug = [(0.33, 0.4), (0.57, 0.4), (0.53, 0.5), (0.66, 0.66), (0.58, 0.84), (0.32, 0.84), (0.24, 0.66)]
    draw.polygon([(x * width, y * height) for x, y in [*jug, (0.37, 0.5)]], fill=ink("#e9dfc9"))
    for k in range(24):
        x, y = rng.uniform(0.3, 0.6) * width, rng.uniform(0.6, 0.8) * height
        draw.arc((x - 20, y - 12, x + 20, y + 12), 180, 360, ink("#2f5c9e"), 4)
    for k in range(7):
        x, y, r = rng.uniform(0.55, 0.95) * width, rng.uniform(0.78, 0.92) * height, width * 0.06
        shade = ["#d99a2b", "#c7513e", "#a9b44a"][k % 3]
        draw.ellipse((x - r, y - r, x + r, y + r), fill=ink(shade), outline=ink("#5a3322"), width=3)
    return aged(image, name, 0.07, 0.04)


def pinboard(name, height, width) -> np.ndarray:
    """Cork with notes, tickets and snapshots."""
    rng = rng_for(name)
    t = 0.5 + 0.2 * fbm(rng, height, width, 7, 3, 0.8)
    image = to_image(ramp(np.clip(t, 0, 1), "#7c5230", "#b07f4e", "#d0a672"))
    makers = [poster_landscape, poster_flow, poster_cells, poster_contours, poster_shapes]
    for k in range(34):
        size = (int(rng.uniform(0.1, 0.2) * width), int(rng.uniform(0.14, 0.28) * height))
        if rng.uniform() < 0.5:
            picture = to_image(makers[k % len(makers)](f"{name} {k}", size[1] * 2, size[0] * 2))
            card = Image.new("RGBA", (size[0] + 16, size[1] + 22), (244, 240, 230, 255))
            card.paste(picture.resize(size), (8, 8))
        else:
            paper = ["#f4e9a9", "#f3efe6", "#cfe3e8", "#f3cdb8", "#dfe8c8"][rng.integers(5)]
            card = Image.new("RGBA", size, (*ink(paper), 255))
            draw = ImageDraw.Draw(card)
            for y in range(10, size[1] - 10, 17):
                text = TITLES[rng.integers(len(TITLES))][: size[0] // 8]
                draw.text((8, y), text, font=font(14), fill=ink("#37424f"))
        card = card.rotate(rng.normal(0, 9), expand=True, resample=Image.Resampling.BICUBIC)
        place = (int(rng.uniform(0, 0.86) * width), int(rng.uniform(0, 0.8) * height))
        image.paste(card, place, card)
        x, y = place[0] + card.width / 2, place[1] + 12
        draw = ImageDraw.Draw(image)
        pin = ["#c0392b", "#2d6a9f", "#e0b030"][k % 3]
        draw.ellipse((x - 7, y - 7, x + 7, y + 7), fill=ink(pin), outline=ink("#3a2a20"))
    return aged(image, name, 0.04, 0.02)


def clock_face(name, size) -> np.ndarray:
    image = to_image(limewash(name, size, size, "#d8cdb6", "#efe7d5", "#f6f1e4"))
    draw = ImageDraw.Draw(image)
    c = size / 2
    for k in range(60):
        a = 2 * math.pi * k / 60
        inner = 0.86 if k % 5 else 0.8
        ends = [(c + c * r * math.sin(a), c - c * r * math.cos(a)) for r in (inner, 0.92)]
        draw.line(ends, fill=ink("#2b2623"), width=3 if k % 5 else 8)
    for k in range(1, 13):
        a = 2 * math.pi * k / 12
        place = (c + 0.66 * c * math.sin(a), c - 0.66 * c * math.cos(a))
        draw.text(place, str(k), font=font(size / 9), fill=ink("#2b2623"), anchor="mm")
    for a, length, wide in ((305, 0.45, 13), (57, 0.7, 8)):
        a = math.radians(a)
        end = (c + c * length * math.sin(a), c - c * length * math.cos(a))
        draw.line((c, c, *end), fill=ink("#7c1f1a"), width=wide)
    return to_array(image)


# ------------------------------------------------------------------------------------------------
# Blender: materials
# ------------------------------------------------------------------------------------------------


def texture(name: str, make) -> bpy.types.Image:
    """The named texture as a Blender image, made (and kept as a PNG) when it is not there yet."""
    key = f"{name.replace(' ', '_')}_{Context.seed}.png"
    path = Context.textures / key
    if not path.exists():
        to_image(make()).save(path, compress_level=1)
    return bpy.data.images.load(str(path), check_existing=True)


def material(
    name,
    make=None,
    colour="#808080",
    roughness=0.6,
    metallic=0.0,
    coat=0.0,
    bump=0.0,
    bump_scale=0.002,
    rough_variation=0.0,
    specular=0.4,
    sheen=0.0,
    emission=0.0,
    extension="REPEAT",
):
    """A principled material; make() gives its colour texture, which also serves as its bump."""
    mat = bpy.data.materials.new(name)
    mat.use_nodes = True
    tree = mat.node_tree
    shader = tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Metallic"].default_value = metallic
    shader.inputs["Coat Weight"].default_value = coat
    shader.inputs["Coat Roughness"].default_value = 0.06
    shader.inputs["Specular IOR Level"].default_value = specular
    shader.inputs["Sheen Weight"].default_value = sheen
    if make is None:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(colour)]
        shader.inputs["Base Color"].default_value = (*linear, 1.0)
        return mat
    picture = tree.nodes.new("ShaderNodeTexImage")
    picture.image = texture(name, make)
    picture.extension = extension
    tree.links.new(picture.outputs["Color"], shader.inputs["Base Color"])
    if emission:
        shader.inputs["Base Color"].default_value = (0, 0, 0, 1)
        tree.links.new(picture.outputs["Color"], shader.inputs["Emission Color"])
        shader.inputs["Emission Strength"].default_value = emission
    if bump:
        node = tree.nodes.new("ShaderNodeBump")
        node.inputs["Strength"].default_value = bump
        node.inputs["Distance"].default_value = bump_scale
        tree.links.new(picture.outputs["Color"], node.inputs["Height"])
        tree.links.new(node.outputs["Normal"], shader.inputs["Normal"])
    if rough_variation:
        node = tree.nodes.new("ShaderNodeMapRange")
        node.inputs["To Min"].default_value = roughness + rough_variation
        node.inputs["To Max"].default_value = max(roughness - rough_variation, 0.03)
        tree.links.new(picture.outputs["Color"], node.inputs["Value"])
        tree.links.new(node.outputs["Result"], shader.inputs["Roughness"])
    return mat


# ------------------------------------------------------------------------------------------------
# Blender: geometry
# ------------------------------------------------------------------------------------------------


def add_mesh(name, vertices, faces, uvs, mats, smooth=False, face_mats=None, sharp=None):
    """A mesh object. uvs: one (u, v) per face corner, in the order of the faces."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([tuple(map(float, v)) for v in vertices], [], [tuple(f) for f in faces])
    layer = mesh.uv_layers.new(name="uv")
    layer.data.foreach_set("uv", np.asarray(uvs, np.float32).ravel())
    for mat in mats if isinstance(mats, (list, tuple)) else [mats]:
        mesh.materials.append(mat)
    if face_mats is not None:
        mesh.polygons.foreach_set("material_index", np.asarray(face_mats, np.int32))
    if smooth:
        mesh.shade_smooth()
        if sharp is not None:
            mesh.set_sharp_from_angle(angle=math.radians(sharp))
    mesh.update()
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def grid_mesh(name, points, mat, uv=None, closed_u=False, smooth=True, sharp=None):
    """A surface through a (rows, columns, 3) array of points."""
    rows, cols = points.shape[:2]
    faces, uvs = [], []
    last = cols if closed_u else cols - 1
    for r in range(rows - 1):
        for c in range(last):
            n = (c + 1) % cols
            faces.append((r * cols + c, r * cols + n, (r + 1) * cols + n, (r + 1) * cols + c))
            if uv is None:
                u0, u1 = c / last, (c + 1) / last
                v0, v1 = r / (rows - 1), (r + 1) / (rows - 1)
                uvs += [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
            else:
                uvs += [uv[r, c], uv[r, n], uv[r + 1, n], uv[r + 1, c]]
    return add_mesh(name, points.reshape(-1, 3), faces, uvs, mat, smooth, sharp=sharp)


def place(obj, location=(0, 0, 0), turn=0.0, tilt=(0.0, 0.0)):
    """Move an object; turn about z, tilt about x and y, in degrees."""
    obj.location = location
    obj.rotation_euler = [math.radians(a) for a in (tilt[0], tilt[1], turn)]
    return obj


BOX_FACES = [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (2, 3, 7, 6), (1, 2, 6, 5), (3, 0, 4, 7)]


def box(name, size, centre, mat, turn=0.0, tilt=(0, 0), bevel=0.003, scale=1.0, face_mats=None,
        rects=None, soft=False):  # fmt: skip
    """A box; its faces show the texture at `scale` metres per repeat, each from another place.

    Faces in order: bottom, top, -y, +y, +x, -x. rects: {face: (u0, v0, u1, v1)} for faces that
    show a given part of the texture instead.
    """
    sx, sy, sz = (s / 2 for s in size)
    corners = [(-sx, -sy), (sx, -sy), (sx, sy), (-sx, sy)]
    vertices = [(x, y, z) for z in (-sz, sz) for x, y in corners]
    rng = rng_for("box " + name)
    extents = [(size[0], size[1])] * 2 + [(size[0], size[2])] * 2 + [(size[1], size[2])] * 2
    uvs = []
    for face, (wide, high) in enumerate(extents):
        if rects and face in rects:
            u0, v0, u1, v1 = rects[face]
            if face == 0:
                uvs += [(u0, v0), (u0, v1), (u1, v1), (u1, v0)]
            else:
                uvs += [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
            continue
        u, v = rng.uniform(0, 1, 2)
        w, h = wide / scale, high / scale
        if high > wide:  # the grain runs along the longer side
            uvs += [(u, v), (u, v + w), (u + h, v + w), (u + h, v)]
        else:
            uvs += [(u, v), (u + w, v), (u + w, v + h), (u, v + h)]
    obj = add_mesh(name, vertices, BOX_FACES, uvs, mat, face_mats=face_mats)
    if bevel:
        modifier = obj.modifiers.new("bevel", "BEVEL")
        modifier.width = bevel
        modifier.segments = 6 if soft else 2
    if soft:
        obj.data.shade_smooth()
    return place(obj, centre, turn, tilt)


def panel(name, origin, along, up, mat, holes=(), uv_size=None):
    """A rectangle from origin, spanned by two vectors, with rectangular holes (u0, v0, u1, v1)."""
    origin, along, up = (np.asarray(v, float) for v in (origin, along, up))
    width, height = np.linalg.norm(along), np.linalg.norm(up)
    us = sorted({0.0, width, *(h[0] for h in holes), *(h[2] for h in holes)})
    vs = sorted({0.0, height, *(h[1] for h in holes), *(h[3] for h in holes)})
    vertices, faces, uvs = [], [], []
    for u0, u1 in zip(us[:-1], us[1:], strict=True):
        for v0, v1 in zip(vs[:-1], vs[1:], strict=True):
            mu, mv = (u0 + u1) / 2, (v0 + v1) / 2
            if any(h[0] < mu < h[2] and h[1] < mv < h[3] for h in holes):
                continue
            base = len(vertices)
            for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1)):
                vertices.append(origin + along * (u / width) + up * (v / height))
                uvs.append((u / (uv_size or (width, height))[0], v / (uv_size or (width, height))[1]))
            faces.append((base, base + 1, base + 2, base + 3))
    return add_mesh(name, vertices, faces, uvs, mat)


def smooth_profile(points, per_segment=8):
    """Catmull-Rom through (radius, height) points. A repeated point makes a corner."""
    p = np.asarray([points[0], *points, points[-1]], float)
    out = []
    for k in range(1, len(p) - 2):
        for t in np.linspace(0, 1, per_segment, endpoint=False):
            a, b, c, d = p[k - 1 : k + 3]
            out.append(
                0.5
                * (
                    2 * b
                    + (c - a) * t
                    + (2 * a - 5 * b + 4 * c - d) * t**2
                    + (3 * b - a - 3 * c + d) * t**3
                )
            )
    return np.array([*out, p[-1]])


def lathe(name, points, mat, location=(0, 0, 0), turn=0.0, segments=64, per_segment=8, tilt=(0, 0)):
    """A turned object from a profile of (radius, height)."""
    profile = smooth_profile(points, per_segment)
    profile[:, 0] = np.maximum(profile[:, 0], 0.0)
    angle = np.linspace(0, 2 * math.pi, segments + 1)
    rows = np.stack(
        [
            profile[:, :1] * np.cos(angle)[None],
            profile[:, :1] * np.sin(angle)[None],
            np.repeat(profile[:, 1:], segments + 1, 1),
        ],
        -1,
    )
    length = np.r_[0, np.cumsum(np.hypot(*np.diff(profile, axis=0).T))]
    v = length / length[-1]
    uv = np.stack(np.broadcast_arrays(np.linspace(0, 1, segments + 1)[None], v[:, None]), -1)
    return place(grid_mesh(name, rows, mat, uv, sharp=50), location, turn, tilt)


def sphere(name, radius, location, mat, turn=0.0, tilt=(0, 0), squash=1.0):
    angle = np.linspace(-math.pi / 2, math.pi / 2, 33)
    profile = np.stack([radius * np.cos(angle), radius * squash * np.sin(angle)], 1)
    return lathe(name, profile, mat, location, turn, 64, 1, tilt)


def tube(name, path, radii, mat, sides=12, closed_ends=True):
    """A tube along a path with a radius per point."""
    path = np.asarray(path, float)
    radii = np.broadcast_to(np.asarray(radii, float), len(path))
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
    normal = np.cross(tangent[0], (0.31, 0.22, 0.92))
    if np.linalg.norm(normal) < 1e-3:
        normal = np.cross(tangent[0], (1.0, 0.0, 0.0))
    rings = []
    angle = np.linspace(0, 2 * math.pi, sides + 1)
    for p, t, r in zip(path, tangent, radii, strict=True):
        normal = normal - t * np.dot(normal, t)
        normal /= np.linalg.norm(normal)
        other = np.cross(t, normal)
        rings.append(p + r * (np.cos(angle)[:, None] * normal + np.sin(angle)[:, None] * other))
    if closed_ends:
        rings = [np.repeat(path[:1], sides + 1, 0), *rings, np.repeat(path[-1:], sides + 1, 0)]
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]
    if closed_ends:
        length = np.r_[0, length, length[-1]]
    uv = np.stack(
        np.broadcast_arrays(length[:, None] / (length[-1] + 1e-9), np.linspace(0, 1, sides + 1)), -1
    )
    return grid_mesh(name, np.array(rings), mat, uv)


def curve(points, count=24):
    """A smooth path through 3-D control points."""
    p = np.asarray([points[0], *points, points[-1]], float)
    out = []
    for s in np.linspace(0, len(points) - 1 - 1e-9, count):
        k, t = int(s) + 1, s % 1.0
        a, b, c, d = p[k - 1 : k + 3]
        out.append(
            0.5
            * (
                2 * b
                + (c - a) * t
                + (2 * a - 5 * b + 4 * c - d) * t**2
                + (3 * b - a - 3 * c + d) * t**3
            )
        )
    return np.array(out)


class Leaves:
    """Collects curved leaves into one mesh."""

    def __init__(self, rng):
        self.rng, self.vertices, self.faces, self.uvs = rng, [], [], []

    def add(self, base, direction, length, width, droop=0.5, fold=0.25, steps=7):
        rng = self.rng
        direction = np.asarray(direction, float) / np.linalg.norm(direction)
        side = np.cross(direction, (0, 0, 1))
        if np.linalg.norm(side) < 1e-3:
            side = np.array([1.0, 0.0, 0.0])
        side = side / np.linalg.norm(side)
        normal = np.cross(side, direction)
        roll = rng.normal(0, 0.35)
        side = side * math.cos(roll) + normal * math.sin(roll)
        normal = np.cross(side, direction)
        start = len(self.vertices)
        position = np.asarray(base, float)
        for k in range(steps):
            s = k / (steps - 1)
            half = width * 0.5 * math.sin(math.pi * min(s**0.75 + 0.02, 1.0))
            lift = normal * fold * half
            for offset in (-1, 0, 1):
                self.vertices.append(position + side * half * offset + lift * abs(offset))
            bend = direction + np.array([0, 0, -droop * s])
            position = position + bend / np.linalg.norm(bend) * length / (steps - 1)
        v_shift = rng.uniform(0, 0.0)
        for k in range(steps - 1):
            for c in range(2):
                i = start + 3 * k + c
                self.faces.append((i, i + 1, i + 4, i + 3))
                u0, u1 = k / (steps - 1), (k + 1) / (steps - 1)
                v0, v1 = c / 2 + v_shift, (c + 1) / 2 + v_shift
                self.uvs += [(u0, v0), (u0, v1), (u1, v1), (u1, v0)]

    def build(self, name, mat):
        return add_mesh(name, self.vertices, self.faces, self.uvs, mat, smooth=True)


# ------------------------------------------------------------------------------------------------
# The room
# ------------------------------------------------------------------------------------------------

POSTERS = {
    "shapes": poster_shapes,
    "landscape": poster_landscape,
    "flow": poster_flow,
    "contours": poster_contours,
    "cells": poster_cells,
    "words": poster_words,
    "stars": poster_stars,
    "still life": poster_portrait,
}


def framed(kind, centre, size, facing, frame):
    """A framed poster on a wall. facing: 'n', 's', 'e' or 'w' names the wall."""
    wide, high = size
    turn = {"n": 0, "e": -90, "s": 180, "w": 90}[facing]
    pixels = (int(high * 1100), int(wide * 1100))
    make = POSTERS.get(kind, pinboard)
    mat = material(f"poster {kind}", lambda: make(f"poster {kind}", *pixels), roughness=0.45)
    base = Matrix.Translation(centre) @ Matrix.Rotation(math.radians(turn), 4, "Z")
    sheet = panel(
        f"sheet {kind}", (-wide / 2, -0.012, -high / 2), (wide, 0, 0), (0, 0, high), mat
    )
    sheet.matrix_world = base
    bar = 0.028
    pieces = [
        ((wide + 2 * bar, 0.03, bar), (0, -0.012, high / 2 + bar / 2)),
        ((wide + 2 * bar, 0.03, bar), (0, -0.012, -high / 2 - bar / 2)),
        ((bar, 0.03, high), (wide / 2 + bar / 2, -0.012, 0)),
        ((bar, 0.03, high), (-wide / 2 - bar / 2, -0.012, 0)),
    ]
    for k, (dims, offset) in enumerate(pieces):
        obj = box(f"frame {kind} {k}", dims, (0, 0, 0), frame, scale=0.8)
        obj.matrix_world = base @ Matrix.Translation(offset)


def build_shell(mats):
    """Floor, ceiling and four walls, the eastern one with two windows, and the garden outside."""
    x, y, z = ROOM_X, ROOM_Y, ROOM_Z
    floor = material(
        "floor", lambda: planks("floor", 3072, 3440, 38, OAK), roughness=0.42, bump=0.25,
        rough_variation=0.12,
    )  # fmt: skip
    brick = material("brick", lambda: bricks("brick", 1620, 3360, 36), roughness=0.85, bump=0.6,
                     bump_scale=0.006)  # fmt: skip
    paper = material("wallpaper", lambda: wallpaper("wallpaper", 1500, 3110), roughness=0.7)
    lime = material(
        "limewash",
        lambda: limewash("limewash", 1500, 2780, "#a3744f", "#c99c72", "#dcb994", "#ead2b4"),
        roughness=0.8,
    )
    boards = material(
        "boards",
        lambda: np.ascontiguousarray(
            planks("boards", 2780, 1500, 30, SMOKED, (0.5, 1.1)).swapaxes(0, 1)
        ),
        roughness=0.6,
        bump=0.3,
    )
    ceiling = material(
        "ceiling", lambda: limewash("ceiling", 1400, 1560, "#c9c2b3", "#e2dccf", "#efeae0"),
        roughness=0.9,
    )  # fmt: skip
    panel("floor", (-x, -y, 0), (2 * x, 0, 0), (0, 2 * y, 0), floor)
    panel("ceiling", (-x, -y, z), (2 * x, 0, 0), (0, 2 * y, 0), ceiling)
    panel("north", (-x, y, 0), (2 * x, 0, 0), (0, 0, z), brick)
    panel("south", (x, -y, 0), (-2 * x, 0, 0), (0, 0, z), paper)
    panel("west", (-x, -y, 0), (0, 2 * y, 0), (0, 0, z), boards)
    holes = [(0.75, 0.85, 2.05, 2.3), (2.95, 0.85, 4.25, 2.3)]
    panel("east", (x, y, 0), (0, -2 * y, 0), (0, 0, z), lime, holes)
    for k, (u0, v0, u1, v1) in enumerate(holes):
        ya, yb = y - u1, y - u0
        middle, wide, high = (ya + yb) / 2, yb - ya, v1 - v0
        deep = 0.22
        pieces = [
            ((deep + 0.1, wide + 0.16, 0.035), (x + deep / 2 - 0.07, middle, v0 - 0.0175)),
            ((deep, wide, 0.02), (x + deep / 2, middle, v1 + 0.01)),
            ((deep, 0.02, high), (x + deep / 2, ya - 0.01, (v0 + v1) / 2)),
            ((deep, 0.02, high), (x + deep / 2, yb + 0.01, (v0 + v1) / 2)),
            ((0.05, wide, 0.06), (x + 0.17, middle, v0 + 0.03)),
            ((0.05, wide, 0.06), (x + 0.17, middle, v1 - 0.03)),
            ((0.05, 0.06, high), (x + 0.17, ya + 0.03, (v0 + v1) / 2)),
            ((0.05, 0.06, high), (x + 0.17, yb - 0.03, (v0 + v1) / 2)),
            ((0.04, 0.045, high), (x + 0.17, middle, (v0 + v1) / 2)),
            ((0.035, wide, 0.03), (x + 0.17, middle, v0 + high * 0.62)),
        ]
        for n, (dims, centre) in enumerate(pieces):
            box(f"window {k} {n}", dims, centre, mats["painted"], scale=1.3)
    outside = material("garden", lambda: garden("garden", 900, 2400), roughness=1.0, emission=1.5)
    outside.cycles.emission_sampling = "NONE"
    view = panel("garden", (9.0, 11.0, -2.2), (0, -22.0, 0), (0, 0, 8.2), outside)
    view.visible_shadow = view.visible_diffuse = False
    for k, v in enumerate((-1.5, -0.1, 1.35)):
        box(f"beam {k}", (2 * x, 0.16, 0.18), (0, v, z - 0.09), mats["oak"], scale=1.6)
    for k, (dims, centre) in enumerate(
        [
            ((2 * x, 0.02, 0.11), (0, y - 0.01, 0.055)),
            ((2 * x, 0.02, 0.11), (0, -y + 0.01, 0.055)),
            ((0.02, 2 * y, 0.11), (x - 0.01, 0, 0.055)),
            ((0.02, 2 * y, 0.11), (-x + 0.01, 0, 0.055)),
        ]
    ):
        box(f"skirting {k}", dims, centre, mats["painted"], scale=1.3)
    carpet = material("rug", lambda: rug("rug", 1500, 2100), roughness=0.95, bump=0.4, sheen=0.2)
    box("rug", (3.1, 2.2, 0.014), (0, 0, 0.008), carpet, turn=7, rects={1: (0, 0, 1, 1)})


def build_shelf(mats):
    """Bookshelf along the western wall."""
    rng = rng_for("shelf")
    count = 150
    spines = material("spines", lambda: spine_atlas("spines", count), roughness=0.5)
    depth, half, top = 0.3, 1.3, 2.12
    x = -ROOM_X + depth / 2 + 0.004
    levels = [0.06, 0.46, 0.86, 1.28, 1.7, top]
    for k, z in enumerate(levels):
        box(f"board {k}", (depth, 2 * half, 0.026), (x, 0, z), mats["walnut"], scale=1.2)
    for k, v in enumerate((-half, -half / 3, half / 3, half)):
        box(f"upright {k}", (depth, 0.026, top), (x, v, top / 2), mats["walnut"], scale=1.2)
    number = 0
    for level, (z, above) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        for bay in range(3):
            left = -half + (2 * half / 3) * bay + 0.016
            right = left + 2 * half / 3 - 0.034
            y = left
            stop = right - rng.choice([0.0, 0.05, 0.26])
            while True:
                thick = rng.uniform(0.02, 0.055)
                if y + thick > stop or number >= count - 1:
                    break
                high = min(rng.uniform(0.19, 0.31), above - z - 0.04)
                deep = rng.uniform(0.16, 0.22)
                lean = rng.normal(0, 1.2)
                u = number / count
                rect = (u + 0.02 / count, 0.0, u + 0.98 / count, 1.0)
                centre = (-ROOM_X + 0.06 + deep / 2, y + thick / 2, z + 0.014 + high / 2)
                box(
                    f"volume {number}",
                    (deep, thick * 0.94, high),
                    centre,
                    [spines, mats["pages"]],
                    tilt=(lean, 0),
                    bevel=0.0015,
                    rects={4: rect, 2: rect, 3: rect},
                    face_mats=[1, 1, 0, 0, 0, 1],
                )
                y += thick + 0.001
                number += 1
            if right - y > 0.16:
                place_ornament(level * 3 + bay, (x + 0.04, (y + right) / 2, z + 0.013), mats)


def place_ornament(k, location, mats):
    kind = k % 4
    if kind == 0:
        profile = [(0, 0), (0.05, 0), (0.05, 0), (0.075, 0.07), (0.04, 0.15), (0.05, 0.2)]
        lathe(f"ornament {k}", profile, mats["delft"], location)
    elif kind == 1:
        x, y, z = location
        sphere(f"ornament {k}", 0.065, (x, y, z + 0.065), mats["swirl"], tilt=(40, 20))
    elif kind == 2:
        profile = [(0, 0), (0.06, 0), (0.06, 0), (0.09, 0.06), (0.07, 0.12), (0.075, 0.13)]
        lathe(f"ornament {k}", profile, mats["stoneware"], location)
    else:
        x, y, z = location
        box(f"ornament {k}", (0.12, 0.13, 0.1), (x, y, z + 0.05), mats["marble"], turn=12, scale=0.3)


def build_furniture(mats):
    """Sideboard with things on it, armchair, stool, floor plant, clock, pictures."""
    y = ROOM_Y
    # Sideboard before the brick wall
    box("sideboard", (1.9, 0.42, 0.62), (0.35, y - 0.25, 0.46), mats["oak"], scale=1.5)
    for k in range(4):
        x = 0.35 + (k - 1.5) * 0.46
        box(f"door {k}", (0.43, 0.02, 0.52), (x, y - 0.47, 0.46), mats["oak"], scale=1.1)
        sphere(f"knob {k}", 0.016, (x + 0.15 * (-1) ** k, y - 0.495, 0.5), mats["brass"])
        for dy in (-0.16, 0.16):
            leg = (0.045, 0.045, 0.16)
            box(f"leg {k}{dy}", leg, (0.35 + (k - 1.5) * 0.58, y - 0.25 + dy, 0.08), mats["walnut"])
    top = 0.77
    profile = [(0, 0), (0.06, 0), (0.06, 0), (0.11, 0.12), (0.05, 0.3), (0.075, 0.36), (0.06, 0.35)]
    lathe("tall vase", profile, mats["delft"], (-0.4, y - 0.24, top), 40)
    profile = [(0, 0), (0.09, 0), (0.09, 0), (0.12, 0.05), (0.1, 0.17), (0.11, 0.19), (0.09, 0.16)]
    lathe("jar", profile, mats["copper"], (0.95, y - 0.26, top))
    for k in range(5):
        sizes = (0.2 - 0.01 * k, 0.27 - 0.012 * k, 0.032 + 0.004 * (k % 3))
        z = top + 0.02 + 0.039 * k
        flat_book(f"side {k}", sizes, (0.1, y - 0.26, z), mats, turn=70 + 9 * ((k * 7) % 5))
    box("crate", (0.26, 0.2, 0.16), (0.58, y - 0.25, top + 0.08), mats["pine"], turn=8, scale=0.5)
    plant("small plant", (1.18, y - 0.25, top), 0.085, 0.16, 26, 0.3, mats, mats["stoneware"])
    framed("pinboard", (0.35, y - 0.004, 1.66), (1.15, 0.78), "n", mats["pine"])
    framed("stars", (1.62, y - 0.004, 1.7), (0.52, 0.74), "n", mats["walnut"])
    framed("still life", (-0.95, y - 0.004, 1.62), (0.62, 0.84), "n", mats["walnut"])
    framed("contours", (-1.85, y - 0.004, 1.55), (0.6, 0.82), "n", mats["oak"])
    plant("tree", (-2.1, y - 0.55, 0.0), 0.19, 0.34, 60, 1.0, mats, mats["terracotta"])

    # Southern wall
    framed("words", (-0.75, -y + 0.004, 1.6), (0.62, 0.86), "s", mats["oak"])
    framed("flow", (0.2, -y + 0.004, 1.66), (0.74, 0.74), "s", mats["walnut"])
    framed("shapes", (1.05, -y + 0.004, 1.6), (0.56, 0.78), "s", mats["pine"])
    framed("cells", (1.9, -y + 0.004, 1.66), (0.62, 0.62), "s", mats["walnut"])
    framed("landscape", (-1.75, -y + 0.004, 1.6), (0.76, 0.54), "s", mats["walnut"])
    armchair((-1.35, -y + 0.52, 0), 8, mats)
    box("bench", (1.2, 0.36, 0.05), (1.05, -y + 0.3, 0.45), mats["pine"], scale=1.0)
    for k, (dx, dy) in enumerate(((-0.52, -0.13), (0.52, -0.13), (-0.52, 0.13), (0.52, 0.13))):
        box(f"bench leg {k}", (0.05, 0.05, 0.43), (1.05 + dx, -y + 0.3 + dy, 0.215), mats["pine"])
    box("cushion", (0.42, 0.34, 0.12), (0.72, -y + 0.3, 0.53), mats["cloth"], bevel=0.05,
        scale=0.6, soft=True, turn=4)  # fmt: skip
    for k in range(4):
        flat_book(f"bench {k}", (0.2, 0.28, 0.03), (1.3, -y + 0.3, 0.495 + 0.034 * k), mats,
                  turn=95 + 17 * (k % 3))  # fmt: skip

    # Eastern wall, between and below the windows
    dial = material("clock", lambda: clock_face("clock", 420), roughness=0.35)
    angle = np.linspace(0, 2 * math.pi, 65)[:-1]
    ring = np.stack([0 * angle, -0.17 * np.cos(angle), 0.17 * np.sin(angle)], 1)
    uv = np.stack([0.5 + 0.5 * np.cos(angle), 0.5 + 0.5 * np.sin(angle)], 1)
    face = add_mesh("clock", ring, [tuple(range(64))], uv, dial)
    place(face, (ROOM_X - 0.03, 0.0, 1.72))
    angle = np.linspace(0, 2 * math.pi, 65)
    rim = np.stack([0 * angle, 0.175 * np.cos(angle), 0.175 * np.sin(angle)], 1)
    rim = tube("clock rim", rim, 0.016, mats["brass"], closed_ends=False)
    place(rim, (ROOM_X - 0.025, 0.0, 1.72))
    box("chest", (0.44, 0.9, 0.46), (ROOM_X - 0.25, 0.0, 0.23), mats["pine"], scale=0.9)
    box("lid", (0.47, 0.94, 0.04), (ROOM_X - 0.25, 0.0, 0.48), mats["walnut"], scale=0.9)
    plant("fern", (ROOM_X - 0.26, 0.22, 0.5), 0.1, 0.17, 34, 0.34, mats, mats["delft"])
    profile = [(0, 0), (0.07, 0), (0.07, 0), (0.1, 0.1), (0.07, 0.21), (0.08, 0.24), (0.06, 0.2)]
    lathe("chest jug", profile, mats["glaze"], (ROOM_X - 0.28, -0.2, 0.5))
    plant("sill plant", (ROOM_X + 0.05, 1.15, 0.85), 0.06, 0.11, 20, 0.2, mats, mats["terracotta"])
    plant("sill herb", (ROOM_X + 0.05, -0.7, 0.85), 0.06, 0.11, 22, 0.2, mats, mats["stoneware"])

    # A stool near the table
    lathe("stool", [(0, 0.44), (0.17, 0.44), (0.17, 0.44), (0.175, 0.46), (0.17, 0.475),
                    (0.17, 0.475), (0, 0.475)], mats["oak disc"], (0.95, 0.72, 0))  # fmt: skip
    for k in range(3):
        a = 2 * math.pi * k / 3 + 0.4
        foot = [(0.95 + r * math.cos(a), 0.72 + r * math.sin(a), z) for r, z in ((0.2, 0), (0.1, 0.45))]
        tube(f"stool leg {k}", curve(foot, 5), [0.014, 0.016, 0.017, 0.018, 0.019], mats["oak"])
    flat_book("stool", (0.17, 0.24, 0.03), (0.95, 0.72, 0.492), mats, turn=25)


def armchair(location, turn, mats):
    base = Matrix.Translation(location) @ Matrix.Rotation(math.radians(180 + turn), 4, "Z")
    parts = [
        ("seat", (0.6, 0.6, 0.2), (0, 0.02, 0.36), mats["cushion"], (0, 0), 0.06),
        ("back", (0.62, 0.18, 0.62), (0, 0.3, 0.68), mats["cushion"], (-12, 0), 0.07),
        ("arm l", (0.14, 0.66, 0.36), (-0.38, 0.02, 0.42), mats["upholstery"], (0, 0), 0.05),
        ("arm r", (0.14, 0.66, 0.36), (0.38, 0.02, 0.42), mats["upholstery"], (0, 0), 0.05),
        ("pillow", (0.4, 0.12, 0.36), (0.05, 0.13, 0.63), mats["cloth"], (-18, 8), 0.055),
    ]
    for name, size, centre, mat, tilt, bevel in parts:
        obj = box("chair " + name, size, (0, 0, 0), mat, bevel=bevel, scale=0.9, soft=True)
        spin = Matrix.Rotation(math.radians(tilt[0]), 4, "X")
        spin = spin @ Matrix.Rotation(math.radians(tilt[1]), 4, "Y")
        obj.matrix_world = base @ Matrix.Translation(centre) @ spin
    for k, (x, y) in enumerate(((-0.36, -0.26), (0.36, -0.26), (-0.36, 0.3), (0.36, 0.3))):
        obj = box(f"chair leg {k}", (0.05, 0.05, 0.26), (0, 0, 0), mats["walnut"])
        obj.matrix_world = base @ Matrix.Translation((x, y, 0.13))


def plant(name, location, radius, pot_height, leaves, reach, mats, pot):
    """A pot with arching stems that carry pointed leaves."""
    rng = rng_for("plant " + name)
    r, h = radius, pot_height
    profile = [(0, 0), (0.68 * r, 0), (0.68 * r, 0), (0.95 * r, 0.85 * h), (0.95 * r, 0.85 * h),
               (1.05 * r, 0.86 * h), (1.05 * r, h), (1.05 * r, h), (0.92 * r, h), (0.9 * r, 0.9 * h),
               (0.9 * r, 0.9 * h), (0, 0.9 * h)]  # fmt: skip
    lathe(name + " pot", profile, pot, location, rng.uniform(0, 360))
    soil = lathe(name + " soil", [(0, 0.91 * h), (0.9 * r, 0.91 * h)], mats["soil"], location)
    soil.name = name + " soil"
    bunch = Leaves(rng)
    base = np.asarray(location, float) + (0, 0, 0.9 * h)
    big = reach > 0.6
    for k in range(leaves):
        a = k * 2.39996 + rng.normal(0, 0.25)
        out = reach * rng.uniform(0.18, 0.5)
        rise = reach * rng.uniform(0.35, 1.25) * (1.25 if big else 1.0)
        root = base + r * 0.5 * rng.uniform(0, 1) * np.array([math.cos(a), math.sin(a), 0])
        tip = base + np.array([out * math.cos(a), out * math.sin(a), rise])
        knee = root + (tip - root) * 0.5 + np.array([0, 0, 0.22 * rise])
        path = curve([root, knee, tip], 7)
        tube(f"{name} stem {k}", path, np.linspace(0.006, 0.0025, 7) * (1.4 if big else 0.7),
             mats["stem"], 6, False)  # fmt: skip
        direction = path[-1] - path[-3] + np.array([math.cos(a), math.sin(a), 0.1]) * 0.06
        length = reach * rng.uniform(0.26, 0.42) * (0.9 if big else 1.3)
        bunch.add(tip, direction, length, length * rng.uniform(0.36, 0.5), 1.0)
    bunch.build(name + " leaves", mats["leaf"] if big else mats["leaf pale"])


# ------------------------------------------------------------------------------------------------
# The table
# ------------------------------------------------------------------------------------------------


def flat_book(name, size, centre, mats, turn=0.0):
    """A book lying on its back; its spine faces -x."""
    wide, high, thick = size
    cover = material(f"cover {name}", lambda: book_cover(f"cover {name}"), roughness=0.35, coat=0.2)
    base = Matrix.Translation(centre) @ Matrix.Rotation(math.radians(turn), 4, "Z")
    board = 0.0035
    parts = [
        ((wide, high, board), (0, 0, thick / 2 - board / 2), cover, {1: (0, 0, 1, 1)}),
        ((wide, high, board), (0, 0, -thick / 2 + board / 2), cover, {0: (0, 0, 1, 1)}),
        ((board, high, thick), (-wide / 2 + board / 2, 0, 0), cover, {5: (0, 0.72, 1, 1)}),
        (
            (wide - 0.012, high - 0.01, thick - 2 * board),
            (-0.002, 0, 0),
            mats["pages"],
            {f: (0, 0, 1, 1) for f in (2, 3, 4)},
        ),
    ]
    for k, (dims, offset, mat, rects) in enumerate(parts):
        obj = box(f"book {name} {k}", dims, (0, 0, 0), mat, bevel=0.001, rects=rects)
        obj.matrix_world = base @ Matrix.Translation(offset)


def open_book(location, turn):
    mat = material("spread", lambda: printed_pages("spread"), roughness=0.7)
    u = np.linspace(-1, 1, 33)
    s = np.abs(u)
    z = 0.022 * (1 - np.exp(-s * 9)) * (1.15 - 0.75 * s) + 0.004
    rows = np.zeros((2, 33, 3))
    for r, y in enumerate((-0.125, 0.125)):
        rows[r] = np.stack([0.18 * u, np.full(33, y), z], 1)
    place(grid_mesh("spread", rows, mat), location, turn)
    pages = material("block", lambda: pages_edge("block"), roughness=0.8)
    for k, y in enumerate((-0.125, 0.125)):
        side = np.stack([rows[k], rows[k] * (1, 1, 0) + (0, 0, 0.003)])
        place(grid_mesh(f"block {k}", side, pages, smooth=False), location, turn)
    for k, x in enumerate((-0.18, 0.18)):
        edge = np.array([[[x, -0.125, 0.003], [x, 0.125, 0.003]], [[x, -0.125, z[0]], [x, 0.125, z[0]]]])
        place(grid_mesh(f"fore edge {k}", edge, pages, smooth=False), location, turn)
    cover = material("binding", colour="#6e2426", roughness=0.5)
    x, y, zz = location
    box("binding", (0.376, 0.262, 0.004), (x, y, zz + 0.002), cover, turn=turn)


def build_table(mats):
    top = material(
        "table top",
        lambda: planks("table top", 1400, 2200, 6, WALNUT, (1.1, 1.6), 2.5),
        roughness=0.32,
        coat=0.15,
        bump=0.15,
        rough_variation=0.08,
    )
    box("table top", (1.56, 1.0, 0.045), (0, 0, TABLE_Z - 0.0225), top, bevel=0.008,
        rects={1: (0, 0, 1, 1)}, scale=1.6)  # fmt: skip
    for k, (dx, dy) in enumerate(((-1, -1), (1, -1), (-1, 1), (1, 1))):
        box(f"table leg {k}", (0.075, 0.075, 0.71), (dx * 0.69, dy * 0.41, 0.355), mats["walnut"])
    for k, dy in enumerate((-0.41, 0.41)):
        box(f"apron x{k}", (1.3, 0.025, 0.09), (0, dy, 0.67), mats["walnut"], scale=1.3)
    for k, dx in enumerate((-0.69, 0.69)):
        box(f"apron y{k}", (0.025, 0.75, 0.09), (dx, 0, 0.67), mats["walnut"], scale=1.3)

    # Runner: lies along x, hangs over both ends
    half, drop, wide = 0.782, 0.2, 0.4
    total = half + drop
    s = np.linspace(-total, total, 161)[None, :]
    t = np.linspace(-1, 1, 25)[:, None]
    over = np.maximum(np.abs(s) - half, 0.0)
    x = np.sign(s) * (np.minimum(np.abs(s), half) + 0.012 * (1 - np.exp(-over * 60)))
    x = x + np.sign(s) * 0.016 * np.sin(t * 7 + 1) * over / drop
    ripple = 0.0016 * (1 + np.sin(s * 31 + t * 2.4) * np.sin(s * 13 - t * 3.1))
    z = TABLE_Z + 0.0025 + ripple - over
    y = t * wide / 2 + 0.015 * np.sin(s * 4.1) + 0 * s
    points = np.stack(np.broadcast_arrays(x, y, z), -1)
    grid_mesh("runner", points, mats["runner"])

    z = TABLE_Z + 0.006
    # Vase with olive branches
    profile = [(0, 0), (0.055, 0), (0.055, 0), (0.085, 0.06), (0.095, 0.13), (0.05, 0.215),
               (0.042, 0.24), (0.055, 0.27), (0.05, 0.268), (0.036, 0.24), (0.04, 0.2)]  # fmt: skip
    lathe("vase", profile, mats["delft"], (0.03, 0.1, z), 25, 80)
    rng = rng_for("branches")
    bunch = Leaves(rng)
    for k in range(9):
        a = k * 2.39996 + rng.normal(0, 0.2)
        out, rise = rng.uniform(0.08, 0.24), rng.uniform(0.3, 0.5)
        start = np.array([0.03, 0.1, z + 0.2])
        heading = np.array([math.cos(a), math.sin(a), 0.0])
        path = curve(
            [start, start + 0.03 * heading + (0, 0, 0.1), start + out * heading + (0, 0, rise)], 22
        )
        path[5:] += rng.normal(0, 0.002, (17, 3))
        tube(f"twig {k}", path, np.linspace(0.0032, 0.0012, 22), mats["bark"], 6, False)
        for n in range(6, 22):
            for side in (-1, 1):
                along = path[n] - path[n - 1]
                along /= np.linalg.norm(along)
                turn = rng.uniform(0, 2 * math.pi)
                across = np.array([math.cos(turn), math.sin(turn), rng.normal(0, 0.4)])
                length = rng.uniform(0.026, 0.048)
                bunch.add(path[n], along * 0.6 + across * 0.8, length, length * 0.34, 0.4, 0.3, 5)
    bunch.build("olive", mats["olive"])

    globe((-0.5, 0.23, z - 0.004), mats)

    # Stack of books, a camera on it
    for k, (w, h, t) in enumerate(((0.21, 0.3, 0.042), (0.19, 0.27, 0.034), (0.17, 0.24, 0.03))):
        flat_book(f"stack {k}", (w, h, t), (0.5, 0.25, z + (0.017, 0.056, 0.089)[k]), mats,
                  turn=(12, -7, 22)[k])  # fmt: skip
    old_camera((0.49, 0.25, z + 0.105), 205, mats)

    teapot((0.33, -0.1, z), -35, mats)
    for k, (cx, cy) in enumerate(((0.56, -0.28), (0.2, -0.33))):
        cup(f"cup {k}", (cx, cy, TABLE_Z), 60 + 170 * k, mats, mats["stoneware"] if k else mats["glaze"])

    # Marble bowl with fruit
    profile = [(0, 0), (0.06, 0), (0.06, 0), (0.065, 0.012), (0.12, 0.05), (0.138, 0.085),
               (0.132, 0.085), (0.11, 0.05), (0.05, 0.022), (0, 0.02)]  # fmt: skip
    lathe("bowl", profile, mats["marble bowl"], (-0.22, -0.03, z), 0, 80)
    skins = {
        kind: material(f"fruit {kind}", lambda kind=kind: fruit(f"fruit {kind}", 256, 512, kind),
                       roughness=0.33, bump=0.3, bump_scale=0.0015)  # fmt: skip
        for kind in ("orange", "lemon", "apple")
    }
    rng = rng_for("fruit")
    spots = [("orange", 0.042, 0.062, 0.2, 0.066), ("apple", 0.04, 0.062, 1.5, 0.066),
             ("orange", 0.041, 0.06, 2.75, 0.066), ("apple", 0.041, 0.064, 4.0, 0.066),
             ("lemon", 0.034, 0.064, 5.25, 0.064), ("orange", 0.04, 0.0, 0.0, 0.118),
             ("lemon", 0.032, 0.05, 2.1, 0.126), ("apple", 0.037, 0.055, 4.7, 0.122)]  # fmt: skip
    for k, (kind, size, out, a, high) in enumerate(spots):
        where = (-0.22 + out * math.cos(a), -0.03 + out * math.sin(a), z + high)
        tilt = tuple(rng.uniform(-60, 60, 2))
        if kind == "apple":
            s = np.linspace(0, math.pi, 25)
            profile = np.stack([size * np.sin(s) * (1 + 0.12 * np.cos(s)), -size * np.cos(s) * 0.9], 1)
            profile[:, 1] -= 0.25 * size * np.exp(-((s - math.pi) ** 2) * 9)
            lathe(f"fruit {k}", profile, skins[kind], where, 30 * k, 48, 1, tilt)
        else:
            squash = 1.25 if kind == "lemon" else 0.96
            sphere(f"fruit {k}", size, where, skins[kind], 40 * k, tilt, squash)
    sphere("stray orange", 0.04, (-0.05, -0.22, z + 0.036), skins["orange"], 10, (50, 30), 0.96)

    open_book((-0.5, -0.24, TABLE_Z), -17)
    # Lacquered ball on a brass ring, candlesticks
    sphere("ball", 0.07, (-0.13, -0.36, TABLE_Z + 0.082), mats["swirl"], 20, (25, 40))
    ring = [(0.035 * math.cos(a), 0.035 * math.sin(a), 0.0) for a in np.linspace(0, 2 * math.pi, 33)]
    place(tube("ring", ring, 0.011, mats["brass"], 12, False), (-0.13, -0.36, TABLE_Z + 0.012))
    for k, (cx, cy, s) in enumerate(((0.25, 0.38, 1.0), (-0.2, 0.4, 0.8))):
        profile = [(0, 0), (0.052, 0), (0.052, 0), (0.05, 0.012), (0.014, 0.025), (0.011, 0.07),
                   (0.022, 0.085), (0.011, 0.1), (0.01, 0.17), (0.03, 0.185), (0.03, 0.185),
                   (0.028, 0.19), (0.013, 0.19), (0.013, 0.19), (0, 0.19)]  # fmt: skip
        profile = [(r, h * s) for r, h in profile]
        lathe(f"candlestick {k}", profile, mats["brass"], (cx, cy, TABLE_Z))
        high = 0.19 * s
        profile = [(0.0115, high - 0.01), (0.0115, high + 0.12 * s), (0.009, high + 0.125 * s),
                   (0, high + 0.12 * s)]  # fmt: skip
        lathe(f"candle {k}", profile, mats["wax"], (cx, cy, TABLE_Z), segments=32)
        wick = [(cx, cy, TABLE_Z + high + 0.118 * s), (cx + 0.002, cy, TABLE_Z + high + 0.134 * s)]
        tube(f"wick {k}", curve(wick, 4), 0.0012, mats["iron"], 6)

    # Copper pot, small boxes, blocks, postcards
    profile = [(0, 0), (0.05, 0), (0.05, 0), (0.062, 0.02), (0.058, 0.075), (0.064, 0.085),
               (0.06, 0.084), (0.054, 0.07), (0.05, 0.02), (0, 0.015)]  # fmt: skip
    lathe("copper pot", profile, mats["copper"], (0.66, 0.02, z))
    for k in range(9):
        a = k * 0.7
        x, y = 0.66 + 0.016 * math.cos(a), 0.02 + 0.016 * math.sin(a)
        end = (x + 0.035 * math.cos(a), y + 0.035 * math.sin(a), z + 0.17 + 0.02 * math.sin(5 * a))
        pencil = mats[("red", "blue", "yellow")[k % 3]]
        tube(f"pencil {k}", curve([(x, y, z + 0.02), end], 5), 0.0035, pencil, 6)
    box("chest small", (0.15, 0.1, 0.075), (-0.62, -0.02, z + 0.0375), mats["pine"], turn=32, scale=0.4)
    box("chest top", (0.156, 0.106, 0.018), (-0.62, -0.02, z + 0.084), mats["walnut"], turn=32)
    for k, (bx, by, bz, turn) in enumerate(
        ((-0.3, -0.4, 0, 15), (-0.355, -0.41, 0, -20), (-0.325, -0.405, 1, 40), (-0.4, -0.36, 0, 5))
    ):
        mat = material(f"block {k}", lambda k=k: letter_block(f"block {k}", k), roughness=0.5)
        box(f"block {k}", (0.044,) * 3, (bx, by, TABLE_Z + 0.022 + 0.044 * bz), mat, turn,
            rects={f: ((f % 3) / 3, (f // 3) / 2, (f % 3 + 1) / 3, (f // 3 + 1) / 2)
                   for f in range(6)})  # fmt: skip
    kinds = ("flow", "contours", "cells", "landscape", "shapes")
    spots = ((0.62, -0.12, 25), (0.68, -0.08, -12), (0.05, 0.36, 70), (-0.36, 0.42, 14), (0.0, -0.44, -8))
    for k, (kind, (px, py, turn)) in enumerate(zip(kinds, spots, strict=True)):
        make = POSTERS[kind]
        mat = material(f"card {k}", lambda k=k, make=make: make(f"card {k}", 360, 520), roughness=0.3)
        box(f"card {k}", (0.13, 0.09, 0.0014), (px, py, TABLE_Z + 0.0008 + 0.0016 * (k % 2)), mat, turn,
            bevel=0, rects={1: (0, 0, 1, 1)})  # fmt: skip


def letter_block(name, k) -> np.ndarray:
    """Six faces of a toy block in a 3 by 2 atlas."""
    rng = rng_for(name)
    image = to_image(wood(rng, 256, 384, PINE, 18))
    draw = ImageDraw.Draw(image)
    paints = ["#b5332b", "#27598c", "#3d7a45", "#d79322"]
    for f in range(6):
        x, y = (f % 3) * 128, (f // 3) * 128
        colour = ink(paints[(f + k) % 4])
        draw.rectangle((x + 8, y + 8, x + 119, y + 119), outline=colour, width=7)
        letter = "RECONSFMNERFGAUSSPLATXYZ"[(k * 6 + f) % 24]
        draw.text((x + 64, y + 64), letter, font=font(84), fill=colour, anchor="mm")
    return aged(image, name, 0.06, 0.02)


def globe(location, mats):
    x, y, z = location
    skin = material("globe", lambda: globe_map("globe", 900, 1800), roughness=0.3, coat=0.4)
    centre = (x, y, z + 0.215)
    sphere("globe", 0.128, centre, skin, 140, (0, 23))
    a = np.linspace(0, 2 * math.pi, 65)
    ring = np.stack([0.142 * np.sin(a), 0 * a, 0.142 * np.cos(a)], 1)
    meridian = tube("meridian", ring, 0.005, mats["brass"], 10, False)
    place(meridian, centre, 35)
    profile = [(0, 0), (0.085, 0), (0.085, 0), (0.085, 0.012), (0.04, 0.03), (0.016, 0.05),
               (0.02, 0.06), (0.012, 0.075), (0, 0.078)]  # fmt: skip
    lathe("globe foot", profile, mats["oak disc"], location)
    for side in (-1, 1):
        lean = math.radians(23)
        end = np.array([math.sin(lean), 0.0, math.cos(lean)]) * 0.142 * side
        pin = tube(f"pin {side}", [end * 0.9, end * 1.04], 0.004, mats["brass"], 8)
        place(pin, centre)


def teapot(location, turn, mats):
    glaze = mats["glaze"]
    profile = [(0, 0), (0.05, 0), (0.05, 0), (0.055, 0.006), (0.088, 0.05), (0.092, 0.08),
               (0.07, 0.125), (0.045, 0.14), (0.045, 0.14)]  # fmt: skip
    lathe("teapot", profile, glaze, location, turn, 80)
    profile = [(0.05, 0.138), (0.05, 0.138), (0.048, 0.146), (0.02, 0.158), (0.008, 0.162), (0.008, 0.167),
               (0.015, 0.178), (0.01, 0.19), (0, 0.192)]  # fmt: skip
    lathe("teapot lid", profile, glaze, location, turn)
    spout = curve([(0.075, 0, 0.055), (0.115, 0, 0.07), (0.135, 0, 0.11), (0.165, 0, 0.135)], 20)
    spout = tube("spout", spout, np.linspace(0.024, 0.0095, 20), glaze, 20)
    handle = curve([(-0.078, 0, 0.118), (-0.125, 0, 0.125), (-0.145, 0, 0.085), (-0.12, 0, 0.045),
                    (-0.083, 0, 0.042)], 24)  # fmt: skip
    handle = tube("handle", handle, 0.0085, glaze, 14)
    for part in (spout, handle):
        place(part, location, turn)


def cup(name, location, turn, mats, mat):
    profile = [(0, 0), (0.035, 0), (0.035, 0), (0.05, 0.006), (0.076, 0.014), (0.078, 0.017), (0.05, 0.011),
               (0, 0.008)]  # fmt: skip
    lathe(name + " saucer", profile, mat, location)
    profile = [(0, 0.01), (0.022, 0.01), (0.022, 0.01), (0.026, 0.016), (0.041, 0.04), (0.044, 0.074),
               (0.041, 0.075), (0.038, 0.045), (0.02, 0.02), (0, 0.018)]  # fmt: skip
    lathe(name, profile, mat, location, turn)
    handle = curve([(0.041, 0, 0.062), (0.064, 0, 0.064), (0.066, 0, 0.042), (0.036, 0, 0.03)], 16)
    place(tube(name + " handle", handle, 0.0045, mat, 10), location, turn)
    lathe(name + " tea", [(0, 0.062), (0.041, 0.062)], mats["tea"], location, segments=40)


def old_camera(location, turn, mats):
    """A viewfinder camera of the kind that took such photographs."""
    base = Matrix.Translation(location) @ Matrix.Rotation(math.radians(turn), 4, "Z")
    leather = material(
        "leather", lambda: limewash("leather", 400, 800, "#171311", "#2b221d", "#43352b"),
        roughness=0.55, bump=0.5,
    )  # fmt: skip
    parts = [
        ((0.13, 0.034, 0.055), (0, 0, 0.0335), leather, 0.006),
        ((0.13, 0.035, 0.02), (0, 0, 0.07), mats["steel"], 0.004),
        ((0.13, 0.035, 0.008), (0, 0, 0.004), mats["steel"], 0.003),
        ((0.034, 0.03, 0.016), (0.0, 0, 0.086), mats["steel"], 0.004),
        ((0.02, 0.004, 0.01), (0.0, -0.0165, 0.086), mats["iron"], 0.001),
    ]
    for k, (dims, offset, mat, bevel) in enumerate(parts):
        obj = box(f"camera {k}", dims, (0, 0, 0), mat, bevel=bevel, scale=0.2)
        obj.matrix_world = base @ Matrix.Translation(offset)
    lens = [(0, 0), (0.028, 0), (0.028, 0), (0.028, 0.012), (0.025, 0.014), (0.025, 0.014), (0.025, 0.03),
            (0.025, 0.03), (0.02, 0.03), (0.02, 0.03), (0.017, 0.026), (0.017, 0.026), (0, 0.026)]  # fmt: skip
    obj = lathe("lens", lens, mats["steel"], segments=48)
    obj.matrix_world = (
        base @ Matrix.Translation((0, -0.016, 0.036)) @ Matrix.Rotation(math.radians(90), 4, "X")
    )
    glass = sphere("lens glass", 0.0185, (0, 0, 0), mats["lens"], squash=0.3)
    glass.matrix_world = (
        base @ Matrix.Translation((0, -0.041, 0.036)) @ Matrix.Rotation(math.radians(90), 4, "X")
    )
    for k, (x, r, h) in enumerate(((-0.045, 0.012, 0.012), (0.042, 0.009, 0.01), (0.057, 0.005, 0.014))):
        dial = [(0, 0), (r, 0), (r, 0), (r, h), (r, h), (0, h)]
        obj = lathe(f"dial {k}", dial, mats["brass" if k == 2 else "steel"], segments=24)
        obj.matrix_world = base @ Matrix.Translation((x, 0, 0.079))


def build_materials():
    def timber(name, palette, roughness=0.45):
        return material(
            f"timber {name}", lambda: wood(rng_for("timber " + name), 900, 1600, palette, 34),
            roughness=roughness, bump=0.15,
        )  # fmt: skip

    def clay(name, base, spot, **options):
        return material(name, lambda: speckled(name, 512, 1024, base, spot), **options)

    greens = ("#1f3d22", "#35592c", "#5d7d3a")
    return {
        "oak": timber("oak", OAK),
        "walnut": timber("walnut", WALNUT),
        "pine": timber("pine", PINE),
        "oak disc": material("turned oak", lambda: wood(rng_for("turned oak"), 700, 900, OAK, 20),
                             roughness=0.35),  # fmt: skip
        "painted": material(
            "painted", lambda: limewash("painted", 700, 900, "#c7c3b6", "#dedacd", "#ebe8de"),
            roughness=0.4,
        ),  # fmt: skip
        "pages": material("pages", lambda: pages_edge("pages"), roughness=0.85),
        "delft": material("delft", lambda: delft("delft", 700, 1200), roughness=0.15, coat=0.5),
        "stoneware": clay("stoneware", "#c9b797", "#4f3420", roughness=0.4),
        "glaze": clay("glaze", "#2f6f73", "#12282c", roughness=0.1, coat=0.8),
        "terracotta": clay("terracotta", "#b0643f", "#e0b090", roughness=0.8, bump=0.2),
        "marble": material(
            "marble", lambda: marble("marble", 500, 700, "#3d4540", "#8f9a90", "#dcdcd2", "#efece4"),
            roughness=0.15,
        ),  # fmt: skip
        "marble bowl": material(
            "marble bowl",
            lambda: marble("marble bowl", 500, 1000, "#4a3f3c", "#a08f86", "#e2dad0", "#f2ede6"),
            roughness=0.12,
            coat=0.3,
        ),
        "swirl": material(
            "swirl", lambda: marble("swirl", 512, 1024, "#140f1c", "#7a1d2c", "#c8602f", "#f0cf8e"),
            roughness=0.06, coat=1.0,
        ),  # fmt: skip
        "brass": material(
            "brass", lambda: hammered("brass", 400, 800, "#5d4420", "#b08a45", "#dcb866", "#ecd08a"),
            roughness=0.24, metallic=1.0, rough_variation=0.08,
        ),  # fmt: skip
        "copper": material(
            "copper", lambda: hammered("copper", 512, 1024, "#4d2a1e", "#a65f3f", "#d68a62", "#eab08a"),
            roughness=0.26, metallic=1.0, bump=0.35, bump_scale=0.003,
        ),  # fmt: skip
        "steel": material(
            "steel", lambda: hammered("steel", 400, 800, "#6b6b6a", "#a9a8a5", "#c9c8c4"),
            roughness=0.28, metallic=1.0,
        ),  # fmt: skip
        "iron": material("iron", colour="#2a2827", roughness=0.5),
        "lens": material("lens", colour="#0d1424", roughness=0.03, coat=1.0),
        "tea": material("tea", colour="#6b3415", roughness=0.05),
        "wax": material("wax", lambda: limewash("wax", 300, 300, "#d9c9a4", "#efe3c6", "#f7efdb"),
                        roughness=0.4),  # fmt: skip
        "red": material("red", colour="#b23a30", roughness=0.3),
        "blue": material("blue", colour="#2c5c8f", roughness=0.3),
        "yellow": material("yellow", colour="#dba233", roughness=0.3),
        "soil": material("soil", lambda: limewash("soil", 300, 300, "#150e0a", "#2c1f16", "#4a3828"),
                         roughness=1.0, bump=0.6, bump_scale=0.01),  # fmt: skip
        "stem": material("stem", colour="#4f6a34", roughness=0.5),
        "bark": material("bark", colour="#57422f", roughness=0.7),
        "leaf": material("leaf", lambda: leaf_skin("leaf", 256, 512, *greens), roughness=0.35),
        "leaf pale": material(
            "leaf pale", lambda: leaf_skin("leaf pale", 256, 512, "#3c5f2e", "#5f8540", "#93ad5a"),
            roughness=0.4,
        ),  # fmt: skip
        "olive": material(
            "olive", lambda: leaf_skin("olive", 128, 256, "#4a5c41", "#6d7f58", "#a3ad84"),
            roughness=0.5,
        ),  # fmt: skip
        "runner": material("runner", lambda: cloth("runner", 640, 3000), roughness=0.9, bump=0.3,
                           sheen=0.2),  # fmt: skip
        "cloth": material("cloth", lambda: cloth("cloth", 900, 900), roughness=0.9, bump=0.3),
        "cushion": material("cushion", lambda: rug("cushion", 900, 900), roughness=0.95, bump=0.3),
        "upholstery": material(
            "upholstery",
            lambda: limewash("upholstery", 900, 900, "#5c3a1e", "#8a5a30", "#b07c48"),
            roughness=0.5,
            bump=0.2,
        ),
    }


# ------------------------------------------------------------------------------------------------
# Light, cameras, rendering
# ------------------------------------------------------------------------------------------------


def add_light(name, kind, location, direction, energy, colour, visible_glossy=True, **options):
    light = bpy.data.lights.new(name, kind)
    light.energy = energy
    light.color = colour
    for key, value in options.items():
        setattr(light, key, value)
    obj = bpy.data.objects.new(name, light)
    obj.location = location
    obj.rotation_euler = Vector(direction).to_track_quat("-Z", "Y").to_euler()
    obj.visible_camera = False
    obj.visible_glossy = visible_glossy
    bpy.context.scene.collection.objects.link(obj)
    return obj


def build_lights():
    """Low sun through the windows, sky light in the window openings, a soft fill from above."""
    add_light("sun", "SUN", (6, 2, 5), (-1.0, -0.42, -0.72), 3.4, (1.0, 0.9, 0.76),
              angle=math.radians(1.6))  # fmt: skip
    for k, y in enumerate((1.1, -1.1)):
        add_light(f"sky {k}", "AREA", (ROOM_X + 0.16, y, 1.575), (-1, 0, -0.12), 58.0,
                  (0.86, 0.93, 1.0), False, shape="RECTANGLE", size=1.3, size_y=1.45)  # fmt: skip
    add_light("fill", "AREA", (-0.3, 0, ROOM_Z - 0.21), (0, 0, -1), 62.0, (1.0, 0.95, 0.88), False,
              shape="RECTANGLE", size=4.2, size_y=3.8)  # fmt: skip
    add_light("bounce", "AREA", (-2.3, 0, 1.5), (1, 0, 0.05), 20.0, (1.0, 0.93, 0.84), False,
              shape="RECTANGLE", size=3.8, size_y=2.0)  # fmt: skip
    world = bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.6, 0.75, 1.0, 1.0)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.3


def camera_path(count: int) -> list[np.ndarray]:
    """Camera-to-world matrices (OpenGL axes) along one and a half hand-held orbits."""
    rng = rng_for("path")

    def wander(scale):
        """Smooth random drift plus a little independent shake."""
        knots = rng.normal(0, 1, count // 4 + 4)
        drift = np.interp(np.arange(count) / 4.0, np.arange(len(knots)), knots)
        return scale * (0.7 * drift + 0.5 * rng.normal(0, 1, count))

    s = np.linspace(0.0, 1.0, count)
    angle = math.radians(-70) + 2 * math.pi * 1.5 * s + np.radians(wander(0.7))
    rise = smoothstep(0.28, 0.42, s) + smoothstep(0.66, 0.76, s)
    height = 1.2 + 0.27 * rise + wander(0.02)
    radius = 1.62 - 0.06 * rise + wander(0.025)
    aim = np.stack([wander(0.05), wander(0.05), 0.9 - 0.02 * rise + wander(0.02)], 1)
    roll = np.radians(wander(1.0))
    poses = []
    for k in range(count):
        eye = np.array(
            [1.06 * radius[k] * math.cos(angle[k]), radius[k] * math.sin(angle[k]), height[k]]
        )
        back = eye - aim[k]
        back /= np.linalg.norm(back)
        right = np.cross((0, 0, 1.0), back)
        right /= np.linalg.norm(right)
        up = np.cross(back, right)
        c, d = math.cos(roll[k]), math.sin(roll[k])
        pose = np.eye(4)
        pose[:3, 0], pose[:3, 1] = c * right + d * up, c * up - d * right
        pose[:3, 2], pose[:3, 3] = back, eye
        poses.append(pose)
    return poses


def set_up(args):
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.samples = args.samples
    cycles.use_adaptive_sampling = True
    cycles.adaptive_threshold = args.noise
    cycles.seed = Context.seed
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 6, 4, 3
    cycles.sample_clamp_indirect = 4.0
    cycles.blur_glossy = 0.5
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.use_denoising = True
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.denoising_prefilter = "ACCURATE"
    cycles.filter_width = 1.2
    scene.render.use_persistent_data = True
    scene.render.resolution_x, scene.render.resolution_y = args.width, args.width * 3 // 4
    scene.render.resolution_percentage = 100
    if args.threads:
        scene.render.threads_mode = "FIXED"
        scene.render.threads = args.threads
    scene.view_settings.view_transform = args.view
    scene.view_settings.exposure = args.exposure
    scene.view_settings.look = "None" if args.view == "Standard" else "AgX - Medium High Contrast"
    data = bpy.data.cameras.new("camera")
    data.sensor_fit = "HORIZONTAL"
    data.angle = math.radians(FOV_DEGREES)
    data.clip_start, data.clip_end = 0.01, 100.0
    camera = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene, camera


def render_photo(scene, path: Path, quality: int):
    """Render to a PNG beside the target, then write the JPEG in one step."""
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.image_settings.compression = 10
    scratch = Context.textures / "frame.png"
    scene.render.filepath = str(scratch)
    bpy.ops.render.render(write_still=True)
    with Image.open(scratch) as picture:
        save_whole(path, lambda p: picture.convert("RGB").save(p, "JPEG", quality=quality, optimize=True))


def save_whole(path: Path, save):
    """Write under another name first, so that an interrupted run leaves no partial file."""
    partial = path.with_name(path.name + ".part")
    save(partial)
    partial.replace(path)


def depth_mode(scene):
    """Make every surface emit its z-depth; one sample through each pixel centre."""
    mat = bpy.data.materials.new("z depth")
    mat.use_nodes = True
    mat.cycles.emission_sampling = "NONE"
    tree = mat.node_tree
    tree.nodes.clear()
    view = tree.nodes.new("ShaderNodeCameraData")
    emit = tree.nodes.new("ShaderNodeEmission")
    out = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(view.outputs["View Z Depth"], emit.inputs["Color"])
    tree.links.new(emit.outputs["Emission"], out.inputs["Surface"])
    scene.view_layers[0].material_override = mat
    cycles = scene.cycles
    cycles.samples = 1
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    cycles.max_bounces = 0
    cycles.sample_clamp_direct = 0.0
    cycles.pixel_filter_type = "BOX"
    cycles.filter_width = 0.01
    scene.render.resolution_percentage = 50
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"


def render_depth(scene, path: Path):
    scratch = Context.textures / "depth.exr"
    scene.render.filepath = str(scratch)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(scratch))
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    depth = pixels.reshape(height, width, -1)[::-1, :, 0] * 1000.0
    if depth.min() <= 0 or depth.max() > 65535:
        raise RuntimeError(f"depth out of range: {depth.min()} to {depth.max()} mm")
    picture = Image.fromarray(np.rint(depth).astype(np.uint16))
    save_whole(path, lambda p: picture.save(p, "PNG", optimize=True))


def write_transforms(path: Path, poses, width: int, height: int):
    focal = 0.5 * width / math.tan(math.radians(FOV_DEGREES) / 2)
    frames = [
        {
            "file_path": f"../images/{k:03d}.jpg",
            "depth_file_path": f"depth/{k:03d}.png",
            "transform_matrix": [[round(float(v), 9) for v in row] for row in pose],
        }
        for k, pose in enumerate(poses)
    ]
    data = {
        "camera_model": "PINHOLE",
        "w": width,
        "h": height,
        "fl_x": focal,
        "fl_y": focal,
        "cx": width / 2,
        "cy": height / 2,
        "depth_unit_scale_factor": 0.001,
        "frames": frames,
    }
    save_whole(path, lambda p: p.write_text(json.dumps(data, indent=1) + "\n"))


def parse_args():
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Render the bundled scene 'studio'.")
    parser.add_argument("--out", type=Path, default=here / "studio", help="scene folder")
    parser.add_argument("--width", type=int, default=800, help="image width; height is 3/4 of it")
    parser.add_argument("--samples", type=int, default=64, help="most paths per pixel")
    parser.add_argument("--noise", type=float, default=0.015, help="adaptive sampling threshold")
    parser.add_argument("--number", type=int, default=48, help="number of views on the path")
    parser.add_argument("--only", default="", help="render only these views, e.g. 0,12,24")
    parser.add_argument("--quality", type=int, default=90, help="JPEG quality")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    parser.add_argument("--exposure", type=float, default=0.0, help="stops, the same for all views")
    parser.add_argument("--view", default="AgX", choices=("AgX", "Standard"), help="tone mapping")
    parser.add_argument("--no-depth", action="store_true", help="leave out the depth maps")
    parser.add_argument("--textures", type=Path, help="keep textures here between runs")
    return parser.parse_args()


def main():
    args = parse_args()
    images, truth = args.out / "images", args.out / "truth"
    depths = truth / "depth"
    for folder in (images, depths):
        folder.mkdir(parents=True, exist_ok=True)
    Context.seed = args.seed
    with tempfile.TemporaryDirectory() as scratch:
        Context.textures = args.textures or Path(scratch)
        Context.textures.mkdir(parents=True, exist_ok=True)
        bpy.ops.wm.read_factory_settings(use_empty=True)
        started = time.perf_counter()
        scene, camera = set_up(args)
        mats = build_materials()
        build_shell(mats)
        build_shelf(mats)
        build_furniture(mats)
        build_table(mats)
        build_lights()
        print(f"scene built in {time.perf_counter() - started:.1f} s", flush=True)
        poses = camera_path(args.number)
        chosen = [int(k) for k in args.only.split(",")] if args.only else range(args.number)
        write_transforms(truth / "transforms.json", poses, args.width, args.width * 3 // 4)
        passes = [(images, ".jpg", lambda path: render_photo(scene, path, args.quality))]
        if not args.no_depth:
            passes.append((depths, ".png", lambda path: render_depth(scene, path)))
        for folder, suffix, render in passes:
            if folder is depths:
                depth_mode(scene)
            for k in chosen:
                path = folder / f"{k:03d}{suffix}"
                if path.exists():
                    continue
                begun = time.perf_counter()
                camera.matrix_world = Matrix(poses[k].tolist())
                render(path)
                print(f"{path.name}: {time.perf_counter() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    main()
