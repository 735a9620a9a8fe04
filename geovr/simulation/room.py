"""A room: its size, its floor and wall patterns, and furniture that leaves the walk free."""

from __future__ import annotations

from colorsys import hsv_to_rgb
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geovr.simulation.furniture import BY_NAME, CATEGORIES, Category
from geovr.simulation.walk import Walk, sample_walk

FloatArray = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

SIDE_M = (3.5, 9.0)
HEIGHT_M = (2.4, 3.4)
TILE_M = (0.3, 1.2)
STRIPE_M = (0.2, 0.8)
WALL_HUES = np.array([0.60, 0.10, 0.35, 0.85])
"""Of the walls at -x, +x, -y and +y."""
WALK_CLEARANCE_M = 0.40
GAP_M = 0.12
TRIES = 24


@dataclass(frozen=True)
class Piece:
    """A piece of furniture standing on the floor.

    `centre_xy` in metres; `size` is width, depth, height along its own axes; `quarter_turns`
    counts turns of 90 degrees counter-clockwise; `shade` darkens its category's colour.
    """

    category: str
    centre_xy: tuple[float, float]
    size: tuple[float, float, float]
    quarter_turns: int
    shade: float

    @property
    def half_extent(self) -> tuple[float, float]:
        """Half of its footprint along the room's x and y, metres."""
        width, depth, _ = self.size
        return (depth / 2, width / 2) if self.quarter_turns % 2 else (width / 2, depth / 2)


@dataclass(frozen=True)
class Room:
    """A box of `width` (x) by `depth` (y) by `height` (z) metres around the origin, furnished."""

    width: float
    depth: float
    height: float
    tile: float
    stripe: float
    floor_colours: tuple[Colour, Colour]
    wall_colours: tuple[Colour, Colour, Colour, Colour]
    """Of the walls at -x, +x, -y and +y; every second stripe is darker."""
    ceiling_colour: Colour
    lamp_xyz: tuple[float, float, float]
    pieces: tuple[Piece, ...]


def _pale(rng: np.random.Generator, low: float, high: float) -> Colour:
    """A weakly saturated colour, so that furniture is what stands out."""
    base = rng.uniform(low, high)
    red, green, blue = np.clip(base + rng.uniform(-0.05, 0.05, 3), 0.0, 1.0)
    return float(red), float(green), float(blue)


def _wall_colours(rng: np.random.Generator) -> tuple[Colour, Colour, Colour, Colour]:
    """Four tints by the compass, as daylight tints the sides of a house.

    A glance then tells where the camera looks. With walls of one colour a model of a million
    weights learnt nothing of its way within a study's steps (docs/decisions/0042-studies.md).
    """
    hue = WALL_HUES + rng.uniform(-0.06, 0.06, 4)
    saturation, value = rng.uniform(0.22, 0.42, 4), rng.uniform(0.58, 0.80, 4)
    a, b, c, d = (hsv_to_rgb(h % 1, s, v) for h, s, v in zip(hue, saturation, value, strict=True))
    return a, b, c, d


def _free(piece: Piece, placed: list[Piece], trace_M2: FloatArray) -> bool:
    half = np.array(piece.half_extent)
    centre = np.array(piece.centre_xy)
    outside_M2 = np.maximum(np.abs(trace_M2 - centre) - half, 0.0)
    if float(np.hypot(outside_M2[:, 0], outside_M2[:, 1]).min()) < WALK_CLEARANCE_M:
        return False
    return all(
        abs(centre[0] - other.centre_xy[0]) >= half[0] + other.half_extent[0] + GAP_M
        or abs(centre[1] - other.centre_xy[1]) >= half[1] + other.half_extent[1] + GAP_M
        for other in placed
    )


def _propose(rng: np.random.Generator, category: Category, width: float, depth: float) -> Piece:
    size = tuple(float(s) for s in np.array(category.size_m) * rng.uniform(0.88, 1.14, 3))
    turns = int(rng.integers(4))
    shade = float(rng.uniform(0.85, 1.0))
    piece = Piece(category.name, (0.0, 0.0), (size[0], size[1], size[2]), turns, shade)
    half_x, half_y = piece.half_extent
    room_x, room_y = width / 2 - half_x - 0.02, depth / 2 - half_y - 0.02
    if room_x <= 0 or room_y <= 0:
        room_x = room_y = 0.0
    x, y = float(rng.uniform(-room_x, room_x)), float(rng.uniform(-room_y, room_y))
    if category.by_wall:
        # The back (+y before turning) stands against the wall it points at.
        x, y = ((x, room_y), (-room_x, y), (x, -room_y), (room_x, y))[turns]
    return Piece(category.name, (x, y), piece.size, turns, shade)


def _furnish(
    rng: np.random.Generator, width: float, depth: float, trace_M2: FloatArray
) -> tuple[Piece, ...]:
    weights = np.array([category.weight for category in CATEGORIES])
    kinds = int(rng.integers(3, 6))
    chosen = rng.choice(len(CATEGORIES), kinds, replace=False, p=weights / weights.sum())
    placed: list[Piece] = []
    for index in chosen:
        category = CATEGORIES[int(index)]
        for _ in range(int(rng.integers(1, category.most + 1))):
            for _ in range(TRIES):
                piece = _propose(rng, category, width, depth)
                if _free(piece, placed, trace_M2):
                    placed.append(piece)
                    break
    return tuple(placed)


def sample_room(
    rng: np.random.Generator, frames: int, turn_class: int, height_m: tuple[float, float] = HEIGHT_M
) -> tuple[Room, Walk]:
    """A furnished room and a walk of `frames` poses through it, all drawn from `rng`."""
    width, depth = (float(side) for side in rng.uniform(*SIDE_M, 2))
    height = float(rng.uniform(*height_m))
    walk = sample_walk(rng, width, depth, frames, turn_class)
    dark = rng.uniform(0.45, 0.70)
    floor = _pale(rng, 0.40, 0.62)
    return (
        Room(
            width=width,
            depth=depth,
            height=height,
            tile=float(rng.uniform(*TILE_M)),
            stripe=float(rng.uniform(*STRIPE_M)),
            floor_colours=(floor, (floor[0] * dark, floor[1] * dark, floor[2] * dark)),
            wall_colours=_wall_colours(rng),
            ceiling_colour=_pale(rng, 0.80, 0.92),
            lamp_xyz=(
                float(rng.uniform(-0.2, 0.2)) * width,
                float(rng.uniform(-0.2, 0.2)) * depth,
                height - 0.15,
            ),
            pieces=_furnish(rng, width, depth, walk.trace_M2),
        ),
        walk,
    )


def piece_colour(piece: Piece) -> str:
    """The colour name of a piece, which is its category's."""
    return BY_NAME[piece.category].colour
