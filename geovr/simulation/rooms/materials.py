"""Colours of materials as linear reflectance, and what many pieces share: fronts of drawers."""

from __future__ import annotations

import numpy as np

from geovr.simulation.rooms.shapes import Colour, Part, box

Rng = np.random.Generator

WOODS: tuple[Colour, ...] = (
    (0.45, 0.27, 0.13),
    (0.60, 0.42, 0.24),
    (0.25, 0.13, 0.07),
    (0.70, 0.55, 0.36),
    (0.36, 0.18, 0.09),
)
FABRICS: tuple[Colour, ...] = (
    (0.13, 0.20, 0.36),
    (0.42, 0.10, 0.10),
    (0.16, 0.30, 0.18),
    (0.50, 0.46, 0.40),
    (0.22, 0.22, 0.24),
    (0.56, 0.36, 0.10),
    (0.30, 0.14, 0.32),
    (0.10, 0.34, 0.38),
    (0.62, 0.55, 0.46),
)
PAINTS: tuple[Colour, ...] = (
    (0.80, 0.80, 0.78),
    (0.70, 0.70, 0.66),
    (0.18, 0.24, 0.30),
    (0.55, 0.62, 0.60),
    (0.12, 0.12, 0.13),
)
WHITE, CHROME, BLACK = (0.84, 0.85, 0.86), (0.48, 0.49, 0.51), (0.035, 0.035, 0.04)
LINEN, LEAF, SOIL, GLASS = (
    (0.78, 0.76, 0.72),
    (0.07, 0.24, 0.06),
    (0.09, 0.06, 0.04),
    (0.02, 0.03, 0.05),
)


def pick(rng: Rng, colours: tuple[Colour, ...]) -> Colour:
    """One of a palette, a little lighter or darker."""
    red, green, blue = colours[int(rng.integers(len(colours)))]
    light = float(rng.uniform(0.85, 1.15))
    return min(red * light, 0.9), min(green * light, 0.9), min(blue * light, 0.9)


def darker(colour: Colour, by: float = 0.6) -> Colour:
    """The same in a shade."""
    return colour[0] * by, colour[1] * by, colour[2] * by


def metres(rng: Rng, low: float, high: float) -> float:
    """A length between two."""
    return float(rng.uniform(low, high))


def drawers(
    x: tuple[float, float],
    front: float,
    z: tuple[float, float],
    rows: int,
    wood: Colour,
    columns: int = 1,
) -> list[Part]:
    """Fronts that stand out by a finger, each with a handle."""
    parts = []
    high, wide = (z[1] - z[0]) / rows, (x[1] - x[0]) / columns
    for row in range(rows):
        for column in range(columns):
            left, low = x[0] + column * wide, z[0] + row * high
            parts.append(
                box(
                    (left + 0.012, front - 0.015, low + 0.012),
                    (left + wide - 0.012, front, low + high - 0.012),
                    wood,
                )
            )
            middle, level = left + wide / 2, low + high * 0.55
            parts.append(
                box(
                    (middle - 0.06, front - 0.035, level - 0.008),
                    (middle + 0.06, front - 0.015, level + 0.008),
                    CHROME,
                )
            )
    return parts
