"""Free floor: how far points are from walls and from the things that stand in the way.

Legend: P corners, E edges, S points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geovr.simulation.rooms.world import FloatArray, FurnishedRoom

LOWEST_OBSTACLE, HIGHEST_OBSTACLE = 0.05, 0.6
"""A thing is in a robot's way unless its top is below the first (a rug) or its bottom above the
second (a lamp, a picture); metres."""
STANDS_BELOW = 0.05
"""A thing stands on the floor when its bottom is not higher; metres."""


@dataclass(frozen=True)
class Outline:
    """A convex polygon on the floor, counter-clockwise."""

    corners_P2: FloatArray

    def distance(self, points_S2: FloatArray) -> FloatArray:
        """Metres from each point to the polygon, 0 inside, (S,)."""
        start_E2 = self.corners_P2
        edge_E2 = np.roll(start_E2, -1, axis=0) - start_E2
        offset_SE2 = points_S2[:, None] - start_E2
        left = edge_E2[:, 0] * offset_SE2[..., 1] - edge_E2[:, 1] * offset_SE2[..., 0] >= 0
        inside = left.all(axis=1)
        return np.where(inside, 0.0, _to_edges(offset_SE2, edge_E2).min(axis=1))


@dataclass(frozen=True)
class Floor:
    """A room's floor and the outlines of what stands on it, by the thing's number."""

    corners_P2: FloatArray
    obstacles: dict[int, Outline]
    standing: frozenset[int]

    @classmethod
    def of(cls, room: FurnishedRoom) -> Floor:
        """Of a room: obstacles' outlines are the convex hulls of their vertices."""
        heights = [
            (float(t.vertices_V3[:, 2].min()), float(t.vertices_V3[:, 2].max()))
            for t in room.things
        ]
        obstacles = {
            index: Outline(convex_hull(thing.vertices_V3[:, :2]))
            for index, thing in enumerate(room.things)
            if heights[index][1] > LOWEST_OBSTACLE and heights[index][0] < HIGHEST_OBSTACLE
        }
        standing = frozenset(index for index in obstacles if heights[index][0] <= STANDS_BELOW)
        return cls(room.floor_P2, obstacles, standing)

    def room_around(self, points_S2: FloatArray) -> FloatArray:
        """Metres from each point to the nearest wall or obstacle, 0 outside the room, (S,)."""
        start_E2 = self.corners_P2
        edge_E2 = np.roll(start_E2, -1, axis=0) - start_E2
        offset_SE2 = points_S2[:, None] - start_E2
        walls_S = _to_edges(offset_SE2, edge_E2).min(axis=1)
        nearest_S = np.where(inside_polygon(points_S2, self.corners_P2), walls_S, 0.0)
        for outline in self.obstacles.values():
            nearest_S = np.minimum(nearest_S, outline.distance(points_S2))
        return nearest_S


def _to_edges(offset_SE2: FloatArray, edge_E2: FloatArray) -> FloatArray:
    squared = np.maximum((edge_E2**2).sum(axis=-1), 1e-18)
    along = np.clip((offset_SE2 * edge_E2).sum(axis=-1) / squared, 0.0, 1.0)
    distance: FloatArray = np.linalg.norm(offset_SE2 - along[..., None] * edge_E2, axis=-1)
    return distance


def inside_polygon(points_S2: FloatArray, corners_P2: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether points lie in a simple polygon: a ray to the right crosses its edges an odd number
    of times.
    """
    end_P2 = np.roll(corners_P2, -1, axis=0)
    y_S1 = points_S2[:, 1:]
    straddles = (corners_P2[:, 1] > y_S1) != (end_P2[:, 1] > y_S1)
    rise = np.where(straddles, end_P2[:, 1] - corners_P2[:, 1], 1.0)
    run = end_P2[:, 0] - corners_P2[:, 0]
    crossing = corners_P2[:, 0] + (y_S1 - corners_P2[:, 1]) / rise * run
    return np.asarray((straddles & (points_S2[:, :1] < crossing)).sum(axis=1) % 2 == 1)


def convex_hull(points_S2: FloatArray) -> FloatArray:
    """Corners of the convex hull, counter-clockwise, by Andrew's monotone chain."""
    points = [(float(x), float(y)) for x, y in np.unique(points_S2.round(6), axis=0)]
    if len(points) < 3:
        return np.array(points)
    halves = []
    for ordered in (points, points[::-1]):
        chain: list[tuple[float, float]] = []
        for point in ordered:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        halves += chain[:-1]
    return np.array(halves)


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
