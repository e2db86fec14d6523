"""The textures of the ``studio`` scene, made with numpy and Pillow (see make_studio.py)."""

from __future__ import annotations

import math
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont


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
    return tuple(round(255 * min(max(c, 0.0), 1.0)) for c in rgb(colour))


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
SMOKED = ("#3d3a36", "#5f584f", "#7f7568", "#9c9080")


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
    for top, bottom in pairwise(edges):
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
    palette = [
        "#7d2a26",
        "#a8452f",
        "#c98544",
        "#e0c48d",
        "#27445c",
        "#3f6d73",
        "#efe3c8",
        "#3a2620",
    ]
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
    image = Image.new("RGB", (width, height), ink("#c6ba9e"))
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
            for _ in range(rng.integers(2, 5)):
                a = turn + rng.normal(0, 0.6)
                draw.polygon(leaf_polygon(x, y, size, size * 0.2, a, 0.9), fill=colour)
    for y in (0.03, 0.09, 0.92, 0.97):
        draw.line((0, y * height, width, y * height), fill=ink("#1d3f7e"), width=5)
        for _ in range(90):
            x = rng.uniform(0, width)
            draw.ellipse((x, y * height + 8, x + 7, y * height + 15), fill=ink("#2f5c9e"))
    crackle = np.abs(fbm(rng, height, width, 60, 4, 0.6))
    return (
        aged(image, name, 0.03, 0.01) * (1 - 0.18 * (1 - smoothstep(0, 0.05, crackle)))[..., None]
    )


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
    sky = ramp(
        np.clip(y + 0.08 * fbm(rng, height, width, width / 5, 6), 0, 1), "#9cc3e6", "#eef4f5"
    )
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


TITLES = [
    "Light and Matter",
    "The Long Field",
    "Notes on Clay",
    "Parallax",
    "A Room in Winter",
    "Salt Roads",
    "Fifty Knots",
    "The Cartographer",
    "Slow Rivers",
    "Under Glass",
    "Kiln and Fire",
    "Seven Harbours",
    "Ordinary Stars",
    "Thresholds",
    "On Looking",
    "The Weaver's Year",
    "North of Noon",
    "Epipolar Tales",
    "A Field Guide to Shadows",
    "Loam",
    "Tin Birds",
    "Pigment",
    "Gaussian Summer",
    "The Paper House",
    "Bundle and Thread",
    "Moss",
    "Horizon Line",
    "Of Oak",
    "Small Boats",
]
AUTHORS = [
    "M. Alder",
    "J. Quill",
    "R. Tarn",
    "E. Lindqvist",
    "P. Okoro",
    "S. Vance",
    "T. Marsh",
    "H. Ito",
    "L. Brandt",
    "A. Corvo",
    "N. Hale",
    "D. Ruiz",
    "K. Osei",
    "V. Petrov",
]
COVERS = [  # ground, lettering, accent
    ("#8c2f2b", "#f0e2c4", "#e0a03c"),
    ("#22405c", "#e8dfc9", "#d8663d"),
    ("#355e4b", "#f1e6cf", "#d9b24c"),
    ("#d7a340", "#2b2a2a", "#8c2f2b"),
    ("#ece3d0", "#2a4a5e", "#b5483a"),
    ("#5b3a5e", "#ead9c2", "#d98f5c"),
    ("#2e2c2b", "#e6c27a", "#9db0a4"),
    ("#b86a4b", "#f3e8d5", "#2c4a52"),
    ("#7d8f69", "#f2ead8", "#3b2f2a"),
    ("#3c6e85", "#f4ead2", "#e3b04b"),
    ("#c9bfae", "#45372d", "#a83f34"),
    ("#a3423f", "#f0dfb8", "#243b53"),
]


def spine_atlas(name, count, height=320, width=56) -> np.ndarray:
    """Book spines side by side."""
    rng = rng_for(name)
    atlas = Image.new("RGB", (count * width, height))
    for k in range(count):
        base, text, accent = COVERS[rng.integers(len(COVERS))]
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
    base, text, accent = COVERS[rng.integers(len(COVERS))]
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
    t = (
        0.5
        + 0.22 * fbm(rng, height, width, 3, 2, 0.7, (0.6, 40.0))
        + 0.1 * fbm(rng, height, width, 90)
    )
    return ramp(np.clip(t, 0, 1), "#a8977a", "#d8cbb0", "#efe6d2")


def printed_pages(name, height=700, width=1000) -> np.ndarray:
    """A spread of an open book: text on the left, a plate and text on the right."""
    rng = rng_for(name)
    image = Image.new("RGB", (width, height), ink("#ece3cd"))
    draw = ImageDraw.Draw(image)
    words = (
        "of",
        "light",
        "the",
        "room",
        "and",
        "glass",
        "a",
        "shadow",
        "in",
        "far",
        "line",
        "ray",
    )
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
    draw.text(
        (20, height * 0.915), "Sheet 27  Upper Valley", font=font(width / 16), fill=ink("#333333")
    )
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
    palette = [
        "#b23a48",
        "#fcb9b2",
        "#274c77",
        "#6096ba",
        "#e7c663",
        "#f2efe9",
        "#3a7d44",
        "#8c5383",
    ]
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
        for a, b in pairwise(near):
            draw.line((*stars[a], *stars[b]), fill=ink("#d9c07a"), width=2)
        label = f"{chr(65 + k)}{k}"
        draw.text(tuple(stars[k] + 6), label, font=font(17), fill=ink("#b9c6e4"))
    draw.text(
        (width * 0.1, height * 0.905), "NORTHERN SKY", font=font(width / 10), fill=ink("#e7d8a8")
    )
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
    jug = [
        (0.33, 0.4),
        (0.57, 0.4),
        (0.53, 0.5),
        (0.66, 0.66),
        (0.58, 0.84),
        (0.32, 0.84),
        (0.24, 0.66),
    ]
    draw.polygon([(x * width, y * height) for x, y in [*jug, (0.37, 0.5)]], fill=ink("#e9dfc9"))
    for _ in range(24):
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
    for degrees, length, wide in ((305, 0.45, 13), (57, 0.7, 8)):
        a = math.radians(degrees)
        end = (c + c * length * math.sin(a), c - c * length * math.cos(a))
        draw.line((c, c, *end), fill=ink("#7c1f1a"), width=wide)
    return to_array(image)


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
