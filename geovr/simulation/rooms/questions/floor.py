"""Free floor: how far points are from walls and from the things that stand in the way.

Legend: P corners, E edges, O obstacles, S points.
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
class Outlines:
    """Convex polygons on the floor, counter-clockwise, one after another."""

    start_E2: FloatArray
    edge_E2: FloatArray
    first_O: npt.NDArray[np.int64]
    """The first edge of each polygon."""

    @classmethod
    def of(cls, polygons: list[FloatArray]) -> Outlines:
        """Join polygons, each given by its corners."""
        edges = [np.roll(corners_P2, -1, axis=0) - corners_P2 for corners_P2 in polygons]
        counts = [0, *(len(corners_P2) for corners_P2 in polygons[:-1])]
        return cls(np.concatenate(polygons), np.concatenate(edges), np.cumsum(counts))

    def distance(self, points_S2: FloatArray) -> FloatArray:
        """Metres from each point to each polygon, 0 inside, (S, O)."""
        offset_SE2 = points_S2[:, None] - self.start_E2
        x_E, y_E = self.edge_E2.T
        left_SE = x_E * offset_SE2[..., 1] - y_E * offset_SE2[..., 0] >= 0
        inside_SO = np.logical_and.reduceat(left_SE, self.first_O, axis=1)
        edges_SO = np.minimum.reduceat(_to_edges(offset_SE2, self.edge_E2), self.first_O, axis=1)
        return np.where(inside_SO, 0.0, edges_SO)


@dataclass(frozen=True)
class Floor:
    """A room's floor and the outlines of what stands on it."""

    corners_P2: FloatArray
    outlines: Outlines
    obstacles: tuple[int, ...]
    """The number of the thing that each outline belongs to."""
    standing: frozenset[int]
    """Things that stand on the floor: one can go there."""

    @classmethod
    def of(cls, room: FurnishedRoom) -> Floor | None:
        """Of a room: outlines are the convex hulls of things' vertices; None for an empty floor."""
        low_K = [float(thing.vertices_V3[:, 2].min()) for thing in room.things]
        high_K = [float(thing.vertices_V3[:, 2].max()) for thing in room.things]
        obstacles = tuple(
            index
            for index in range(len(room.things))
            if high_K[index] > LOWEST_OBSTACLE and low_K[index] < HIGHEST_OBSTACLE
        )
        if not obstacles:
            return None
        outlines = Outlines.of([convex_hull(room.things[i].vertices_V3[:, :2]) for i in obstacles])
        standing = frozenset(index for index in obstacles if low_K[index] <= STANDS_BELOW)
        return cls(room.floor_P2, outlines, obstacles, standing)

    def from_things(self, points_S2: FloatArray) -> FloatArray:
        """Metres from each point to each obstacle, 0 inside, (S, O)."""
        return self.outlines.distance(points_S2)

    def from_walls(self, points_S2: FloatArray) -> FloatArray:
        """Metres from each point to the nearest wall, 0 outside the room, (S,)."""
        edge_E2 = np.roll(self.corners_P2, -1, axis=0) - self.corners_P2
        walls_S = _to_edges(points_S2[:, None] - self.corners_P2, edge_E2).min(axis=1)
        return np.where(inside_polygon(points_S2, self.corners_P2), walls_S, 0.0)


def _to_edges(offset_SE2: FloatArray, edge_E2: FloatArray) -> FloatArray:
    squared = np.maximum((edge_E2**2).sum(axis=-1), 1e-18)
    along = offset_SE2[..., 0] * edge_E2[:, 0] + offset_SE2[..., 1] * edge_E2[:, 1]
    along = np.clip(along / squared, 0.0, 1.0)
    gap_SE2 = offset_SE2 - along[..., None] * edge_E2
    distance: FloatArray = np.hypot(gap_SE2[..., 0], gap_SE2[..., 1])
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
