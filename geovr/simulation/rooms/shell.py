"""Floor, ceiling, walls, door and windows as triangles, and the patterns on them.

Legend: F faces, R rays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geovr.simulation.rooms.materials import PAINTS, WOODS, darker, pick
from geovr.simulation.rooms.plan import Opening, Plan
from geovr.simulation.rooms.shapes import Colour
from geovr.simulation.rooms.world import Float32Array, FloatArray

Rng = np.random.Generator
PLAIN, FLOOR, CEILING, WALL, PANE = range(5)
"""What a face is painted with: its own colour, a pattern, or the sky behind a window."""
OVERLAP_M = 0.02
"""Planes reach into each other, so that no ray slips out at an edge."""
SKIRTING_M = 0.08


@dataclass(frozen=True)
class Shell:
    """Triangles of the shell, and how its surfaces look."""

    corners_F33: FloatArray
    material_F: npt.NDArray[np.int64]
    colour_F3: Float32Array
    floor_pattern: str
    floor_colours: tuple[Colour, Colour]
    floor_size: float
    wall_pattern: str
    wall_colours: tuple[Colour, Colour]
    wall_size: float
    lamp_3: FloatArray
    windows: tuple[tuple[FloatArray, FloatArray], ...]
    """Middle and inward normal of each."""
    daylight: float


def build_shell(plan: Plan, rng: Rng) -> Shell:
    """The shell of a plan, with floor and walls in one of several patterns."""
    parts: list[tuple[FloatArray, int, Colour]] = []
    for x0, y0, x1, y1 in plan.rectangles():
        low, high = np.array([x0, y0]) - OVERLAP_M, np.array([x1, y1]) + OVERLAP_M
        square = [[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]]
        for z, material in ((0.0, FLOOR), (plan.height, CEILING)):
            parts += _quad(np.array([[x, y, z] for x, y in square]), material, (0.8, 0.8, 0.8))
    for index in range(len(plan.floor_P2)):
        begin, along, _, length = plan.wall(index)
        ends = begin - along * OVERLAP_M, begin + along * (length + OVERLAP_M)
        parts += _quad(
            np.array(
                [[*ends[0], 0], [*ends[1], 0], [*ends[1], plan.height], [*ends[0], plan.height]]
            ),
            WALL,
            (0.8, 0.8, 0.8),
        )
    frame = pick(rng, (PAINTS[0], PAINTS[1], WOODS[1], WOODS[3]))
    windows = []
    for opening in plan.openings:
        parts += (
            _door(plan, opening, frame, rng)
            if opening.kind == "door"
            else _window(plan, opening, frame)
        )
        if opening.kind == "window":
            begin, along, inward, _ = plan.wall(opening.wall)
            middle = begin + along * (opening.start + opening.end) / 2
            windows.append(
                (np.array([*middle, (opening.low + opening.high) / 2]), np.array([*inward, 0.0]))
            )
    lamp = max(plan.rectangles(), key=lambda r: (r[2] - r[0]) * (r[3] - r[1]))
    patterns = (
        ("tiles",)
        if plan.type in ("bathroom", "kitchen")
        else ("planks", "planks", "carpet", "tiles")
    )
    floor = patterns[int(rng.integers(len(patterns)))]
    ground = {
        "planks": pick(rng, WOODS),
        "tiles": pick(rng, ((0.62, 0.60, 0.56), (0.40, 0.40, 0.42), (0.70, 0.66, 0.58))),
        "carpet": pick(rng, ((0.30, 0.28, 0.26), (0.22, 0.26, 0.34), (0.40, 0.32, 0.24))),
    }[floor]
    wall = pick(
        rng,
        (
            (0.72, 0.70, 0.64),
            (0.58, 0.64, 0.62),
            (0.62, 0.66, 0.72),
            (0.74, 0.66, 0.54),
            (0.70, 0.70, 0.70),
        ),
    )
    return Shell(
        np.stack([corners for corners, _, _ in parts]),
        np.array([material for _, material, _ in parts]),
        np.array([colour for _, _, colour in parts], np.float32),
        floor,
        (ground, darker(ground, float(rng.uniform(0.72, 0.88)))),
        {"planks": 0.14, "tiles": float(rng.uniform(0.3, 0.6)), "carpet": 0.05}[floor],
        str(rng.choice(["plaster", "stripes", "plaster"])),
        (wall, darker(wall, float(rng.uniform(0.86, 0.94)))),
        float(rng.uniform(0.08, 0.25)),
        np.array([(lamp[0] + lamp[2]) / 2, (lamp[1] + lamp[3]) / 2, plan.height - 0.25]),
        tuple(windows),
        float(rng.uniform(0.5, 1.2)),
    )


def _quad(
    corners_43: FloatArray, material: int, colour: Colour
) -> list[tuple[FloatArray, int, Colour]]:
    return [(corners_43[[0, 1, 2]], material, colour), (corners_43[[0, 2, 3]], material, colour)]


def _slab(
    plan: Plan,
    wall: int,
    span: tuple[float, float],
    z: tuple[float, float],
    out: float,
    material: int,
    colour: Colour,
) -> list[tuple[FloatArray, int, Colour]]:
    """A block on a wall that stands out by `out` metres; its back is left open."""
    begin, along, inward, _ = plan.wall(wall)
    corners = np.array(
        [[*(begin + along * s + inward * o), h] for o in (0.0, out) for h in z for s in span]
    )
    sides = ((4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 4, 6, 2), (1, 5, 7, 3))
    return [face for side in sides for face in _quad(corners[list(side)], material, colour)]


def _frame(
    plan: Plan, opening: Opening, colour: Colour, wide: float
) -> list[tuple[FloatArray, int, Colour]]:
    s, e, low, high = opening.start, opening.end, opening.low, opening.high
    bars = [
        ((s - wide, s), (low, high)),
        ((e, e + wide), (low, high)),
        ((s - wide, e + wide), (high, high + wide)),
    ]
    if opening.kind == "window":
        bars.append(((s - wide, e + wide), (low - wide, low)))
        middle = (s + e) / 2
        bars.append(((middle - wide / 3, middle + wide / 3), (low, high)))
    return [
        face for span, z in bars for face in _slab(plan, opening.wall, span, z, 0.03, PLAIN, colour)
    ]


def _door(
    plan: Plan, opening: Opening, frame: Colour, rng: Rng
) -> list[tuple[FloatArray, int, Colour]]:
    leaf = pick(rng, (PAINTS[0], WOODS[1], WOODS[3], WOODS[0]))
    s, e, wall = opening.start, opening.end, opening.wall
    parts = _frame(plan, opening, frame, 0.07)
    parts += _slab(plan, wall, (s, e), (0.0, opening.high), 0.012, PLAIN, leaf)
    for low, high in ((0.25, 0.9), (1.1, opening.high - 0.2)):
        parts += _slab(
            plan, wall, (s + 0.14, e - 0.14), (low, high), 0.02, PLAIN, darker(leaf, 0.9)
        )
    return parts + _slab(
        plan, wall, (e - 0.12, e - 0.03), (1.0, 1.03), 0.06, PLAIN, (0.5, 0.5, 0.5)
    )


def _window(plan: Plan, opening: Opening, frame: Colour) -> list[tuple[FloatArray, int, Colour]]:
    span, z = (opening.start, opening.end), (opening.low, opening.high)
    return _frame(plan, opening, frame, 0.06) + _slab(
        plan, opening.wall, span, z, 0.006, PANE, (1.0, 1.0, 1.0)
    )


def paint(
    shell: Shell,
    material_R: npt.NDArray[np.int64],
    point_R3: Float32Array,
    normal_R3: Float32Array,
    colour_R3: Float32Array,
) -> Float32Array:
    """Reflectance of what rays hit; the sky of panes is above 1."""
    painted = colour_R3.copy()
    rows = np.flatnonzero(material_R == FLOOR)
    painted[rows] = _FLOORS[shell.floor_pattern](point_R3[rows, :2], shell)
    rows = np.flatnonzero(material_R == CEILING)
    painted[rows] = np.float32(0.86)
    rows = np.flatnonzero(material_R == WALL)
    if len(rows):
        x_wall = np.abs(normal_R3[rows, 0]) > 0.5
        across = np.where(x_wall, point_R3[rows, 1], point_R3[rows, 0])
        painted[rows] = _wall(across, point_R3[rows, 2], shell)
    rows = np.flatnonzero(material_R == PANE)
    height = np.clip((point_R3[rows, 2] - 0.9) / 1.3, 0, 1)[:, None]
    sky, ground = np.array([0.9, 1.15, 1.5], np.float32), np.array([0.75, 0.8, 0.7], np.float32)
    painted[rows] = (ground + (sky - ground) * height) * np.float32(0.6 + 0.5 * shell.daylight)
    return painted


def noise(cells_R2: npt.NDArray[np.int64]) -> Float32Array:
    """A number from 0 to 1 for each cell, the same on every machine."""
    mixed = cells_R2[:, 0] * 374761393 + cells_R2[:, 1] * 668265263
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    return ((mixed & 0xFFFF) / np.float32(65535)).astype(np.float32)


def _float32(values: npt.NDArray[Any]) -> Float32Array:
    return values.astype(np.float32)


def _cells(point_R2: Float32Array, size_2: tuple[float, float]) -> npt.NDArray[np.int64]:
    return np.floor(point_R2 / np.array(size_2, np.float32)).astype(np.int64)


def _planks(point_R2: Float32Array, shell: Shell) -> Float32Array:
    row = np.floor(point_R2[:, 1] / np.float32(shell.floor_size)).astype(np.int64)
    shifted = point_R2[:, 0] + noise(np.stack([row, row * 7], 1)) * 1.3
    plank = np.stack([np.floor(shifted / 1.3).astype(np.int64), row], 1)
    tone = 0.78 + 0.34 * noise(plank)
    grain = 0.95 + 0.1 * noise(_cells(point_R2, (0.09, 0.012)))
    seam = (np.mod(point_R2[:, 1], shell.floor_size) < 0.006) | (np.mod(shifted, 1.3) < 0.006)
    tone = tone * grain * np.where(seam, 0.55, 1.0)
    return _float32(tone[:, None] * np.array(shell.floor_colours[0]))


def _tiles(point_R2: Float32Array, shell: Shell) -> Float32Array:
    cell = _cells(point_R2, (shell.floor_size, shell.floor_size))
    odd = ((cell.sum(axis=1) & 1) == 1)[:, None]
    colour = np.where(odd, np.array(shell.floor_colours[0]), np.array(shell.floor_colours[1]))
    joint = (np.mod(point_R2, shell.floor_size) < 0.008).any(axis=1)
    tone = (0.94 + 0.1 * noise(cell)) * np.where(joint, 0.7, 1.0)
    return _float32(colour * tone[:, None])


def _carpet(point_R2: Float32Array, shell: Shell) -> Float32Array:
    tone = 0.85 + 0.3 * noise(_cells(point_R2, (0.02, 0.02)))
    tone = tone * (0.94 + 0.12 * noise(_cells(point_R2, (0.35, 0.35))))
    return _float32(tone[:, None] * np.array(shell.floor_colours[0]))


_FLOORS: dict[str, Callable[[Float32Array, Shell], Float32Array]] = {
    "planks": _planks,
    "tiles": _tiles,
    "carpet": _carpet,
}


def _wall(across_R: Float32Array, up_R: Float32Array, shell: Shell) -> Float32Array:
    point = np.stack([across_R, up_R], axis=1)
    tone = 0.97 + 0.06 * noise(_cells(point, (0.03, 0.03)))
    colour = np.repeat(np.array(shell.wall_colours[0])[None], len(point), axis=0)
    if shell.wall_pattern == "stripes":
        odd = (np.floor(across_R / np.float32(shell.wall_size)).astype(np.int64) & 1) == 1
        colour[odd] = shell.wall_colours[1]
    colour = colour * tone[:, None]
    colour[up_R < SKIRTING_M] = (0.78, 0.77, 0.74)
    return _float32(colour)
