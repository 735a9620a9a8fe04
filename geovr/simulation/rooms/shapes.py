"""Pieces of furniture put together from trimesh's primitives, in metres.

A piece's own frame: footprint centred on the origin, standing on z = 0, its front towards -y.
Legend: V vertices, F faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import trimesh

from geovr.simulation.rooms.world import FloatArray, IntArray, Model

Colour = tuple[float, float, float]
"""Linear reflectance of red, green and blue."""
Corner = tuple[float, float, float]
SECTIONS = 20
"""Sides of what is round."""


@dataclass(frozen=True)
class Part:
    """A primitive stretched to a box from `low` to `high`; round ones stand upright."""

    shape: str
    low: Corner
    high: Corner
    colour: Colour


def box(low: Corner, high: Corner, colour: Colour) -> Part:
    """A block."""
    return Part("box", low, high, colour)


def upright(shape: str, centre: tuple[float, float], radius: float, z: tuple[float, float],
            colour: Colour) -> Part:  # fmt: skip
    """A cylinder, cone or ball around a vertical axis, from z[0] to z[1]."""
    x, y = centre
    low, high = (x - radius, y - radius, z[0]), (x + radius, y + radius, z[1])
    return Part(shape, low, high, colour)


def legs(width: float, depth: float, top: float, thick: float, colour: Colour,
         inset: float = 0.02) -> list[Part]:  # fmt: skip
    """Four of them, under a plate of width by depth."""
    x, y = width / 2 - inset - thick, depth / 2 - inset - thick
    return [
        box((sx * x - (thick if sx < 0 else 0), sy * y - (thick if sy < 0 else 0), 0.0),
            (sx * x + (thick if sx > 0 else 0), sy * y + (thick if sy > 0 else 0), top), colour)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]  # fmt: skip


def assemble(category: str, parts: list[Part]) -> Model:
    """One mesh of all parts, centred on its footprint and standing on the floor."""
    vertices, faces, colours, count = [], [], [], 0
    for part in parts:
        unit_V3, unit_F3 = _unit(part.shape)
        low, high = np.asarray(part.low), np.asarray(part.high)
        vertices.append(unit_V3 * (high - low) + (low + high) / 2)
        faces.append(unit_F3 + count)
        colours.append(np.repeat(np.asarray(part.colour, np.float32)[None], len(unit_F3), axis=0))
        count += len(unit_V3)
    whole = np.concatenate(vertices)
    low, high = whole.min(axis=0), whole.max(axis=0)
    whole -= np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    width, depth, height = (float(side) for side in high - low)
    return Model(
        category, whole, np.concatenate(faces), np.concatenate(colours), (width, depth, height)
    )


@lru_cache(maxsize=8)
def _unit(shape: str) -> tuple[FloatArray, IntArray]:
    """Vertices and faces of a primitive that fills [-0.5, 0.5]^3."""
    if shape == "box":
        mesh: Any = trimesh.creation.box()
    elif shape == "cylinder":
        mesh = trimesh.creation.cylinder(radius=0.5, height=1.0, sections=SECTIONS)
    elif shape == "cone":
        mesh = trimesh.creation.cone(radius=0.5, height=1.0, sections=SECTIONS)
        mesh.apply_translation((0.0, 0.0, -0.5))
    elif shape == "ball":
        mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.5)
    elif shape == "ring":
        mesh = trimesh.creation.annulus(r_min=0.34, r_max=0.5, height=1.0, sections=SECTIONS)
    elif shape == "shade":
        mesh = _frustum(0.55)
    elif shape == "pot":
        mesh = _frustum(1.0 / 0.7, bottom=0.7)
    else:
        raise ValueError(f"shape: {shape!r} is none")
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)


def _frustum(taper: float, bottom: float = 1.0) -> Any:
    """A cylinder whose top is `taper` times as wide as its bottom."""
    mesh = trimesh.creation.cylinder(radius=0.5, height=1.0, sections=SECTIONS)
    width = np.where(mesh.vertices[:, 2] > 0, taper * bottom, bottom)
    mesh.vertices[:, :2] *= width[:, None]
    return mesh
