"""Render the bundled ``studio`` scene: a furnished room with a table full of things.

Everything in it is made here: the geometry with numpy (this file and studio_parts.py), the
textures with numpy and Pillow (studio_textures.py), the pictures with the path tracer Cycles.
Nothing is downloaded. The result is

    studio/images/NNN.jpg          the photographs, numbered along a hand-held camera path
    studio/truth/transforms.json   the true pinhole camera and poses (nerfstudio convention)
    studio/truth/depth/NNN.png     true z-depth, 16 bit, millimetres, at half resolution

How to run it (CPU only; bpy 5.0 wants Python 3.11):

    pip install "bpy==5.0.1" "pillow>=10.1"
    python make_studio.py --out fresh          # 48 views, 800 x 600
    python make_studio.py --width 320 --samples 16 --only 0,12,24 --out preview

A run can be interrupted and started again: pictures and depth maps that exist are skipped (delete
them to have them made anew). With a fixed --seed the same scene and camera path come out.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import bpy
import numpy as np
import studio_textures as tx
from mathutils import Matrix, Vector
from PIL import Image
from studio_parts import (
    WHOLE,
    Leaves,
    add_mesh,
    box,
    build_materials,
    curve,
    grid_mesh,
    lathe,
    material,
    outline,
    panel,
    place,
    sphere,
    tube,
)
from studio_textures import Context, rng_for, smoothstep

ROOM_X, ROOM_Y, ROOM_Z = 2.8, 2.5, 2.7  # half width, half depth, height in metres
TABLE_Z = 0.76
ON_RUNNER = TABLE_Z + 0.006
FOV_DEGREES = 62.0


# ------------------------------------------------------------------------------------------------
# The room
# ------------------------------------------------------------------------------------------------

POSTERS = {
    "shapes": tx.poster_shapes,
    "landscape": tx.poster_landscape,
    "flow": tx.poster_flow,
    "contours": tx.poster_contours,
    "cells": tx.poster_cells,
    "words": tx.poster_words,
    "stars": tx.poster_stars,
    "still life": tx.poster_portrait,
}


def framed(kind, centre, size, facing, frame):
    """A framed poster on a wall. facing: 'n', 's', 'e' or 'w' names the wall."""
    wide, high = size
    turn = {"n": 0, "e": -90, "s": 180, "w": 90}[facing]
    pixels = (int(high * 1100), int(wide * 1100))
    make = POSTERS.get(kind, tx.pinboard)
    mat = material(f"poster {kind}", lambda: make(f"poster {kind}", *pixels), roughness=0.45)
    base = Matrix.Translation(centre) @ Matrix.Rotation(math.radians(turn), 4, "Z")
    sheet = panel(f"sheet {kind}", (-wide / 2, -0.012, -high / 2), (wide, 0, 0), (0, 0, high), mat)
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
        "floor",
        lambda: tx.planks("floor", 3072, 3440, 38, tx.OAK),
        roughness=0.42,
        bump=0.25,
        rough_variation=0.12,
    )
    brick = material(
        "brick",
        lambda: tx.bricks("brick", 1620, 3360, 36),
        roughness=0.85,
        bump=0.6,
        bump_scale=0.006,
    )
    paper = material("wallpaper", lambda: tx.wallpaper("wallpaper", 1500, 3110), roughness=0.7)
    lime = material(
        "limewash",
        lambda: tx.limewash("limewash", 1500, 2780, "#6f8072", "#94a491", "#b3bfa9", "#ccd2bf"),
        roughness=0.8,
    )
    boards = material(
        "boards",
        lambda: np.ascontiguousarray(
            tx.planks("boards", 2780, 1500, 30, tx.SMOKED, (0.5, 1.1)).swapaxes(0, 1)
        ),
        roughness=0.6,
        bump=0.3,
    )
    ceiling = material(
        "ceiling",
        lambda: tx.limewash("ceiling", 1400, 1560, "#c9c2b3", "#e2dccf", "#efeae0"),
        roughness=0.9,
    )
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
            ((deep, wide + 0.04, 0.02), (x + deep / 2 - 0.004, middle, v1 + 0.01)),
            ((deep, 0.02, high), (x + deep / 2 - 0.004, ya - 0.01, (v0 + v1) / 2)),
            ((deep, 0.02, high), (x + deep / 2 - 0.004, yb + 0.01, (v0 + v1) / 2)),
            ((0.05, wide - 0.12, 0.06), (x + 0.17, middle, v0 + 0.03)),
            ((0.05, wide - 0.12, 0.06), (x + 0.17, middle, v1 - 0.03)),
            ((0.05, 0.06, high), (x + 0.17, ya + 0.03, (v0 + v1) / 2)),
            ((0.05, 0.06, high), (x + 0.17, yb - 0.03, (v0 + v1) / 2)),
            ((0.04, 0.045, high), (x + 0.17, middle, (v0 + v1) / 2)),
            ((0.035, wide, 0.03), (x + 0.17, middle, v0 + high * 0.62)),
        ]
        for n, (dims, centre) in enumerate(pieces):
            box(f"window {k} {n}", dims, centre, mats["painted"], scale=1.3)
    outside = material(
        "garden", lambda: tx.garden("garden", 900, 2400), roughness=1.0, emission=1.5
    )
    outside.cycles.emission_sampling = "NONE"
    view = panel("garden", (9.0, 11.0, -2.2), (0, -22.0, 0), (0, 0, 8.2), outside)
    view.visible_shadow = view.visible_diffuse = False
    for k, v in enumerate((-1.5, -0.1, 1.35)):
        box(f"beam {k}", (2 * x, 0.16, 0.18), (0, v, z - 0.09), mats["oak"], scale=1.6)
    for k, (dims, centre) in enumerate(
        [
            ((2 * x, 0.02, 0.11), (0, y - 0.01, 0.055)),
            ((2 * x, 0.02, 0.11), (0, -y + 0.01, 0.055)),
            ((0.02, 2 * y - 0.04, 0.11), (x - 0.01, 0, 0.055)),
            ((0.02, 2 * y - 0.04, 0.11), (-x + 0.01, 0, 0.055)),
        ]
    ):
        box(f"skirting {k}", dims, centre, mats["painted"], scale=1.3)
    carpet = material("rug", lambda: tx.rug("rug", 1500, 2100), roughness=0.95, bump=0.4, sheen=0.2)
    box("rug", (3.1, 2.2, 0.014), (0, 0, 0.008), carpet, turn=7, rects={1: WHOLE})


def build_shelf(mats):
    """Bookshelf along the western wall."""
    rng = rng_for("shelf")
    count = 240
    spines = material("spines", lambda: tx.spine_atlas("spines", count), roughness=0.5)
    depth, half, top = 0.3, 1.3, 2.12
    x = -ROOM_X + depth / 2 + 0.004
    levels = [0.06, 0.46, 0.86, 1.28, 1.7, top]
    for k, z in enumerate(levels):
        box(f"board {k}", (depth, 2 * half, 0.026), (x, 0, z), mats["walnut"], scale=1.2)
    for k, v in enumerate((-half, -half / 3, half / 3, half)):
        box(
            f"upright {k}",
            (depth - 0.01, 0.026, top),
            (x - 0.003, v, top / 2),
            mats["walnut"],
            scale=1.2,
        )
    number = 0
    for level, (z, above) in enumerate(pairwise(levels)):
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
        profile = "0 0, 50 0, 50 0, 75 70, 40 150, 50 200"
        lathe(f"ornament {k}", profile, mats["delft"], location)
    elif kind == 1:
        x, y, z = location
        sphere(f"ornament {k}", 0.065, (x, y, z + 0.065), mats["swirl"], tilt=(40, 20))
    elif kind == 2:
        profile = "0 0, 60 0, 60 0, 90 60, 70 120, 75 130"
        lathe(f"ornament {k}", profile, mats["stoneware"], location)
    else:
        x, y, z = location
        box(
            f"ornament {k}", (0.12, 0.13, 0.1), (x, y, z + 0.05), mats["marble"], turn=12, scale=0.3
        )


def build_north(mats):
    """Sideboard with things on it, pinboard, pictures and a big plant before the brick wall."""
    y = ROOM_Y
    box("sideboard", (1.9, 0.42, 0.62), (0.35, y - 0.25, 0.46), mats["oak"], scale=1.5)
    for k in range(4):
        x = 0.35 + (k - 1.5) * 0.46
        box(f"door {k}", (0.43, 0.02, 0.52), (x, y - 0.47, 0.46), mats["oak"], scale=1.1)
        sphere(f"knob {k}", 0.016, (x + 0.15 * (-1) ** k, y - 0.495, 0.5), mats["brass"])
        for dy in (-0.16, 0.16):
            leg = (0.045, 0.045, 0.16)
            box(f"leg {k}{dy}", leg, (0.35 + (k - 1.5) * 0.58, y - 0.25 + dy, 0.08), mats["walnut"])
    top = 0.77
    profile = "0 0, 60 0, 60 0, 110 120, 50 300, 75 360, 60 350"
    lathe("tall vase", profile, mats["delft"], (-0.4, y - 0.24, top), 40)
    profile = "0 0, 90 0, 90 0, 120 50, 100 170, 110 190, 90 160"
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


def build_south(mats):
    """Pictures on the wallpaper, armchair and bench."""
    y = ROOM_Y
    framed("words", (-0.75, -y + 0.004, 1.6), (0.62, 0.86), "s", mats["oak"])
    framed("flow", (0.2, -y + 0.004, 1.66), (0.74, 0.74), "s", mats["walnut"])
    framed("shapes", (1.05, -y + 0.004, 1.6), (0.56, 0.78), "s", mats["pine"])
    framed("cells", (1.9, -y + 0.004, 1.66), (0.62, 0.62), "s", mats["walnut"])
    framed("landscape", (-1.75, -y + 0.004, 1.6), (0.76, 0.54), "s", mats["walnut"])
    armchair((-1.35, -y + 0.52, 0), 8, mats)
    box("bench", (1.2, 0.36, 0.05), (1.05, -y + 0.3, 0.45), mats["pine"], scale=1.0)
    for k, (dx, dy) in enumerate(((-0.52, -0.13), (0.52, -0.13), (-0.52, 0.13), (0.52, 0.13))):
        box(f"bench leg {k}", (0.05, 0.05, 0.43), (1.05 + dx, -y + 0.3 + dy, 0.215), mats["pine"])
    box(
        "cushion",
        (0.42, 0.34, 0.12),
        (0.72, -y + 0.3, 0.53),
        mats["cloth"],
        bevel=0.05,
        scale=0.6,
        soft=True,
        turn=4,
    )
    for k in range(4):
        flat_book(
            f"bench {k}",
            (0.2, 0.28, 0.03),
            (1.3, -y + 0.3, 0.495 + 0.034 * k),
            mats,
            turn=95 + 17 * (k % 3),
        )


def build_east(mats):
    """Clock, chest and plants between and below the windows."""
    dial = material("clock", lambda: tx.clock_face("clock", 420), roughness=0.35)
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
    profile = "0 0, 70 0, 70 0, 100 100, 70 210, 80 240, 60 200"
    lathe("chest jug", profile, mats["glaze"], (ROOM_X - 0.28, -0.2, 0.5))
    plant("sill plant", (ROOM_X + 0.05, 1.15, 0.85), 0.06, 0.11, 20, 0.2, mats, mats["terracotta"])
    plant("sill herb", (ROOM_X + 0.05, -0.7, 0.85), 0.06, 0.11, 22, 0.2, mats, mats["stoneware"])


def build_stool(mats):
    lathe(
        "stool",
        "0 440, 170 440, 170 440, 175 460, 170 475, 170 475, 0 475",
        mats["oak disc"],
        (0.95, 0.72, 0),
    )
    for k in range(3):
        a = 2 * math.pi * k / 3 + 0.4
        foot = [
            (0.95 + r * math.cos(a), 0.72 + r * math.sin(a), z) for r, z in ((0.2, 0), (0.1, 0.45))
        ]
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
    profile = "0 0, 68 0, 68 0, 95 85, 95 85, 105 86, 105 100, 105 100, 92 100, 90 90, 90 90, 0 90"
    profile = outline(profile, r / 100, h / 100)
    lathe(name + " pot", profile, pot, location, rng.uniform(0, 360))
    lathe(name + " soil", [(0, 0.91 * h), (0.9 * r, 0.91 * h)], mats["soil"], location)
    bunch = Leaves(rng)
    base = np.asarray(location, float) + np.array((0, 0, 0.9 * h))
    big = reach > 0.6
    for k in range(leaves):
        a = k * 2.39996 + rng.normal(0, 0.25)
        out = reach * rng.uniform(0.18, 0.5)
        rise = reach * rng.uniform(0.35, 1.25) * (1.25 if big else 1.0)
        root = base + r * 0.5 * rng.uniform(0, 1) * np.array([math.cos(a), math.sin(a), 0])
        tip = base + np.array([out * math.cos(a), out * math.sin(a), rise])
        knee = root + (tip - root) * 0.5 + np.array([0, 0, 0.22 * rise])
        path = curve([root, knee, tip], 7)
        tube(
            f"{name} stem {k}",
            path,
            np.linspace(0.006, 0.0025, 7) * (1.4 if big else 0.7),
            mats["stem"],
            6,
            False,
        )
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
    cover = material(
        f"cover {name}", lambda: tx.book_cover(f"cover {name}"), roughness=0.35, coat=0.2
    )
    base = Matrix.Translation(centre) @ Matrix.Rotation(math.radians(turn), 4, "Z")
    board = 0.0035
    parts = [
        ((wide - board, high, board), (board / 2, 0, thick / 2 - board / 2), cover, {1: WHOLE}),
        ((wide - board, high, board), (board / 2, 0, -thick / 2 + board / 2), cover, {0: WHOLE}),
        ((board, high, thick), (-wide / 2 + board / 2, 0, 0), cover, {5: (0, 0.72, 1, 1)}),
        (
            (wide - 0.012, high - 0.01, thick - 2 * board),
            (-0.002, 0, 0),
            mats["pages"],
            dict.fromkeys((2, 3, 4), WHOLE),
        ),
    ]
    for k, (dims, offset, mat, rects) in enumerate(parts):
        obj = box(f"book {name} {k}", dims, (0, 0, 0), mat, bevel=0.001, rects=rects)
        obj.matrix_world = base @ Matrix.Translation(offset)


def open_book(location, turn):
    mat = material("spread", lambda: tx.printed_pages("spread"), roughness=0.7)
    u = np.linspace(-1, 1, 33)
    s = np.abs(u)
    z = 0.022 * (1 - np.exp(-s * 9)) * (1.15 - 0.75 * s) + 0.004
    rows = np.zeros((2, 33, 3))
    for r, y in enumerate((-0.125, 0.125)):
        rows[r] = np.stack([0.18 * u, np.full(33, y), z], 1)
    place(grid_mesh("spread", rows, mat), location, turn)
    pages = material("block", lambda: tx.pages_edge("block"), roughness=0.8)
    for k in range(2):
        side = np.stack([rows[k], rows[k] * (1, 1, 0) + (0, 0, 0.003)])
        place(grid_mesh(f"block {k}", side, pages, smooth=False), location, turn)
    for k, x in enumerate((-0.18, 0.18)):
        edge = np.array(
            [[[x, -0.125, 0.003], [x, 0.125, 0.003]], [[x, -0.125, z[0]], [x, 0.125, z[0]]]]
        )
        place(grid_mesh(f"fore edge {k}", edge, pages, smooth=False), location, turn)
    cover = material("binding", colour="#6e2426", roughness=0.5)
    x, y, zz = location
    box("binding", (0.376, 0.262, 0.004), (x, y, zz + 0.002), cover, turn=turn)


def build_table(mats):
    """The table and the runner: it lies along x and hangs over both ends."""
    top = material(
        "table top",
        lambda: tx.planks("table top", 1400, 2200, 6, tx.WALNUT, (1.1, 1.6), 2.5),
        roughness=0.32,
        coat=0.15,
        bump=0.15,
        rough_variation=0.08,
    )
    box(
        "table top",
        (1.56, 1.0, 0.045),
        (0, 0, TABLE_Z - 0.0225),
        top,
        bevel=0.008,
        rects={1: WHOLE},
        scale=1.6,
    )
    for k, (dx, dy) in enumerate(((-1, -1), (1, -1), (-1, 1), (1, 1))):
        box(f"table leg {k}", (0.075, 0.075, 0.716), (dx * 0.69, dy * 0.41, 0.358), mats["walnut"])
    for k, dy in enumerate((-0.41, 0.41)):
        box(f"apron x{k}", (1.3, 0.025, 0.09), (0, dy, 0.67), mats["walnut"], scale=1.3)
    for k, dx in enumerate((-0.69, 0.69)):
        box(f"apron y{k}", (0.025, 0.75, 0.09), (dx, 0, 0.67), mats["walnut"], scale=1.3)

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


def build_vase(mats):
    """The vase with olive branches."""
    z = ON_RUNNER
    profile = "0 0, 55 0, 55 0, 85 60, 95 130, 50 215, 42 240, 55 270, 50 268, 36 240, 40 200"
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
            for _ in range(2):
                along = path[n] - path[n - 1]
                along /= np.linalg.norm(along)
                turn = rng.uniform(0, 2 * math.pi)
                across = np.array([math.cos(turn), math.sin(turn), rng.normal(0, 0.4)])
                length = rng.uniform(0.026, 0.048)
                bunch.add(path[n], along * 0.6 + across * 0.8, length, length * 0.34, 0.4, 0.3, 5)
    bunch.build("olive", mats["olive"])


def build_bowl(mats):
    """Marble bowl with fruit."""
    z = ON_RUNNER
    profile = "0 0, 60 0, 60 0, 65 12, 120 50, 138 85, 132 85, 110 50, 50 22, 0 20"
    lathe("bowl", profile, mats["marble bowl"], (-0.22, -0.03, z), 0, 80)
    skins = {
        kind: material(
            f"fruit {kind}",
            lambda kind=kind: tx.fruit(f"fruit {kind}", 256, 512, kind),
            roughness=0.33,
            bump=0.3,
            bump_scale=0.0015,
        )
        for kind in ("orange", "lemon", "apple")
    }
    rng = rng_for("fruit")
    spots = [
        ("orange", 0.042, 0.062, 0.2, 0.066),
        ("apple", 0.04, 0.062, 1.5, 0.066),
        ("orange", 0.041, 0.06, 2.75, 0.066),
        ("apple", 0.041, 0.064, 4.0, 0.066),
        ("lemon", 0.034, 0.064, 5.25, 0.064),
        ("orange", 0.04, 0.0, 0.0, 0.118),
        ("lemon", 0.032, 0.05, 2.1, 0.126),
        ("apple", 0.037, 0.055, 4.7, 0.122),
    ]
    for k, (kind, size, out, a, high) in enumerate(spots):
        where = (-0.22 + out * math.cos(a), -0.03 + out * math.sin(a), z + high)
        tilt = tuple(rng.uniform(-60, 60, 2))
        if kind == "apple":
            s = np.linspace(0, math.pi, 25)
            profile = np.stack(
                [size * np.sin(s) * (1 + 0.12 * np.cos(s)), -size * np.cos(s) * 0.9], 1
            )
            profile[:, 1] -= 0.25 * size * np.exp(-((s - math.pi) ** 2) * 9)
            lathe(f"fruit {k}", profile, skins[kind], where, 30 * k, 48, 1, tilt)
        else:
            squash = 1.25 if kind == "lemon" else 0.96
            sphere(f"fruit {k}", size, where, skins[kind], 40 * k, tilt, squash)
    sphere("stray orange", 0.04, (-0.05, -0.22, z + 0.036), skins["orange"], 10, (50, 30), 0.96)


def build_things(mats):
    """Globe, books, camera, tea things, ball, candlesticks and toys."""
    z = ON_RUNNER
    globe((-0.5, 0.23, z - 0.004), mats)
    for k, (w, h, t) in enumerate(((0.21, 0.3, 0.042), (0.19, 0.27, 0.034), (0.17, 0.24, 0.03))):
        flat_book(
            f"stack {k}",
            (w, h, t),
            (0.5, 0.25, z + (0.017, 0.056, 0.089)[k]),
            mats,
            turn=(12, -7, 22)[k],
        )
    old_camera((0.49, 0.25, z + 0.105), 205, mats)

    teapot((0.33, -0.1, z), -35, mats)
    for k, (cx, cy) in enumerate(((0.56, -0.28), (0.2, -0.33))):
        cup(
            f"cup {k}",
            (cx, cy, TABLE_Z),
            60 + 170 * k,
            mats,
            mats["stoneware"] if k else mats["glaze"],
        )
    open_book((-0.5, -0.24, TABLE_Z), -17)
    sphere("ball", 0.07, (-0.13, -0.36, TABLE_Z + 0.082), mats["swirl"], 20, (25, 40))
    ring = [
        (0.035 * math.cos(a), 0.035 * math.sin(a), 0.0) for a in np.linspace(0, 2 * math.pi, 33)
    ]
    place(tube("ring", ring, 0.011, mats["brass"], 12, False), (-0.13, -0.36, TABLE_Z + 0.012))
    for k, (cx, cy, s) in enumerate(((0.25, 0.38, 1.0), (-0.2, 0.4, 0.8))):
        profile = (
            "0 0, 52 0, 52 0, 50 12, 14 25, 11 70, 22 85, 11 100, "
            "10 170, 30 185, 30 185, 28 190, 13 190, 13 190, 0 190"
        )
        profile = outline(profile, height=0.001 * s)
        lathe(f"candlestick {k}", profile, mats["brass"], (cx, cy, TABLE_Z))
        high = 0.19 * s
        profile = outline("11.5 180, 11.5 310, 9 315, 0 310", height=0.001 * s)
        lathe(f"candle {k}", profile, mats["wax"], (cx, cy, TABLE_Z), segments=32)
        wick = [(cx, cy, TABLE_Z + high + 0.118 * s), (cx + 0.002, cy, TABLE_Z + high + 0.134 * s)]
        tube(f"wick {k}", curve(wick, 4), 0.0012, mats["iron"], 6)


def build_trifles(mats):
    """Copper pot with pencils, small chest, toy blocks, postcards."""
    z = ON_RUNNER
    profile = "0 0, 50 0, 50 0, 62 20, 58 75, 64 85, 60 84, 54 70, 50 20, 0 15"
    lathe("copper pot", profile, mats["copper"], (0.66, 0.02, z))
    for k in range(9):
        a = k * 0.7
        x, y = 0.66 + 0.016 * math.cos(a), 0.02 + 0.016 * math.sin(a)
        end = (x + 0.035 * math.cos(a), y + 0.035 * math.sin(a), z + 0.17 + 0.02 * math.sin(5 * a))
        pencil = mats[("red", "blue", "yellow")[k % 3]]
        tube(f"pencil {k}", curve([(x, y, z + 0.02), end], 5), 0.0035, pencil, 6)
    box(
        "chest small",
        (0.15, 0.1, 0.075),
        (-0.62, -0.02, z + 0.0375),
        mats["pine"],
        turn=32,
        scale=0.4,
    )
    box("chest top", (0.156, 0.106, 0.018), (-0.62, -0.02, z + 0.084), mats["walnut"], turn=32)
    for k, (bx, by, bz, turn) in enumerate(
        ((-0.3, -0.4, 0, 15), (-0.355, -0.41, 0, -20), (-0.325, -0.405, 1, 40), (-0.4, -0.36, 0, 5))
    ):
        mat = material(f"block {k}", lambda k=k: tx.letter_block(f"block {k}", k), roughness=0.5)
        box(
            f"block {k}",
            (0.044,) * 3,
            (bx, by, TABLE_Z + 0.022 + 0.044 * bz),
            mat,
            turn,
            rects={
                f: ((f % 3) / 3, (f // 3) / 2, (f % 3 + 1) / 3, (f // 3 + 1) / 2) for f in range(6)
            },
        )
    kinds = ("flow", "contours", "cells", "landscape", "shapes")
    spots = (
        (0.62, -0.12, 25),
        (0.68, -0.08, -12),
        (0.05, 0.36, 70),
        (-0.36, 0.42, 14),
        (0.0, -0.44, -8),
    )
    for k, (kind, (px, py, turn)) in enumerate(zip(kinds, spots, strict=True)):
        make = POSTERS[kind]
        mat = material(
            f"card {k}", lambda k=k, make=make: make(f"card {k}", 360, 520), roughness=0.3
        )
        box(
            f"card {k}",
            (0.13, 0.09, 0.0014),
            (px, py, TABLE_Z + 0.0008 + 0.0016 * (k % 2)),
            mat,
            turn,
            bevel=0,
            rects={1: WHOLE},
        )


def globe(location, mats):
    x, y, z = location
    skin = material("globe", lambda: tx.globe_map("globe", 900, 1800), roughness=0.3, coat=0.4)
    centre = (x, y, z + 0.215)
    sphere("globe", 0.128, centre, skin, 140, (0, 23))
    a = np.linspace(0, 2 * math.pi, 65)
    ring = np.stack([0.142 * np.sin(a), 0 * a, 0.142 * np.cos(a)], 1)
    meridian = tube("meridian", ring, 0.005, mats["brass"], 10, False)
    place(meridian, centre, 35)
    profile = "0 0, 85 0, 85 0, 85 12, 40 30, 16 50, 20 60, 12 75, 0 78"
    lathe("globe foot", profile, mats["oak disc"], location)
    for side in (-1, 1):
        lean = math.radians(23)
        end = np.array([math.sin(lean), 0.0, math.cos(lean)]) * 0.142 * side
        pin = tube(f"pin {side}", [end * 0.9, end * 1.04], 0.004, mats["brass"], 8)
        place(pin, centre)


def teapot(location, turn, mats):
    glaze = mats["glaze"]
    profile = "0 0, 50 0, 50 0, 55 6, 88 50, 92 80, 70 125, 45 140, 45 140"
    lathe("teapot", profile, glaze, location, turn, 80)
    profile = "50 138, 50 138, 48 146, 20 158, 8 162, 8 167, 15 178, 10 190, 0 192"
    lathe("teapot lid", profile, glaze, location, turn)
    spout = curve([(0.075, 0, 0.055), (0.115, 0, 0.07), (0.135, 0, 0.11), (0.165, 0, 0.135)], 20)
    spout = tube("spout", spout, np.linspace(0.024, 0.0095, 20), glaze, 20)
    handle = curve(
        [
            (-0.078, 0, 0.118),
            (-0.125, 0, 0.125),
            (-0.145, 0, 0.085),
            (-0.12, 0, 0.045),
            (-0.083, 0, 0.042),
        ],
        24,
    )
    handle = tube("handle", handle, 0.0085, glaze, 14)
    for part in (spout, handle):
        place(part, location, turn)


def cup(name, location, turn, mats, mat):
    profile = "0 0, 35 0, 35 0, 50 6, 76 14, 78 17, 50 11, 0 8"
    lathe(name + " saucer", profile, mat, location)
    profile = "0 10, 22 10, 22 10, 26 16, 41 40, 44 74, 41 75, 38 45, 20 20, 0 18"
    lathe(name, profile, mat, location, turn)
    handle = curve([(0.041, 0, 0.062), (0.064, 0, 0.064), (0.066, 0, 0.042), (0.036, 0, 0.03)], 16)
    place(tube(name + " handle", handle, 0.0045, mat, 10), location, turn)
    lathe(name + " tea", "0 62, 41 62", mats["tea"], location, segments=40)


def old_camera(location, turn, mats):
    """A viewfinder camera of the kind that took such photographs."""
    base = Matrix.Translation(location) @ Matrix.Rotation(math.radians(turn), 4, "Z")
    leather = material(
        "leather",
        lambda: tx.limewash("leather", 400, 800, "#171311", "#2b221d", "#43352b"),
        roughness=0.55,
        bump=0.5,
    )
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
    lens = "0 0, 28 0, 28 0, 28 12, 25 14, 25 14, 25 30, 25 30, 20 30, 20 30, 17 26, 17 26, 0 26"
    obj = lathe("lens", lens, mats["steel"], segments=48)
    obj.matrix_world = (
        base @ Matrix.Translation((0, -0.016, 0.036)) @ Matrix.Rotation(math.radians(90), 4, "X")
    )
    glass = sphere("lens glass", 0.0185, (0, 0, 0), mats["lens"], squash=0.3)
    glass.matrix_world = (
        base @ Matrix.Translation((0, -0.041, 0.036)) @ Matrix.Rotation(math.radians(90), 4, "X")
    )
    for k, (x, r, h) in enumerate(
        ((-0.045, 0.012, 0.012), (0.042, 0.009, 0.01), (0.057, 0.005, 0.014))
    ):
        dial = [(0, 0), (r, 0), (r, 0), (r, h), (r, h), (0, h)]
        obj = lathe(f"dial {k}", dial, mats["brass" if k == 2 else "steel"], segments=24)
        obj.matrix_world = base @ Matrix.Translation((x, 0, 0.079))


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
    add_light(
        "sun", "SUN", (6, 2, 5), (-1.0, -0.4, -0.5), 10.0, (1.0, 0.9, 0.76), angle=math.radians(1.6)
    )
    for k, y in enumerate((1.1, -1.1)):
        add_light(
            f"sky {k}",
            "AREA",
            (ROOM_X + 0.16, y, 1.575),
            (-1, 0, -0.12),
            58.0,
            (0.86, 0.93, 1.0),
            False,
            shape="RECTANGLE",
            size=1.3,
            size_y=1.45,
        )
    add_light(
        "fill",
        "AREA",
        (-0.3, 0, ROOM_Z - 0.21),
        (0, 0, -1),
        42.0,
        (1.0, 0.95, 0.88),
        False,
        shape="RECTANGLE",
        size=4.2,
        size_y=3.8,
    )
    add_light(
        "bounce",
        "AREA",
        (-2.3, 0, 1.5),
        (1, 0, 0.05),
        15.0,
        (1.0, 0.93, 0.84),
        False,
        shape="RECTANGLE",
        size=3.8,
        size_y=2.0,
    )
    world = bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
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
    cycles.use_adaptive_sampling = False
    cycles.seed = Context.seed
    cycles.use_light_tree = False  # few lamps: plain sampling is a third faster
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 2
    cycles.sample_clamp_indirect = 4.0
    cycles.blur_glossy = 0.5
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.use_denoising = True
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.denoising_prefilter = "FAST"
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
        save_whole(
            path, lambda p: picture.convert("RGB").save(p, "JPEG", quality=quality, optimize=True)
        )


def save_whole(path: Path, save):
    """Write under another name first, so that an interrupted run leaves no partial file."""
    partial = path.with_name(path.name + ".part")
    save(partial)
    partial.replace(path)


def depth_mode(scene):
    """Make every surface emit its z-depth; one sample through each pixel centre."""
    mat = bpy.data.materials.new("z depth")
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
    cycles.use_denoising = False
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
    parser.add_argument("--samples", type=int, default=16, help="paths per pixel")
    parser.add_argument("--number", type=int, default=48, help="number of views on the path")
    parser.add_argument("--only", default="", help="render only these views, e.g. 0,12,24")
    parser.add_argument("--quality", type=int, default=88, help="JPEG quality")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    parser.add_argument("--exposure", type=float, default=0.3, help="stops, the same for all views")
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
        for build in (build_north, build_south, build_east, build_stool):
            build(mats)
        for build in (build_table, build_vase, build_bowl, build_things, build_trifles):
            build(mats)
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
