"""Twenty-one categories of furniture: forms, sizes in metres, and materials.

Sizes are typical of what shops sell, drawn anew for every piece; no two chairs of two rooms are
alike, while those around one table are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geovr.simulation.rooms.shapes import Body, Colour, Part, assemble, box, legs, upright

Rng = np.random.Generator

WOODS: tuple[Colour, ...] = (
    (0.45, 0.27, 0.13), (0.60, 0.42, 0.24), (0.25, 0.13, 0.07), (0.70, 0.55, 0.36), (0.36, 0.18, 0.09)
)  # fmt: skip
FABRICS: tuple[Colour, ...] = (
    (0.13, 0.20, 0.36), (0.42, 0.10, 0.10), (0.16, 0.30, 0.18), (0.50, 0.46, 0.40), (0.22, 0.22, 0.24),
    (0.56, 0.36, 0.10), (0.30, 0.14, 0.32), (0.10, 0.34, 0.38), (0.62, 0.55, 0.46),
)  # fmt: skip
PAINTS: tuple[Colour, ...] = (
    (0.80, 0.80, 0.78), (0.70, 0.70, 0.66), (0.18, 0.24, 0.30), (0.55, 0.62, 0.60), (0.12, 0.12, 0.13),
)  # fmt: skip
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


def _m(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def chair(rng: Rng) -> list[Part]:
    """Seat, back and four legs."""
    w, d, seat, h = (
        _m(rng, 0.40, 0.48),
        _m(rng, 0.42, 0.50),
        _m(rng, 0.43, 0.47),
        _m(rng, 0.80, 0.95),
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
    r, h, wood = _m(rng, 0.16, 0.20), _m(rng, 0.44, 0.68), pick(rng, WOODS)
    parts = legs(1.3 * r, 1.3 * r, h - 0.03, 0.035, wood, inset=0.0)
    return [*parts, upright("cylinder", (0, 0), r, (h - 0.05, h), pick(rng, FABRICS))]


def table(rng: Rng) -> list[Part]:
    """A plate on four legs."""
    w, d, h, wood = _m(rng, 1.15, 1.9), _m(rng, 0.75, 0.95), _m(rng, 0.72, 0.77), pick(rng, WOODS)
    apron = [
        box((-w / 2 + 0.08, y, h - 0.12), (w / 2 - 0.08, y + 0.02, h - 0.035), darker(wood, 0.8))
        for y in (-d / 2 + 0.07, d / 2 - 0.09)
    ]
    top = box((-w / 2, -d / 2, h - 0.035), (w / 2, d / 2, h), wood)
    return [*legs(w, d, h - 0.035, 0.07, darker(wood, 0.8), inset=0.05), *apron, top]


def desk(rng: Rng) -> list[Part]:
    """A plate on a block of drawers and two legs; the drawers open to the front."""
    w, d, h, wood = _m(rng, 1.1, 1.6), _m(rng, 0.60, 0.78), _m(rng, 0.72, 0.76), pick(rng, WOODS)
    block = 0.42
    parts = [
        box((-w / 2, -d / 2, h - 0.03), (w / 2, d / 2, h), wood),
        box((w / 2 - block, -d / 2 + 0.03, 0.04), (w / 2 - 0.02, d / 2 - 0.02, h - 0.03), darker(wood, 0.85)),
        box((-w / 2 + 0.03, d / 2 - 0.03, h * 0.4), (w / 2 - block, d / 2 - 0.01, h - 0.03), darker(wood, 0.7)),
    ]  # fmt: skip
    parts += [
        box((-w / 2 + 0.03, y, 0), (-w / 2 + 0.08, y + 0.05, h - 0.03), CHROME)
        for y in (-d / 2 + 0.03, d / 2 - 0.08)
    ]
    return parts + _drawers((w / 2 - block, w / 2 - 0.02), -d / 2 + 0.03, (0.06, h - 0.05), 3, wood)


def _drawers(x: tuple[float, float], front: float, z: tuple[float, float], rows: int,
             wood: Colour, columns: int = 1) -> list[Part]:  # fmt: skip
    """Fronts that stand out by a finger, each with a handle."""
    parts = []
    high, wide = (z[1] - z[0]) / rows, (x[1] - x[0]) / columns
    for row in range(rows):
        for column in range(columns):
            left, low = x[0] + column * wide, z[0] + row * high
            parts.append(
                box((left + 0.012, front - 0.015, low + 0.012), (left + wide - 0.012, front, low + high - 0.012), wood)
            )  # fmt: skip
            middle, level = left + wide / 2, low + high * 0.55
            parts.append(
                box((middle - 0.06, front - 0.035, level - 0.008), (middle + 0.06, front - 0.015, level + 0.008), CHROME)
            )  # fmt: skip
    return parts


def sofa(rng: Rng) -> list[Part]:
    """Base, cushions, back and arms."""
    w, d, h, cloth = _m(rng, 1.6, 2.4), _m(rng, 0.82, 0.98), _m(rng, 0.74, 0.88), pick(rng, FABRICS)
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
    w, d, wood = float(rng.choice([0.95, 1.45, 1.65, 1.85])), _m(rng, 2.0, 2.12), pick(rng, WOODS)
    cloth, top = pick(rng, FABRICS), _m(rng, 0.48, 0.58)
    parts = [
        *legs(w, d, 0.2, 0.07, darker(wood), inset=0.0),
        box((-w / 2, -d / 2, 0.15), (w / 2, d / 2 - 0.05, 0.32), wood),
        box((-w / 2, d / 2 - 0.06, 0.15), (w / 2, d / 2, _m(rng, 0.85, 1.1)), darker(wood, 0.85)),
        box((-w / 2 + 0.03, -d / 2 + 0.03, 0.32), (w / 2 - 0.03, d / 2 - 0.06, top), LINEN),
        box((-w / 2 + 0.005, -d / 2 + 0.01, top - 0.12), (w / 2 - 0.005, d / 2 - 0.62, top + 0.025), cloth),
    ]  # fmt: skip
    pillows = 1 if w < 1.2 else 2
    wide = (w - 0.12) / pillows
    for number in range(pillows):
        left = -w / 2 + 0.06 + number * wide
        parts.append(
            box((left + 0.04, d / 2 - 0.52, top), (left + wide - 0.04, d / 2 - 0.12, top + 0.11), WHITE)
        )  # fmt: skip
    return parts


def nightstand(rng: Rng) -> list[Part]:
    """A small block of two drawers."""
    w, d, h, wood = _m(rng, 0.40, 0.52), _m(rng, 0.35, 0.42), _m(rng, 0.45, 0.58), pick(rng, WOODS)
    body = box((-w / 2, -d / 2, 0.08), (w / 2, d / 2, h), darker(wood, 0.85))
    feet = legs(w, d, 0.08, 0.04, darker(wood))
    return [body, *feet, *_drawers((-w / 2, w / 2), -d / 2, (0.1, h - 0.02), 2, wood)]


def dresser(rng: Rng) -> list[Part]:
    """Three or four rows of two drawers."""
    w, d, h = _m(rng, 0.95, 1.5), _m(rng, 0.42, 0.52), _m(rng, 0.78, 1.1)
    wood = pick(rng, WOODS if rng.random() < 0.6 else PAINTS)
    body = box((-w / 2, -d / 2, 0.06), (w / 2, d / 2, h), darker(wood, 0.85))
    rows = 3 if h < 0.95 else 4
    fronts = _drawers((-w / 2, w / 2), -d / 2, (0.08, h - 0.03), rows, wood, columns=2)
    return [body, *legs(w, d, 0.06, 0.05, darker(wood)), *fronts]


def wardrobe(rng: Rng) -> list[Part]:
    """Two or three doors with handles."""
    w, d, h = _m(rng, 0.95, 1.8), _m(rng, 0.55, 0.65), _m(rng, 1.85, 2.15)
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
    w, d, h, wood = _m(rng, 0.7, 1.2), _m(rng, 0.28, 0.36), _m(rng, 1.5, 2.05), pick(rng, WOODS)
    parts = [box((-w / 2, d / 2 - 0.015, 0), (w / 2, d / 2, h), darker(wood, 0.7))]
    parts += [box((x, -d / 2, 0), (x + 0.025, d / 2, h), wood) for x in (-w / 2, w / 2 - 0.025)]
    levels = 5 if h < 1.8 else 6
    step = (h - 0.03) / levels
    for level in range(levels + 1):
        z = level * step
        parts.append(box((-w / 2, -d / 2, z), (w / 2, d / 2 - 0.015, z + 0.025), wood))
        left = -w / 2 + 0.04
        while level < levels and left < w / 2 - 0.14 and rng.random() < 0.9:
            thick, tall = _m(rng, 0.03, 0.09), _m(rng, 0.55, 0.85) * step
            colour = pick(rng, FABRICS)
            parts.append(
                box((left, -d / 2 + 0.04, z + 0.025), (left + thick, d / 2 - 0.05, z + 0.025 + tall), colour)
            )  # fmt: skip
            left += thick + 0.004
    return parts


def lamp(rng: Rng) -> list[Part]:
    """A floor lamp: foot, pole and shade."""
    r, h = _m(rng, 0.17, 0.24), _m(rng, 1.4, 1.75)
    metal = CHROME if rng.random() < 0.5 else BLACK
    return [
        upright("cylinder", (0, 0), 0.14, (0, 0.025), metal),
        upright("cylinder", (0, 0), 0.014, (0.02, h - 0.1), metal),
        upright("shade", (0, 0), r, (h - 0.32, h), (0.86, 0.80, 0.66)),
    ]


def plant(rng: Rng) -> list[Part]:
    """A pot, a stem and a crown of balls."""
    r, h = _m(rng, 0.15, 0.22), _m(rng, 0.75, 1.5)
    pot = pick(rng, ((0.45, 0.18, 0.10), (0.75, 0.74, 0.70), (0.12, 0.14, 0.16)))
    parts = [
        upright("pot", (0, 0), r, (0, 0.34), pot),
        upright("cylinder", (0, 0), r * 0.9, (0.33, 0.345), SOIL),
        upright("cylinder", (0, 0), 0.02, (0.33, h * 0.7), (0.20, 0.12, 0.06)),
    ]
    for number in range(7):
        angle = 2 * np.pi * number / 6
        reach = 0.0 if number == 6 else _m(rng, 0.08, 0.17)
        x, y, ball = reach * float(np.cos(angle)), reach * float(np.sin(angle)), _m(rng, 0.10, 0.17)
        z = h - ball if number == 6 else _m(rng, 0.5 * h + ball, h - ball)
        leaf = darker(LEAF, _m(rng, 0.7, 1.6))
        parts.append(upright("ball", (x, y), ball, (z - ball, z + ball), leaf))
    return parts


def tv(rng: Rng) -> list[Part]:
    """A flat screen on a low board."""
    w, d, board = _m(rng, 1.2, 1.7), _m(rng, 0.36, 0.44), _m(rng, 0.38, 0.52)
    screen, wood = w * _m(rng, 0.72, 0.85), pick(rng, WOODS if rng.random() < 0.5 else PAINTS)
    tall = screen * 0.57
    return [
        box((-w / 2, -d / 2 + 0.015, 0.06), (w / 2, d / 2, board), darker(wood, 0.85)),
        *legs(w, d, 0.06, 0.05, BLACK, inset=0.05),
        *_drawers((-w / 2, w / 2), -d / 2 + 0.015, (0.08, board - 0.03), 1, wood, columns=3),
        box((-0.2, -0.1, board), (0.2, 0.1, board + 0.015), BLACK),
        box((-0.03, -0.01, board), (0.03, 0.02, board + 0.1), BLACK),
        box((-screen / 2, -0.03, board + 0.06), (screen / 2, 0.02, board + 0.06 + tall), BLACK),
        box((-screen / 2 + 0.015, -0.033, board + 0.075), (screen / 2 - 0.015, -0.03, board + 0.045 + tall), GLASS),
    ]  # fmt: skip


def trash_bin(rng: Rng) -> list[Part]:
    """A round bin with a lid."""
    r, h, paint = _m(rng, 0.12, 0.17), _m(rng, 0.28, 0.62), pick(rng, PAINTS + FABRICS[:3])
    return [
        upright("cylinder", (0, 0), r, (0, h - 0.03), paint),
        upright("cylinder", (0, 0), r + 0.008, (h - 0.05, h - 0.02), CHROME),
        upright("ball", (0, 0), r * 0.95, (h - 0.06, h), darker(paint, 0.7)),
    ]


def suitcase(rng: Rng) -> list[Part]:
    """Upright, with wheels and a handle."""
    w, d, h, paint = _m(rng, 0.38, 0.5), _m(rng, 0.22, 0.3), _m(rng, 0.55, 0.72), pick(rng, FABRICS)
    wheels = [
        upright("cylinder", (x, y), 0.025, (0, 0.05), BLACK)
        for x in (-w / 2 + 0.04, w / 2 - 0.04)
        for y in (-d / 2 + 0.04, d / 2 - 0.04)
    ]
    ribs = [box((x, -d / 2 - 0.008, 0.08), (x + 0.03, d / 2 + 0.008, h - 0.03), darker(paint, 0.8))
            for x in (-w / 4, 0.0, w / 4 - 0.03)]  # fmt: skip
    handle = box((-0.09, -0.015, h), (0.09, 0.015, h + 0.05), BLACK)
    return [box((-w / 2, -d / 2, 0.05), (w / 2, d / 2, h), paint), *wheels, *ribs, handle]


def refrigerator(rng: Rng) -> list[Part]:
    """Two doors, one above the other."""
    w, d, h = _m(rng, 0.58, 0.75), _m(rng, 0.60, 0.70), _m(rng, 1.6, 1.95)
    paint = WHITE if rng.random() < 0.5 else CHROME
    split = h * _m(rng, 0.3, 0.4)
    return [
        box((-w / 2, -d / 2 + 0.05, 0.02), (w / 2, d / 2, h), darker(paint, 0.85)),
        box((-w / 2, -d / 2, 0.05), (w / 2, -d / 2 + 0.05, split - 0.005), paint),
        box((-w / 2, -d / 2, split + 0.005), (w / 2, -d / 2 + 0.05, h), paint),
        box((w / 2 - 0.08, -d / 2 - 0.04, split * 0.5), (w / 2 - 0.05, -d / 2, split - 0.04), BLACK),
        box((w / 2 - 0.08, -d / 2 - 0.04, split + 0.04), (w / 2 - 0.05, -d / 2, split + 0.45), BLACK),
        *legs(w, d, 0.03, 0.05, BLACK),
    ]  # fmt: skip


def stove(rng: Rng) -> list[Part]:
    """Oven door below, four plates above."""
    w, d, h = _m(rng, 0.55, 0.62), 0.6, _m(rng, 0.85, 0.92)
    plates = [
        upright("cylinder", (x, y), r, (h - 0.001, h + 0.008), (0.10, 0.03, 0.03))
        for x, y, r in ((-w / 4, -0.13, 0.09), (w / 4, -0.13, 0.07), (-w / 4, 0.14, 0.07), (w / 4, 0.14, 0.09))
    ]  # fmt: skip
    knobs = [
        box((x - 0.015, -d / 2 - 0.02, h - 0.09), (x + 0.015, -d / 2, h - 0.06), CHROME)
        for x in np.linspace(-w / 2 + 0.08, w / 2 - 0.08, 5)
    ]
    return [
        box((-w / 2, -d / 2, 0), (w / 2, d / 2, h - 0.02), WHITE),
        box((-w / 2, -d / 2, h - 0.02), (w / 2, d / 2, h), BLACK),
        box((-w / 2 + 0.06, -d / 2 - 0.012, 0.22), (w / 2 - 0.06, -d / 2, h - 0.2), GLASS),
        box((-w / 2 + 0.05, -d / 2 - 0.04, h - 0.17), (w / 2 - 0.05, -d / 2 - 0.02, h - 0.15), CHROME),
        *plates, *knobs,
    ]  # fmt: skip


def washing_machine(rng: Rng) -> list[Part]:
    """A white block with a round door."""
    w, d, h = 0.6, _m(rng, 0.52, 0.6), _m(rng, 0.83, 0.87)
    front = -d / 2
    door = [
        box((-0.2 * c, front - 0.02, 0.42 - 0.2 * s), (0.2 * c, front, 0.42 + 0.2 * s), CHROME)
        for c, s in ((1.0, 0.42), (0.9, 0.7), (0.7, 0.9), (0.42, 1.0))
    ]
    glass = [
        box((-0.15 * c, front - 0.03, 0.42 - 0.15 * s), (0.15 * c, front - 0.02, 0.42 + 0.15 * s), GLASS)
        for c, s in ((1.0, 0.42), (0.8, 0.8), (0.42, 1.0))
    ]  # fmt: skip
    panel = box((-w / 2 + 0.02, front - 0.006, h - 0.12), (w / 2 - 0.02, front, h - 0.02), CHROME)
    return [box((-w / 2, front, 0.015), (w / 2, d / 2, h), WHITE), *legs(w, d, 0.02, 0.05, BLACK),
            *door, *glass, panel]  # fmt: skip


def sink(rng: Rng) -> list[Part]:
    """A basin on a cabinet, with a tap."""
    w, d, h, paint = _m(rng, 0.55, 0.9), _m(rng, 0.45, 0.52), _m(rng, 0.82, 0.88), pick(rng, PAINTS)
    return [
        box((-w / 2 + 0.03, -d / 2 + 0.03, 0.08), (w / 2 - 0.03, d / 2, h - 0.12), paint),
        box((-w / 2 + 0.06, -d / 2 + 0.06, 0), (w / 2 - 0.06, d / 2 - 0.02, 0.08), BLACK),
        *_drawers((-w / 2 + 0.03, w / 2 - 0.03), -d / 2 + 0.03, (0.1, h - 0.14), 1, paint, columns=2),
        box((-w / 2, -d / 2, h - 0.12), (w / 2, d / 2, h - 0.08), WHITE),
        box((-w / 2, -d / 2, h - 0.08), (w / 2, -d / 2 + 0.04, h), WHITE),
        box((-w / 2, d / 2 - 0.12, h - 0.08), (w / 2, d / 2, h), WHITE),
        box((-w / 2, -d / 2, h - 0.08), (-w / 2 + 0.04, d / 2, h), WHITE),
        box((w / 2 - 0.04, -d / 2, h - 0.08), (w / 2, d / 2, h), WHITE),
        upright("cylinder", (0, d / 2 - 0.06), 0.018, (h, h + 0.2), CHROME),
        box((-0.015, d / 2 - 0.2, h + 0.17), (0.015, d / 2 - 0.05, h + 0.2), CHROME),
    ]  # fmt: skip


def toilet(rng: Rng) -> list[Part]:
    """Bowl in front, cistern at the back."""
    h, w = _m(rng, 0.39, 0.43), _m(rng, 0.36, 0.40)
    return [
        box((-0.11, -0.12, 0), (0.11, 0.3, h - 0.12), WHITE),
        upright("pot", (0, -0.08), w / 2, (h - 0.25, h), WHITE),
        box((-w / 2 + 0.02, -0.05, h - 0.14), (w / 2 - 0.02, 0.18, h), WHITE),
        upright("cylinder", (0, -0.08), w / 2 + 0.01, (h, h + 0.025), (0.72, 0.73, 0.75)),
        box((-w / 2 + 0.03, -0.05, h), (w / 2 - 0.03, 0.16, h + 0.025), (0.72, 0.73, 0.75)),
        box((-w / 2, 0.16, h - 0.05), (w / 2, 0.35, h + 0.36), WHITE),
        box((-0.03, 0.23, h + 0.36), (0.03, 0.28, h + 0.375), CHROME),
    ]


def bathtub(rng: Rng) -> list[Part]:
    """Four walls and a bottom, its long side to the front."""
    w, d, h, rim = _m(rng, 1.5, 1.8), _m(rng, 0.7, 0.8), _m(rng, 0.52, 0.6), 0.07
    return [
        box((-w / 2, -d / 2, 0), (w / 2, d / 2, 0.15), WHITE),
        box((-w / 2, -d / 2, 0.15), (w / 2, -d / 2 + rim, h), WHITE),
        box((-w / 2, d / 2 - rim, 0.15), (w / 2, d / 2, h), WHITE),
        box((-w / 2, -d / 2 + rim, 0.15), (-w / 2 + rim, d / 2 - rim, h), WHITE),
        box((w / 2 - rim, -d / 2 + rim, 0.15), (w / 2, d / 2 - rim, h), WHITE),
        upright("cylinder", (-w / 2 + 0.04, 0), 0.02, (h, h + 0.16), CHROME),
        box((-w / 2 + 0.03, -0.02, h + 0.13), (-w / 2 + 0.18, 0.02, h + 0.16), CHROME),
    ]


FORMS: dict[str, Callable[[Rng], list[Part]]] = {
    "chair": chair, "stool": stool, "table": table, "desk": desk, "sofa": sofa, "bed": bed,
    "nightstand": nightstand, "dresser": dresser, "wardrobe": wardrobe, "bookshelf": bookshelf,
    "lamp": lamp, "plant": plant, "tv": tv, "trash bin": trash_bin, "suitcase": suitcase,
    "refrigerator": refrigerator, "stove": stove, "washing machine": washing_machine, "sink": sink,
    "toilet": toilet, "bathtub": bathtub,
}  # fmt: skip


def draw(category: str, rng: Rng) -> Body:
    """A piece of a category, of its own size and materials."""
    return assemble(category, FORMS[category](rng))
