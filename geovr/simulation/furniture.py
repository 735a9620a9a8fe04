"""Furniture-like pieces: eight categories, each with its colour, typical metric size and shape.

A shape is built once a process in the unit box (footprint [-0.5, 0.5]^2, height [0, 1], front
towards -y) from trimesh primitives, and scaled to each piece's size in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_Part = tuple[str, tuple[float, float, float], tuple[float, float, float]]
"""Primitive, lower corner and upper corner inside the unit box."""


@dataclass(frozen=True)
class Category:
    """What pieces of one category have in common.

    `size_m` is width, depth, height in metres; `weight` how often the category is drawn;
    `most` how many of it one room may hold; `by_wall` whether it stands with its back to a wall.
    """

    name: str
    colour: str
    size_m: tuple[float, float, float]
    weight: float
    most: int
    by_wall: bool
    parts: tuple[_Part, ...]


COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.10, 0.10),
    "orange": (0.98, 0.52, 0.05),
    "yellow": (0.95, 0.88, 0.10),
    "green": (0.10, 0.58, 0.15),
    "cyan": (0.10, 0.78, 0.82),
    "blue": (0.12, 0.22, 0.85),
    "purple": (0.48, 0.12, 0.66),
    "pink": (0.97, 0.50, 0.72),
}
"""Linear reflectances of the colour names that questions use."""


def _legs(inset: float, thick: float, top: float) -> tuple[_Part, ...]:
    low, high = -0.5 + inset, 0.5 - inset - thick
    return tuple(
        ("box", (x, y, 0.0), (x + thick, y + thick, top)) for x in (low, high) for y in (low, high)
    )


CATEGORIES: tuple[Category, ...] = (
    Category(
        "chair",
        "red",
        (0.50, 0.52, 0.92),
        1.3,
        4,
        False,
        (
            *_legs(0.02, 0.10, 0.46),
            ("box", (-0.5, -0.5, 0.46), (0.5, 0.5, 0.54)),
            ("box", (-0.5, 0.40, 0.54), (0.5, 0.5, 1.0)),
        ),
    ),
    Category(
        "table",
        "yellow",
        (1.40, 0.85, 0.75),
        1.0,
        3,
        False,
        (*_legs(0.04, 0.07, 0.92), ("box", (-0.5, -0.5, 0.92), (0.5, 0.5, 1.0))),
    ),
    Category(
        "sofa",
        "blue",
        (1.90, 0.90, 0.82),
        0.8,
        3,
        True,
        (
            ("box", (-0.5, -0.5, 0.0), (0.5, 0.5, 0.50)),
            ("box", (-0.5, 0.22, 0.50), (0.5, 0.5, 1.0)),
            ("box", (-0.5, -0.5, 0.50), (-0.40, 0.22, 0.72)),
            ("box", (0.40, -0.5, 0.50), (0.5, 0.22, 0.72)),
        ),
    ),
    Category(
        "bed",
        "purple",
        (1.50, 2.00, 0.90),
        0.7,
        2,
        True,
        (
            ("box", (-0.5, -0.5, 0.12), (0.5, 0.46, 0.55)),
            ("box", (-0.5, 0.46, 0.0), (0.5, 0.5, 1.0)),
        ),
    ),
    Category(
        "wardrobe",
        "orange",
        (1.10, 0.60, 1.95),
        0.7,
        3,
        True,
        (
            ("box", (-0.5, -0.46, 0.0), (0.5, 0.5, 1.0)),
            ("box", (-0.06, -0.5, 0.45), (-0.03, -0.46, 0.60)),
            ("box", (0.03, -0.5, 0.45), (0.06, -0.46, 0.60)),
        ),
    ),
    Category(
        "lamp",
        "pink",
        (0.48, 0.48, 1.60),
        1.2,
        4,
        False,
        (
            ("cylinder", (-0.40, -0.40, 0.0), (0.40, 0.40, 0.03)),
            ("cylinder", (-0.07, -0.07, 0.03), (0.07, 0.07, 0.72)),
            ("cone", (-0.5, -0.5, 0.70), (0.5, 0.5, 1.0)),
        ),
    ),
    Category(
        "plant",
        "green",
        (0.60, 0.60, 1.15),
        1.3,
        4,
        False,
        (
            ("cylinder", (-0.26, -0.26, 0.0), (0.26, 0.26, 0.28)),
            ("cylinder", (-0.05, -0.05, 0.28), (0.05, 0.05, 0.50)),
            ("sphere", (-0.5, -0.5, 0.40), (0.5, 0.5, 1.0)),
        ),
    ),
    Category(
        "bookshelf",
        "cyan",
        (0.95, 0.35, 1.75),
        1.0,
        3,
        True,
        (
            ("box", (-0.5, 0.40, 0.0), (0.5, 0.5, 1.0)),
            ("box", (-0.5, -0.5, 0.0), (-0.45, 0.5, 1.0)),
            ("box", (0.45, -0.5, 0.0), (0.5, 0.5, 1.0)),
            *(
                ("box", (-0.5, -0.5, level), (0.5, 0.5, level + 0.03))
                for level in (0.0, 0.24, 0.48, 0.72, 0.97)
            ),
        ),
    ),
)

BY_NAME: dict[str, Category] = {category.name: category for category in CATEGORIES}


def _primitive(name: str) -> Any:
    """A primitive filling the box [-0.5, 0.5]^3."""
    if name == "box":
        return trimesh.creation.box()
    if name == "cylinder":
        return trimesh.creation.cylinder(radius=0.5, height=1.0, sections=10)
    if name == "cone":
        cone = trimesh.creation.cone(radius=0.5, height=1.0, sections=10)
        cone.apply_translation((0.0, 0.0, -0.5))
        return cone
    return trimesh.creation.icosphere(subdivisions=1, radius=0.5)


@lru_cache(maxsize=len(CATEGORIES))
def unit_mesh(category: str) -> tuple[FloatArray, IntArray]:
    """Vertices (n, 3) in the unit box and faces (m, 3) of a category."""
    vertices: list[FloatArray] = []
    faces: list[IntArray] = []
    count = 0
    for name, low, high in BY_NAME[category].parts:
        mesh = _primitive(name)
        low_3, high_3 = np.asarray(low), np.asarray(high)
        points = np.asarray(mesh.vertices, np.float64) * (high_3 - low_3) + (low_3 + high_3) / 2
        vertices.append(points)
        faces.append(np.asarray(mesh.faces, np.int64) + count)
        count += len(points)
    return np.concatenate(vertices), np.concatenate(faces)
