"""What stands in kitchens and bathrooms."""

from __future__ import annotations

import numpy as np

from geovr.simulation.rooms.materials import (
    BLACK,
    CHROME,
    GLASS,
    PAINTS,
    WHITE,
    Rng,
    darker,
    drawers,
    metres,
    pick,
)
from geovr.simulation.rooms.shapes import Part, box, legs, upright


def refrigerator(rng: Rng) -> list[Part]:
    """Two doors, one above the other."""
    w, d, h = metres(rng, 0.58, 0.75), metres(rng, 0.60, 0.70), metres(rng, 1.6, 1.95)
    paint = WHITE if rng.random() < 0.5 else CHROME
    split = h * metres(rng, 0.3, 0.4)
    return [
        box((-w / 2, -d / 2 + 0.05, 0.02), (w / 2, d / 2, h), darker(paint, 0.85)),
        box((-w / 2, -d / 2, 0.05), (w / 2, -d / 2 + 0.05, split - 0.005), paint),
        box((-w / 2, -d / 2, split + 0.005), (w / 2, -d / 2 + 0.05, h), paint),
        box(
            (w / 2 - 0.08, -d / 2 - 0.04, split * 0.5), (w / 2 - 0.05, -d / 2, split - 0.04), BLACK
        ),
        box(
            (w / 2 - 0.08, -d / 2 - 0.04, split + 0.04), (w / 2 - 0.05, -d / 2, split + 0.45), BLACK
        ),
        *legs(w, d, 0.03, 0.05, BLACK),
    ]


def stove(rng: Rng) -> list[Part]:
    """Oven door below, four plates above."""
    w, d, h = metres(rng, 0.55, 0.62), 0.6, metres(rng, 0.85, 0.92)
    plates = [
        upright("cylinder", (x, y), r, (h - 0.001, h + 0.008), (0.10, 0.03, 0.03))
        for x, y, r in (
            (-w / 4, -0.13, 0.09),
            (w / 4, -0.13, 0.07),
            (-w / 4, 0.14, 0.07),
            (w / 4, 0.14, 0.09),
        )
    ]
    knobs = [
        box((x - 0.015, -d / 2 - 0.02, h - 0.09), (x + 0.015, -d / 2, h - 0.06), CHROME)
        for x in np.linspace(-w / 2 + 0.08, w / 2 - 0.08, 5)
    ]
    return [
        box((-w / 2, -d / 2, 0), (w / 2, d / 2, h - 0.02), WHITE),
        box((-w / 2, -d / 2, h - 0.02), (w / 2, d / 2, h), BLACK),
        box((-w / 2 + 0.06, -d / 2 - 0.012, 0.22), (w / 2 - 0.06, -d / 2, h - 0.2), GLASS),
        box(
            (-w / 2 + 0.05, -d / 2 - 0.04, h - 0.17),
            (w / 2 - 0.05, -d / 2 - 0.02, h - 0.15),
            CHROME,
        ),
        *plates,
        *knobs,
    ]


def washing_machine(rng: Rng) -> list[Part]:
    """A white block with a round door."""
    w, d, h = 0.6, metres(rng, 0.52, 0.6), metres(rng, 0.83, 0.87)
    front = -d / 2
    door = [
        box((-0.2 * c, front - 0.02, 0.42 - 0.2 * s), (0.2 * c, front, 0.42 + 0.2 * s), CHROME)
        for c, s in ((1.0, 0.42), (0.9, 0.7), (0.7, 0.9), (0.42, 1.0))
    ]
    glass = [
        box(
            (-0.15 * c, front - 0.03, 0.42 - 0.15 * s),
            (0.15 * c, front - 0.02, 0.42 + 0.15 * s),
            GLASS,
        )
        for c, s in ((1.0, 0.42), (0.8, 0.8), (0.42, 1.0))
    ]
    panel = box((-w / 2 + 0.02, front - 0.006, h - 0.12), (w / 2 - 0.02, front, h - 0.02), CHROME)
    return [
        box((-w / 2, front, 0.015), (w / 2, d / 2, h), WHITE),
        *legs(w, d, 0.02, 0.05, BLACK),
        *door,
        *glass,
        panel,
    ]


def sink(rng: Rng) -> list[Part]:
    """A basin on a cabinet, with a tap."""
    w, d, h, paint = (
        metres(rng, 0.55, 0.9),
        metres(rng, 0.45, 0.52),
        metres(rng, 0.82, 0.88),
        pick(rng, PAINTS),
    )
    return [
        box((-w / 2 + 0.03, -d / 2 + 0.03, 0.08), (w / 2 - 0.03, d / 2, h - 0.12), paint),
        box((-w / 2 + 0.06, -d / 2 + 0.06, 0), (w / 2 - 0.06, d / 2 - 0.02, 0.08), BLACK),
        *drawers(
            (-w / 2 + 0.03, w / 2 - 0.03), -d / 2 + 0.03, (0.1, h - 0.14), 1, paint, columns=2
        ),
        box((-w / 2, -d / 2, h - 0.12), (w / 2, d / 2, h - 0.08), WHITE),
        box((-w / 2, -d / 2, h - 0.08), (w / 2, -d / 2 + 0.04, h), WHITE),
        box((-w / 2, d / 2 - 0.12, h - 0.08), (w / 2, d / 2, h), WHITE),
        box((-w / 2, -d / 2, h - 0.08), (-w / 2 + 0.04, d / 2, h), WHITE),
        box((w / 2 - 0.04, -d / 2, h - 0.08), (w / 2, d / 2, h), WHITE),
        upright("cylinder", (0, d / 2 - 0.06), 0.018, (h, h + 0.2), CHROME),
        box((-0.015, d / 2 - 0.2, h + 0.17), (0.015, d / 2 - 0.05, h + 0.2), CHROME),
    ]


def toilet(rng: Rng) -> list[Part]:
    """Bowl in front, cistern at the back."""
    h, w = metres(rng, 0.39, 0.43), metres(rng, 0.36, 0.40)
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
    w, d, h, rim = metres(rng, 1.5, 1.8), metres(rng, 0.7, 0.8), metres(rng, 0.52, 0.6), 0.07
    return [
        box((-w / 2, -d / 2, 0), (w / 2, d / 2, 0.15), WHITE),
        box((-w / 2, -d / 2, 0.15), (w / 2, -d / 2 + rim, h), WHITE),
        box((-w / 2, d / 2 - rim, 0.15), (w / 2, d / 2, h), WHITE),
        box((-w / 2, -d / 2 + rim, 0.15), (-w / 2 + rim, d / 2 - rim, h), WHITE),
        box((w / 2 - rim, -d / 2 + rim, 0.15), (w / 2, d / 2 - rim, h), WHITE),
        upright("cylinder", (-w / 2 + 0.04, 0), 0.02, (h, h + 0.16), CHROME),
        box((-w / 2 + 0.03, -0.02, h + 0.13), (-w / 2 + 0.18, 0.02, h + 0.16), CHROME),
    ]
