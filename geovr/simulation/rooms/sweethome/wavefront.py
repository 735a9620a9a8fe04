"""Wavefront OBJ and MTL files as arrays, within limits: they come from unknown hands.

Legend: V vertices, T texture coordinates, F triangles, C corners of polygons, N polygons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geovr.archives import Refused

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Rgb = tuple[float, float, float]

MOST_VERTICES = 200_000
MOST_COORDINATES = 600_000
MOST_TRIANGLES = 200_000
MOST_CORNERS = 1_000
"""Of one polygon."""
MOST_COORDINATE = 1e9
MOST_MATERIALS = 1_000


@dataclass(frozen=True)
class Obj:
    """The triangles of an OBJ file, in its own axes and unit.

    `uv_F3` has -1 where a corner names no texture coordinate, and `uv_T2` whatever the file says,
    NaN too; `material_F` indexes `materials`, where 0 is "no material"; `libraries` are the MTL
    files named.
    """

    vertices_V3: FloatArray
    uv_T2: FloatArray
    faces_F3: IntArray
    uv_F3: IntArray
    material_F: IntArray
    materials: tuple[str, ...]
    libraries: tuple[str, ...]


@dataclass(frozen=True)
class Material:
    """What an MTL file says of a material that is drawn here: display colours from 0 to 1."""

    colour: Rgb
    opacity: float
    texture: str | None


def parse_obj(content: bytes) -> Obj:
    """Read an OBJ file; polygons become fans of triangles.

    Raises:
        Refused: for values that are no finite numbers, indices that point nowhere, too many
            vertices or triangles, or no triangle at all.
    """
    vertices: list[bytes] = []
    uvs: list[bytes] = []
    polygons: list[list[bytes]] = []
    state_N: list[tuple[int, int, int]] = []  # material, vertices and coordinates so far
    materials: dict[str, int] = {"": 0}
    libraries: list[str] = []
    material = triangles = 0
    for line in content.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines():
        key, _, rest = line.lstrip().replace(b"\t", b" ").partition(b" ")
        if key == b"v":
            vertices.append(rest)
        elif key == b"f":
            corners = rest.split(None, MOST_CORNERS)
            if len(corners) > MOST_CORNERS:
                raise Refused(f"a polygon has more than {MOST_CORNERS} corners")
            triangles += max(len(corners) - 2, 1)
            polygons.append(corners)
            state_N.append((material, len(vertices), len(uvs)))
        elif key == b"vt":
            uvs.append(rest)
        elif key == b"usemtl":
            name = rest.strip().decode("utf-8", "replace")
            material = materials.setdefault(name, len(materials))
        elif key == b"mtllib":
            libraries.append(rest.strip().decode("utf-8", "replace"))
        # here, before lists of what isn't wanted fill the memory
        if len(vertices) > MOST_VERTICES or len(uvs) > MOST_COORDINATES:
            raise Refused(f"more than {MOST_VERTICES} vertices")
        if triangles > MOST_TRIANGLES:
            raise Refused(f"more than {MOST_TRIANGLES} triangles")
        if len(materials) > MOST_MATERIALS or len(libraries) > MOST_MATERIALS:
            raise Refused(f"more than {MOST_MATERIALS} materials")

    vertices_V3 = _numbers(vertices, 3)
    if not (np.abs(vertices_V3) <= MOST_COORDINATE).all():
        raise Refused("a vertex is not finite, or absurdly far away")
    uv_T2 = _numbers(uvs, 2)
    corner_C2 = _corners(polygons, state_N, len(vertices_V3), len(uv_T2))
    triangle_F3, polygon_F = _fans(np.array([len(p) for p in polygons], np.int64))
    if not len(triangle_F3):
        raise Refused("no faces")
    state_N3 = np.array(state_N, np.int64).reshape(-1, 3)
    return Obj(
        vertices_V3,
        uv_T2,
        corner_C2[triangle_F3, 0],
        corner_C2[triangle_F3, 1],
        state_N3[polygon_F, 0],
        tuple(materials),
        tuple(libraries),
    )


def _numbers(lines: list[bytes], width: int) -> FloatArray:
    """The first `width` numbers of each line; a missing second texture coordinate is 0."""
    try:
        rows = [line.split()[:width] for line in lines]
        if width == 2:
            rows = [row if len(row) == 2 else [*row, b"0"] for row in rows]
        values = np.array([[float(part) for part in row] for row in rows]).reshape(-1, width)
    except ValueError:
        raise Refused("a vertex is no list of numbers") from None
    return values


def _corners(
    polygons: list[list[bytes]], state_N: list[tuple[int, int, int]], vertices: int, uvs: int
) -> IntArray:
    """Vertex and texture coordinate (or -1) of each corner, counted from 0: (C, 2).

    A corner is written v, v/vt, v//vn or v/vt/vn; a negative number counts back from the line.
    """
    corners: list[tuple[int, int]] = []
    try:
        for polygon, (_, vertices_here, uvs_here) in zip(polygons, state_N, strict=True):
            for corner in polygon:
                parts = corner.split(b"/", 2)
                v = int(parts[0])
                t = int(parts[1]) if len(parts) > 1 and parts[1] else 0
                corners.append(
                    (v - 1 if v > 0 else v + vertices_here, t - 1 if t >= 0 else t + uvs_here)
                )
    except ValueError:
        raise Refused("a face is no list of indices") from None
    try:
        corner_C2 = np.array(corners, np.int64).reshape(-1, 2)
    except OverflowError:
        raise Refused("a face points at a vertex that is not there") from None
    low, high = corner_C2.min(axis=0, initial=0), corner_C2.max(axis=0, initial=-1)
    if low[0] < 0 or high[0] >= vertices or low[1] < -1 or high[1] >= uvs:
        raise Refused("a face points at a vertex that is not there")
    return corner_C2


def _fans(count_N: IntArray) -> tuple[IntArray, IntArray]:
    """Corners of the triangles of polygons of these sizes, and each triangle's polygon."""
    start_N = np.cumsum(count_N) - count_N
    triangles_N = np.maximum(count_N - 2, 0)
    polygon_F = np.repeat(np.arange(len(count_N)), triangles_N)
    step_F = np.arange(len(polygon_F)) - np.repeat(
        np.cumsum(triangles_N) - triangles_N, triangles_N
    )
    first_F = start_N[polygon_F]
    return np.stack([first_F, first_F + step_F + 1, first_F + step_F + 2], axis=1), polygon_F


