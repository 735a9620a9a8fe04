"""Twenty-one categories of furniture: forms, sizes in metres, and materials.

Sizes are typical of what shops sell, drawn anew for every piece; no two chairs of two rooms are
alike, while those around one table are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geovr.simulation.rooms.fixtures import (
    bathtub,
    refrigerator,
    sink,
    stove,
    toilet,
    washing_machine,
)
from geovr.simulation.rooms.materials import (
    BLACK,
    CHROME,
    FABRICS,
    GLASS,
    LEAF,
    LINEN,
    PAINTS,
    SOIL,
    WHITE,
    WOODS,
    Rng,
    darker,
    drawers,
    metres,
    pick,
)
from geovr.simulation.rooms.shapes import Part, assemble, box, legs, upright
from geovr.simulation.rooms.world import Model


def chair(rng: Rng) -> list[Part]:
    """Seat, back and four legs."""
    w, d, seat, h = (
        metres(rng, 0.40, 0.48),
        metres(rng, 0.42, 0.50),
        metres(rng, 0.43, 0.47),
        metres(rng, 0.80, 0.95),
    )
    wood = pick(rng, WOODS)
    soft = pick(rng, FABRICS) if rng.random() < 0.6 else wood
    back = d / 2 - 0.035
    parts = legs(w, d, seat - 0.05, 0.04, wood)
    parts.append(box((-w / 2, -d / 2, seat - 0.06), (w / 2, d / 2, seat), soft))
    posts = [box((x, back, seat), (x + 0.035, d / 2, h), wood) for x in (-w / 2, w / 2 - 0.035)]
    rails = [
        box((-w / 2, back + 0.008, z), (w / 2, d / 2 - 0.008, z + 0.10), soft)
        for z in (seat + 0.14, h - 0.13)
    ]
    return parts + posts + rails


def stool(rng: Rng) -> list[Part]:
    """A round seat on four legs."""
    r, h, wood = metres(rng, 0.16, 0.20), metres(rng, 0.44, 0.68), pick(rng, WOODS)
    parts = legs(1.3 * r, 1.3 * r, h - 0.03, 0.035, wood, inset=0.0)
    return [*parts, upright("cylinder", (0, 0), r, (h - 0.05, h), pick(rng, FABRICS))]


def table(rng: Rng) -> list[Part]:
    """A plate on four legs."""
    w, d, h, wood = (
        metres(rng, 1.15, 1.9),
        metres(rng, 0.75, 0.95),
        metres(rng, 0.72, 0.77),
        pick(rng, WOODS),
    )
    apron = [
        box((-w / 2 + 0.08, y, h - 0.12), (w / 2 - 0.08, y + 0.02, h - 0.035), darker(wood, 0.8))
        for y in (-d / 2 + 0.07, d / 2 - 0.09)
    ]
    top = box((-w / 2, -d / 2, h - 0.035), (w / 2, d / 2, h), wood)
    return [*legs(w, d, h - 0.035, 0.07, darker(wood, 0.8), inset=0.05), *apron, top]


def desk(rng: Rng) -> list[Part]:
    """A plate on a block of drawers and two legs; the drawers open to the front."""
    w, d, h, wood = (
        metres(rng, 1.1, 1.6),
        metres(rng, 0.60, 0.78),
        metres(rng, 0.72, 0.76),
        pick(rng, WOODS),
    )
    block = 0.42
    parts = [
        box((-w / 2, -d / 2, h - 0.03), (w / 2, d / 2, h), wood),
        box(
            (w / 2 - block, -d / 2 + 0.03, 0.04),
            (w / 2 - 0.02, d / 2 - 0.02, h - 0.03),
            darker(wood, 0.85),
        ),
        box(
            (-w / 2 + 0.03, d / 2 - 0.03, h * 0.4),
            (w / 2 - block, d / 2 - 0.01, h - 0.03),
            darker(wood, 0.7),
        ),
    ]
    parts += [
        box((-w / 2 + 0.03, y, 0), (-w / 2 + 0.08, y + 0.05, h - 0.03), CHROME)
        for y in (-d / 2 + 0.03, d / 2 - 0.08)
    ]
    return parts + drawers((w / 2 - block, w / 2 - 0.02), -d / 2 + 0.03, (0.06, h - 0.05), 3, wood)


def sofa(rng: Rng) -> list[Part]:
    """Base, cushions, back and arms."""
    w, d, h, cloth = (
        metres(rng, 1.6, 2.4),
        metres(rng, 0.82, 0.98),
        metres(rng, 0.74, 0.88),
        pick(rng, FABRICS),
    )
    arm, seat, shade = 0.18, 0.42, darker(cloth, 0.82)
    parts = [
        *legs(w, d, 0.1, 0.05, darker(pick(rng, WOODS)), inset=0.04),
        box((-w / 2, -d / 2 + 0.02, 0.09), (w / 2, d / 2, 0.28), shade),
        box((-w / 2, d / 2 - 0.2, 0.28), (w / 2, d / 2, h), shade),
    ]
    for side in (-1, 1):
        x = sorted((side * w / 2, side * (w / 2 - arm)))
        parts.append(box((x[0], -d / 2, 0.09), (x[1], d / 2 - 0.2, 0.62), shade))
    seats = 2 if w < 1.9 else 3
    wide = (w - 2 * arm) / seats
    for number in range(seats):
        left = -w / 2 + arm + number * wide
        parts.append(
            box(
                (left + 0.008, -d / 2 - 0.01, 0.28), (left + wide - 0.008, d / 2 - 0.2, seat), cloth
            )
        )
        parts.append(
            box(
                (left + 0.01, d / 2 - 0.34, seat),
                (left + wide - 0.01, d / 2 - 0.19, h - 0.04),
                cloth,
            )
        )
    return parts


def bed(rng: Rng) -> list[Part]:
    """Frame with headboard at the back, mattress, blanket and pillows."""
    w, d, wood = (
        float(rng.choice([0.95, 1.45, 1.65, 1.85])),
        metres(rng, 2.0, 2.12),
        pick(rng, WOODS),
    )
    cloth, top = pick(rng, FABRICS), metres(rng, 0.48, 0.58)
    parts = [
        *legs(w, d, 0.2, 0.07, darker(wood), inset=0.0),
        box((-w / 2, -d / 2, 0.15), (w / 2, d / 2 - 0.05, 0.32), wood),
        box(
            (-w / 2, d / 2 - 0.06, 0.15), (w / 2, d / 2, metres(rng, 0.85, 1.1)), darker(wood, 0.85)
        ),
        box((-w / 2 + 0.03, -d / 2 + 0.03, 0.32), (w / 2 - 0.03, d / 2 - 0.06, top), LINEN),
        box(
            (-w / 2 + 0.005, -d / 2 + 0.01, top - 0.12),
            (w / 2 - 0.005, d / 2 - 0.62, top + 0.025),
            cloth,
        ),
    ]
    pillows = 1 if w < 1.2 else 2
    wide = (w - 0.12) / pillows
    for number in range(pillows):
        left = -w / 2 + 0.06 + number * wide
        parts.append(
            box(
                (left + 0.04, d / 2 - 0.52, top),
                (left + wide - 0.04, d / 2 - 0.12, top + 0.11),
                WHITE,
            )
        )
    return parts


def nightstand(rng: Rng) -> list[Part]:
    """A small block of two drawers."""
    w, d, h, wood = (
        metres(rng, 0.40, 0.52),
        metres(rng, 0.35, 0.42),
        metres(rng, 0.45, 0.58),
        pick(rng, WOODS),
    )
    body = box((-w / 2, -d / 2, 0.08), (w / 2, d / 2, h), darker(wood, 0.85))
    feet = legs(w, d, 0.08, 0.04, darker(wood))
    return [body, *feet, *drawers((-w / 2, w / 2), -d / 2, (0.1, h - 0.02), 2, wood)]


def dresser(rng: Rng) -> list[Part]:
    """Three or four rows of two drawers."""
    w, d, h = metres(rng, 0.95, 1.5), metres(rng, 0.42, 0.52), metres(rng, 0.78, 1.1)
    wood = pick(rng, WOODS if rng.random() < 0.6 else PAINTS)
    body = box((-w / 2, -d / 2, 0.06), (w / 2, d / 2, h), darker(wood, 0.85))
    rows = 3 if h < 0.95 else 4
    fronts = drawers((-w / 2, w / 2), -d / 2, (0.08, h - 0.03), rows, wood, columns=2)
    return [body, *legs(w, d, 0.06, 0.05, darker(wood)), *fronts]


def wardrobe(rng: Rng) -> list[Part]:
    """Two or three doors with handles."""
    w, d, h = metres(rng, 0.95, 1.8), metres(rng, 0.55, 0.65), metres(rng, 1.85, 2.15)
    wood = pick(rng, WOODS if rng.random() < 0.6 else PAINTS)
    doors = 2 if w < 1.3 else 3
    wide = w / doors
    parts = [box((-w / 2, -d / 2 + 0.02, 0), (w / 2, d / 2, h), darker(wood, 0.8))]
    for number in range(doors):
        left = -w / 2 + number * wide
        parts.append(
            box((left + 0.008, -d / 2, 0.07), (left + wide - 0.008, -d / 2 + 0.02, h - 0.03), wood)
        )
        grip = left + wide - 0.06 if number % 2 == 0 else left + 0.045
        parts.append(box((grip, -d / 2 - 0.03, 0.95), (grip + 0.015, -d / 2, 1.25), CHROME))
    return parts


def bookshelf(rng: Rng) -> list[Part]:
    """An open shelf with books."""
    w, d, h, wood = (
        metres(rng, 0.7, 1.2),
        metres(rng, 0.28, 0.36),
        metres(rng, 1.5, 2.05),
        pick(rng, WOODS),
    )
    parts = [box((-w / 2, d / 2 - 0.015, 0), (w / 2, d / 2, h), darker(wood, 0.7))]
    parts += [box((x, -d / 2, 0), (x + 0.025, d / 2, h), wood) for x in (-w / 2, w / 2 - 0.025)]
    levels = 5 if h < 1.8 else 6
    step = (h - 0.03) / levels
    for level in range(levels + 1):
        z = level * step
        parts.append(box((-w / 2, -d / 2, z), (w / 2, d / 2 - 0.015, z + 0.025), wood))
        left = -w / 2 + 0.04
        while level < levels and left < w / 2 - 0.14 and rng.random() < 0.9:
            thick, tall = metres(rng, 0.03, 0.09), metres(rng, 0.55, 0.85) * step
            colour = pick(rng, FABRICS)
            parts.append(
                box(
                    (left, -d / 2 + 0.04, z + 0.025),
                    (left + thick, d / 2 - 0.05, z + 0.025 + tall),
                    colour,
                )
            )
            left += thick + 0.004
    return parts


def lamp(rng: Rng) -> list[Part]:
    """A floor lamp: foot, pole and shade."""
    r, h = metres(rng, 0.17, 0.24), metres(rng, 1.4, 1.75)
    metal = CHROME if rng.random() < 0.5 else BLACK
    return [
        upright("cylinder", (0, 0), 0.14, (0, 0.025), metal),
        upright("cylinder", (0, 0), 0.014, (0.02, h - 0.1), metal),
        upright("shade", (0, 0), r, (h - 0.32, h), (0.86, 0.80, 0.66)),
    ]


def plant(rng: Rng) -> list[Part]:
    """A pot, a stem and a crown of balls."""
    r, h = metres(rng, 0.15, 0.22), metres(rng, 0.75, 1.5)
    pot = pick(rng, ((0.45, 0.18, 0.10), (0.75, 0.74, 0.70), (0.12, 0.14, 0.16)))
    parts = [
        upright("pot", (0, 0), r, (0, 0.34), pot),
        upright("cylinder", (0, 0), r * 0.9, (0.33, 0.345), SOIL),
        upright("cylinder", (0, 0), 0.02, (0.33, h * 0.7), (0.20, 0.12, 0.06)),
    ]
    for number in range(7):
        angle = 2 * np.pi * number / 6
        reach = 0.0 if number == 6 else metres(rng, 0.08, 0.17)
        x, y, ball = (
            reach * float(np.cos(angle)),
            reach * float(np.sin(angle)),
            metres(rng, 0.10, 0.17),
        )
        z = h - ball if number == 6 else metres(rng, 0.5 * h + ball, h - ball)
        leaf = darker(LEAF, metres(rng, 0.7, 1.6))
        parts.append(upright("ball", (x, y), ball, (z - ball, z + ball), leaf))
    return parts


def tv(rng: Rng) -> list[Part]:
    """A flat screen on a low board."""
    w, d, board = metres(rng, 1.2, 1.7), metres(rng, 0.36, 0.44), metres(rng, 0.38, 0.52)
    screen, wood = w * metres(rng, 0.72, 0.85), pick(rng, WOODS if rng.random() < 0.5 else PAINTS)
    tall = screen * 0.57
    return [
        box((-w / 2, -d / 2 + 0.015, 0.06), (w / 2, d / 2, board), darker(wood, 0.85)),
        *legs(w, d, 0.06, 0.05, BLACK, inset=0.05),
        *drawers((-w / 2, w / 2), -d / 2 + 0.015, (0.08, board - 0.03), 1, wood, columns=3),
        box((-0.2, -0.1, board), (0.2, 0.1, board + 0.015), BLACK),
        box((-0.03, -0.01, board), (0.03, 0.02, board + 0.1), BLACK),
        box((-screen / 2, -0.03, board + 0.06), (screen / 2, 0.02, board + 0.06 + tall), BLACK),
        box(
            (-screen / 2 + 0.015, -0.033, board + 0.075),
            (screen / 2 - 0.015, -0.03, board + 0.045 + tall),
            GLASS,
        ),
    ]


def trash_bin(rng: Rng) -> list[Part]:
    """A round bin with a lid."""
    r, h, paint = metres(rng, 0.12, 0.17), metres(rng, 0.28, 0.62), pick(rng, PAINTS + FABRICS[:3])
    return [
        upright("cylinder", (0, 0), r, (0, h - 0.03), paint),
        upright("cylinder", (0, 0), r + 0.008, (h - 0.05, h - 0.02), CHROME),
        upright("ball", (0, 0), r * 0.95, (h - 0.06, h), darker(paint, 0.7)),
    ]


def suitcase(rng: Rng) -> list[Part]:
    """Upright, with wheels and a handle."""
    w, d, h, paint = (
        metres(rng, 0.38, 0.5),
        metres(rng, 0.22, 0.3),
        metres(rng, 0.55, 0.72),
        pick(rng, FABRICS),
    )
    wheels = [
        upright("cylinder", (x, y), 0.025, (0, 0.05), BLACK)
        for x in (-w / 2 + 0.04, w / 2 - 0.04)
        for y in (-d / 2 + 0.04, d / 2 - 0.04)
    ]
    ribs = [
        box((x, -d / 2 - 0.008, 0.08), (x + 0.03, d / 2 + 0.008, h - 0.03), darker(paint, 0.8))
        for x in (-w / 4, 0.0, w / 4 - 0.03)
    ]
    handle = box((-0.09, -0.015, h), (0.09, 0.015, h + 0.05), BLACK)
    return [box((-w / 2, -d / 2, 0.05), (w / 2, d / 2, h), paint), *wheels, *ribs, handle]


FORMS: dict[str, Callable[[Rng], list[Part]]] = {
    "chair": chair,
    "stool": stool,
    "table": table,
    "desk": desk,
    "sofa": sofa,
    "bed": bed,
    "nightstand": nightstand,
    "dresser": dresser,
    "wardrobe": wardrobe,
    "bookshelf": bookshelf,
    "lamp": lamp,
    "plant": plant,
    "tv": tv,
    "trash bin": trash_bin,
    "suitcase": suitcase,
    "refrigerator": refrigerator,
    "stove": stove,
    "washing machine": washing_machine,
    "sink": sink,
    "toilet": toilet,
    "bathtub": bathtub,
}


def draw(category: str, rng: Rng) -> Model:
    """A piece of a category, of its own size and materials."""
    return assemble(category, FORMS[category](rng))
