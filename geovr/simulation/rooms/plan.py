"""A room's plan: its floor, walls, door and windows, and what is free on the floor.

World: metres, origin at the middle of the bounding rectangle. Legend: P corners, G grid cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from geovr.simulation.rooms.world import FloatArray

RoomType = Literal["living room", "bedroom", "office", "kitchen", "bathroom"]
SIDES_M: dict[RoomType, tuple[float, float]] = {
    "living room": (4.2, 6.6), "bedroom": (3.6, 5.4), "office": (3.8, 6.4), "kitchen": (3.6, 5.4),
    "bathroom": (3.0, 4.2),
}  # fmt: skip
HEIGHT_M = (2.45, 3.0)
L_SHAPED = 0.3
"""Share of the rooms with a corner cut off, bathrooms excepted."""
DOOR_M = (0.9, 2.05)
DOOR_ZONE_M = 0.8


@dataclass(frozen=True)
class Opening:
    """A door or window: its place along a wall from `start` to `end`, and its heights, metres."""

    kind: Literal["door", "window"]
    wall: int
    start: float
    end: float
    low: float
    high: float


@dataclass(frozen=True)
class Plan:
    """The shell without its looks. Wall k runs from corner k to corner k + 1."""

    type: RoomType
    floor_P2: FloatArray
    notch: tuple[float, float, float, float] | None
    """x and y from, x and y to, of the corner that is cut off."""
    height: float
    openings: tuple[Opening, ...]

    def wall(self, index: int) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        """First corner, direction, inward normal and length of a wall."""
        begin = self.floor_P2[index]
        along = self.floor_P2[(index + 1) % len(self.floor_P2)] - begin
        length = float(np.hypot(*along))
        direction = along / length
        # the floor lies to the left of its edges
        return begin, direction, np.array([-direction[1], direction[0]]), length

    def rectangles(self) -> list[tuple[float, float, float, float]]:
        """The floor as one or two rectangles that don't overlap: x, y from; x, y to."""
        low, high = self.floor_P2.min(axis=0), self.floor_P2.max(axis=0)
        if self.notch is None:
            return [(low[0], low[1], high[0], high[1])]
        x0, y0, x1, y1 = self.notch
        beside = (x1, high[0]) if x0 <= low[0] else (low[0], x0)
        above = (y1, high[1]) if y0 <= low[1] else (low[1], y0)
        return [(beside[0], low[1], beside[1], high[1]), (x0, above[0], x1, above[1])]

    def wall_distance(self, points_G2: FloatArray) -> FloatArray:
        """Metres to the nearest wall; negative outside of the room."""
        low, high = self.floor_P2.min(axis=0), self.floor_P2.max(axis=0)
        distance: FloatArray = np.minimum(points_G2 - low, high - points_G2).min(axis=1)
        if self.notch is not None:
            distance = np.minimum(distance, box_distance(points_G2, self.notch))
        return distance


def box_distance(points_G2: FloatArray, box: tuple[float, float, float, float]) -> FloatArray:
    """Metres to a rectangle; negative inside of it."""
    low, high = np.array(box[:2]), np.array(box[2:])
    outside = np.maximum(low - points_G2, points_G2 - high)
    gone = np.maximum(outside, 0.0)
    distance: FloatArray = np.where(
        (outside < 0).all(axis=1), outside.max(axis=1), np.hypot(gone[:, 0], gone[:, 1])
    )
    return distance


def draw_plan(rng: np.random.Generator) -> Plan:
    """A room of some type, size and shape, with a door and one or two windows."""
    kinds = tuple(SIDES_M)
    kind = kinds[int(rng.choice(len(kinds), p=[0.3, 0.22, 0.2, 0.18, 0.1]))]
    width, depth = (float(side) for side in rng.uniform(*SIDES_M[kind], 2))
    x, y = width / 2, depth / 2
    corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    notch = None
    if kind != "bathroom" and min(width, depth) > 4.2 and rng.random() < L_SHAPED:
        cut = np.array([width, depth]) * rng.uniform(0.28, 0.42, 2)
        index = int(rng.integers(4))
        corner = corners[index]
        inner = corner - np.sign(corner) * cut
        before, after = corners[index - 1], corners[(index + 1) % 4]
        # along the edges that meet at the corner
        first = np.where(np.isclose(before, corner), corner, inner)
        second = np.where(np.isclose(after, corner), corner, inner)
        corners = np.insert(
            np.delete(corners, index, axis=0), index, [first, inner, second], axis=0
        )
        low, high = np.minimum(corner, inner), np.maximum(corner, inner)
        notch = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    plan = Plan(kind, corners, notch, float(rng.uniform(*HEIGHT_M)), ())
    return Plan(kind, corners, notch, plan.height, _openings(plan, rng))


def _openings(plan: Plan, rng: np.random.Generator) -> tuple[Opening, ...]:
    lengths = [plan.wall(index)[3] for index in range(len(plan.floor_P2))]
    order = [int(i) for i in rng.permutation(len(lengths)) if lengths[int(i)] > 2.0]
    found = []
    width, high = DOOR_M
    door = order[0]
    # near a corner, where doors are, so that a wall is left for furniture
    start = 0.25 if rng.random() < 0.5 else lengths[door] - 0.25 - width
    found.append(Opening("door", door, start, start + width, 0.0, high))
    for wall in order[1 : 2 + int(rng.random() < 0.5)]:
        wide = float(rng.uniform(0.9, min(1.9, lengths[wall] - 0.8)))
        start = float(rng.uniform(0.4, lengths[wall] - 0.4 - wide))
        low = float(rng.uniform(0.85, 1.0))
        found.append(
            Opening("window", wall, start, start + wide, low, low + float(rng.uniform(1.0, 1.3)))
        )
    return tuple(found)