def parse_mtl(content: bytes) -> dict[str, Material]:
    """The materials of an MTL file; statements that aren't drawn here are passed over.

    Raises:
        Refused: for a colour or opacity that is no number.
    """
    materials: dict[str, Material] = {}
    name: str | None = None
    for line in content.splitlines():
        key, _, rest = line.decode("utf-8", "replace").strip().replace("\t", " ").partition(" ")
        key, rest = key.lower(), rest.strip()
        if key == "newmtl":
            name = rest
            materials[name] = Material((0.8, 0.8, 0.8), 1.0, None)
            if len(materials) > MOST_MATERIALS:
                raise Refused(f"more than {MOST_MATERIALS} materials")
            continue
        if name is None:
            continue
        old = materials[name]
        if key == "kd":
            red, green, blue = _shares(rest, 3)
            materials[name] = Material((red, green, blue), old.opacity, old.texture)
        elif key in ("d", "tr"):
            (share,) = _shares(rest.removeprefix("-halo "), 1)
            materials[name] = Material(old.colour, share if key == "d" else 1 - share, old.texture)
        elif key == "map_kd":
            # options with arguments may stand in front of the name, which may hold spaces
            texture = rest.split()[-1] if rest.startswith("-") else rest
            materials[name] = Material(old.colour, old.opacity, texture or None)
    return materials


def _shares(text: str, count: int) -> list[float]:
    try:
        values = [min(max(float(part), 0.0), 1.0) for part in text.split()[:count]]
    except ValueError:
        values = []
    if len(values) != count or any(value != value for value in values):
        raise Refused("a material's colour is no list of numbers")
    return values
