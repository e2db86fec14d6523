"""Materials and simple solids in Blender for the ``studio`` scene (see make_studio.py)."""

from __future__ import annotations

import math
from itertools import pairwise

import bpy
import numpy as np
import studio_textures as tx
from studio_textures import Context, rgb, rng_for, to_image

WHOLE = (0, 0, 1, 1)  # a whole texture, as (u0, v0, u1, v1)


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


def box(
    name,
    size,
    centre,
    mat,
    turn=0.0,
    tilt=(0, 0),
    bevel=0.003,
    scale=1.0,
    face_mats=None,
    rects=None,
    soft=False,
):
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
    for u0, u1 in pairwise(us):
        for v0, v1 in pairwise(vs):
            mu, mv = (u0 + u1) / 2, (v0 + v1) / 2
            if any(h[0] < mu < h[2] and h[1] < mv < h[3] for h in holes):
                continue
            base = len(vertices)
            for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1)):
                vertices.append(origin + along * (u / width) + up * (v / height))
                uvs.append(
                    (u / (uv_size or (width, height))[0], v / (uv_size or (width, height))[1])
                )
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


def outline(text: str, radius=0.001, height=0.001) -> np.ndarray:
    """A profile written as "radius height, radius height, ...", by default in millimetres."""
    return np.array([pair.split() for pair in text.split(",")], float) * (radius, height)


def lathe(name, points, mat, location=(0, 0, 0), turn=0.0, segments=64, per_segment=8, tilt=(0, 0)):
    """A turned object from a profile: (radius, height) in metres, or text, see outline()."""
    points = outline(points) if isinstance(points, str) else points
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
        for k in range(steps - 1):
            for c in range(2):
                i = start + 3 * k + c
                self.faces.append((i, i + 1, i + 4, i + 3))
                u0, u1 = k / (steps - 1), (k + 1) / (steps - 1)
                v0, v1 = c / 2, (c + 1) / 2
                self.uvs += [(u0, v0), (u0, v1), (u1, v1), (u1, v0)]

    def build(self, name, mat):
        return add_mesh(name, self.vertices, self.faces, self.uvs, mat, smooth=True)


# ------------------------------------------------------------------------------------------------
# All materials used more than once
# ------------------------------------------------------------------------------------------------


def build_materials():
    def timber(name, palette, roughness=0.45):
        return material(
            f"timber {name}",
            lambda: tx.wood(rng_for("timber " + name), 900, 1600, palette, 34),
            roughness=roughness,
            bump=0.15,
        )

    def clay(name, base, spot, **options):
        return material(name, lambda: tx.speckled(name, 512, 1024, base, spot), **options)

    greens = ("#1f3d22", "#35592c", "#5d7d3a")
    return {
        "oak": timber("oak", tx.OAK),
        "walnut": timber("walnut", tx.WALNUT),
        "pine": timber("pine", tx.PINE),
        "oak disc": material(
            "turned oak",
            lambda: tx.wood(rng_for("turned oak"), 700, 900, tx.OAK, 20),
            roughness=0.35,
        ),
        "painted": material(
            "painted",
            lambda: tx.limewash("painted", 700, 900, "#c7c3b6", "#dedacd", "#ebe8de"),
            roughness=0.4,
        ),
        "pages": material("pages", lambda: tx.pages_edge("pages"), roughness=0.85),
        "delft": material("delft", lambda: tx.delft("delft", 700, 1200), roughness=0.15, coat=0.5),
        "stoneware": clay("stoneware", "#c9b797", "#4f3420", roughness=0.4),
        "glaze": clay("glaze", "#2f6f73", "#12282c", roughness=0.1, coat=0.8),
        "terracotta": clay("terracotta", "#b0643f", "#e0b090", roughness=0.8, bump=0.2),
        "marble": material(
            "marble",
            lambda: tx.marble("marble", 500, 700, "#3d4540", "#8f9a90", "#dcdcd2", "#efece4"),
            roughness=0.15,
        ),
        "marble bowl": material(
            "marble bowl",
            lambda: tx.marble("marble bowl", 500, 1000, "#4a3f3c", "#a08f86", "#e2dad0", "#f2ede6"),
            roughness=0.12,
            coat=0.3,
        ),
        "swirl": material(
            "swirl",
            lambda: tx.marble("swirl", 512, 1024, "#140f1c", "#7a1d2c", "#c8602f", "#f0cf8e"),
            roughness=0.06,
            coat=1.0,
        ),
        "brass": material(
            "brass",
            lambda: tx.hammered("brass", 400, 800, "#5d4420", "#b08a45", "#dcb866", "#ecd08a"),
            roughness=0.24,
            metallic=1.0,
            rough_variation=0.08,
        ),
        "copper": material(
            "copper",
            lambda: tx.hammered("copper", 512, 1024, "#4d2a1e", "#a65f3f", "#d68a62", "#eab08a"),
            roughness=0.26,
            metallic=1.0,
            bump=0.35,
            bump_scale=0.003,
        ),
        "steel": material(
            "steel",
            lambda: tx.hammered("steel", 400, 800, "#6b6b6a", "#a9a8a5", "#c9c8c4"),
            roughness=0.28,
            metallic=1.0,
        ),
        "iron": material("iron", colour="#2a2827", roughness=0.5),
        "lens": material("lens", colour="#0d1424", roughness=0.03, coat=1.0),
        "tea": material("tea", colour="#6b3415", roughness=0.05),
        "wax": material(
            "wax",
            lambda: tx.limewash("wax", 300, 300, "#d9c9a4", "#efe3c6", "#f7efdb"),
            roughness=0.4,
        ),
        "red": material("red", colour="#b23a30", roughness=0.3),
        "blue": material("blue", colour="#2c5c8f", roughness=0.3),
        "yellow": material("yellow", colour="#dba233", roughness=0.3),
        "soil": material(
            "soil",
            lambda: tx.limewash("soil", 300, 300, "#150e0a", "#2c1f16", "#4a3828"),
            roughness=1.0,
            bump=0.6,
            bump_scale=0.01,
        ),
        "stem": material("stem", colour="#4f6a34", roughness=0.5),
        "bark": material("bark", colour="#57422f", roughness=0.7),
        "leaf": material("leaf", lambda: tx.leaf_skin("leaf", 256, 512, *greens), roughness=0.35),
        "leaf pale": material(
            "leaf pale",
            lambda: tx.leaf_skin("leaf pale", 256, 512, "#3c5f2e", "#5f8540", "#93ad5a"),
            roughness=0.4,
        ),
        "olive": material(
            "olive",
            lambda: tx.leaf_skin("olive", 128, 256, "#4a5c41", "#6d7f58", "#a3ad84"),
            roughness=0.5,
        ),
        "runner": material(
            "runner", lambda: tx.cloth("runner", 640, 3000), roughness=0.9, bump=0.3, sheen=0.2
        ),
        "cloth": material("cloth", lambda: tx.cloth("cloth", 900, 900), roughness=0.9, bump=0.3),
        "cushion": material(
            "cushion", lambda: tx.rug("cushion", 900, 900), roughness=0.95, bump=0.3
        ),
        "upholstery": material(
            "upholstery",
            lambda: tx.limewash("upholstery", 900, 900, "#5c3a1e", "#8a5a30", "#b07c48"),
            roughness=0.5,
            bump=0.2,
        ),
    }
