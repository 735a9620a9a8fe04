"""A hand-held walk through a furnished room: along free floor, past its regions, looking around.

Legend: N frames, G grid cells, M points of a path.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geovr.simulation.rooms.arrange import Spot
from geovr.simulation.rooms.plan import Plan
from geovr.simulation.rooms.world import FloatArray, Thing
from geovr.simulation.walk import look

CELL_M = 0.1
CLEARANCE_M = 0.30
"""Of the camera to walls and furniture, of any height: a person's body is in the way."""
EYE_HEIGHT_M = (1.35, 1.75)
SPEED_M_S = (0.35, 0.6)
HFOV_DEG = (64.0, 78.0)
MOST_TURN_DEG_S = 40.0
LEAST_FLOOR_M2 = 1.5
WAYPOINTS = 5


@dataclass(frozen=True)
class Stroll:
    """Poses (N, 4, 4) camera-from-world, and the horizontal field of view in radians."""

    camera_from_world_N44: FloatArray
    hfov: float


@dataclass(frozen=True)
class FreeFloor:
    """Cells where a person can stand: their centres, and metres to what is nearest."""

    centres_HW2: FloatArray
    clearance_HW: FloatArray
    free_HW: npt.NDArray[np.bool_]
    inside_HW: npt.NDArray[np.bool_]


def free_floor(plan: Plan, things: tuple[Thing, ...]) -> FreeFloor | None:
    """The largest connected region of free floor, None when there is no room to walk."""
    low, high = plan.floor_P2.min(axis=0), plan.floor_P2.max(axis=0)
    x = np.arange(low[0] + CELL_M / 2, high[0], CELL_M)
    y = np.arange(low[1] + CELL_M / 2, high[1], CELL_M)
    centres = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    points = centres.reshape(-1, 2)
    clearance = plan.wall_distance(points)
    inside = (clearance > 0).reshape(centres.shape[:2])
    for thing in things:
        clearance = np.minimum(clearance, _spot(thing).distance(points))
    clearance_HW = clearance.reshape(centres.shape[:2])
    region = _largest_region(clearance_HW >= CLEARANCE_M)
    if region.sum() * CELL_M**2 < LEAST_FLOOR_M2:
        return None
    return FreeFloor(centres, clearance_HW, region, inside)


def _spot(thing: Thing) -> Spot:
    width, depth, height = thing.size_3
    x, y = float(thing.centre_3[0]), float(thing.centre_3[1])
    return Spot(x, y, width / 2, depth / 2, thing.yaw, height)


def _largest_region(free_HW: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    left = free_HW.copy()
    best: list[tuple[int, int]] = []
    while left.any():
        start = np.unravel_index(int(left.argmax()), left.shape)
        stack, region = [(int(start[0]), int(start[1]))], []
        left[stack[0]] = False
        while stack:
            cell = stack.pop()
            region.append(cell)
            for step in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                near = cell[0] + step[0], cell[1] + step[1]
                if 0 <= near[0] < left.shape[0] and 0 <= near[1] < left.shape[1] and left[near]:
                    left[near] = False
                    stack.append(near)
        best = max(best, region, key=len)
    found = np.zeros_like(free_HW)
    if best:
        found[tuple(np.array(best).T)] = True
    return found


def _ways(floor: FreeFloor, start: tuple[int, int]) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Dijkstra: cost to every cell, and the cell before each; narrow places cost more."""
    shape = floor.free_HW.shape
    cost = np.full(shape, np.inf)
    before = np.full((*shape, 2), -1, np.int64)
    cost[start] = 0.0
    queue = [(0.0, start)]
    while queue:
        so_far, cell = heapq.heappop(queue)
        if so_far > cost[cell]:
            continue
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                near = cell[0] + dx, cell[1] + dy
                if not (0 <= near[0] < shape[0] and 0 <= near[1] < shape[1]):
                    continue
                if (dx, dy) == (0, 0) or not floor.free_HW[near]:
                    continue
                step = CELL_M * float(np.hypot(dx, dy))
                reached = so_far + step * (1 + 0.25 / float(floor.clearance_HW[near]))
                if reached < cost[near] - 1e-12:
                    cost[near] = reached
                    before[near] = cell
                    heapq.heappush(queue, (reached, near))
    return cost, before


def draw_path(floor: FreeFloor, rng: np.random.Generator) -> FloatArray:
    """(M, 2) from one end of the free floor past its far places, 5 cm a step, smoothed."""
    cells = np.argwhere(floor.free_HW)
    start = tuple(int(v) for v in cells[int(rng.integers(len(cells)))])
    cost, _ = _ways(floor, start)  # type: ignore[arg-type]
    here = _farthest(cost)
    visited, points = [here], [here]
    nearest = np.full(cost.shape, np.inf)
    for _ in range(WAYPOINTS - 1):
        cost, before = _ways(floor, points[-1])
        nearest = np.minimum(nearest, np.where(np.isfinite(cost), cost, np.inf))
        goal = _farthest(nearest)
        if nearest[goal] < 1.0:
            break
        way = [goal]
        while way[-1] != points[-1]:
            cell = before[way[-1]]
            way.append((int(cell[0]), int(cell[1])))
        visited += way[::-1][1:]
        points.append(goal)
    path = floor.centres_HW2[tuple(np.array(visited).T)]
    return _smoothed(_resampled(path, 0.05), floor)


def _farthest(cost: FloatArray) -> tuple[int, int]:
    place = np.unravel_index(int(np.where(np.isfinite(cost), cost, -1.0).argmax()), cost.shape)
    return int(place[0]), int(place[1])


def _resampled(path_M2: FloatArray, step: float) -> FloatArray:
    if len(path_M2) < 2:
        return path_M2
    gone = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path_M2, axis=0).T))])
    at = np.arange(0.0, gone[-1] + step / 2, step)
    return np.stack([np.interp(at, gone, path_M2[:, k]) for k in (0, 1)], axis=1)


def _averaged(values_MK: FloatArray, reach: int) -> FloatArray:
    """Means over 2 reach + 1 neighbours; ends are repeated."""
    padded = np.pad(values_MK, ((reach, reach), (0, 0)), mode="edge")
    sums = np.cumsum(np.concatenate([np.zeros((1, padded.shape[1])), padded]), axis=0)
    width = 2 * reach + 1
    means: FloatArray = (sums[width:] - sums[:-width]) / width
    return means


def _smoothed(path_M2: FloatArray, floor: FreeFloor) -> FloatArray:
    """As smooth as the furniture allows."""
    for reach in (16, 10, 6, 3):
        path = _averaged(_averaged(path_M2, reach), reach)
        if float(clearance_at(path, floor).min()) >= CLEARANCE_M - CELL_M:
            return path
    return path_M2


def clearance_at(points_M2: FloatArray, floor: FreeFloor) -> FloatArray:
    """Metres to what is nearest, of the cell that each point is in."""
    cell = np.floor((points_M2 - floor.centres_HW2[0, 0]) / CELL_M + 0.5).astype(int)
    cell = np.clip(cell, 0, np.array(floor.free_HW.shape) - 1)
    clearance: FloatArray = floor.clearance_HW[cell[:, 0], cell[:, 1]]
    return clearance


def stroll(
    floor: FreeFloor, frames: int, fps: int, rng: np.random.Generator, around: float = 1.0
) -> Stroll:
    """Walk along a path while the video lasts, looking around.

    `around` widens how far to the sides one looks.
    """
    path = draw_path(floor, rng)
    seconds = frames / fps
    length = 0.05 * (len(path) - 1)
    speed = min(float(rng.uniform(*SPEED_M_S)), length / seconds)
    time_N = np.arange(frames) / fps
    fine = 8
    time_M = np.arange(frames * fine) / (fps * fine)
    gone_M = np.minimum(speed * time_M, length)
    place_M2 = np.stack(
        [np.interp(gone_M, 0.05 * np.arange(len(path)), path[:, k]) for k in (0, 1)], axis=1
    )
    middle_2 = floor.centres_HW2[floor.inside_HW].mean(axis=0)
    yaw_M = _looking(place_M2, middle_2, time_M, fps * fine, rng, around)
    eye = float(rng.uniform(*EYE_HEIGHT_M))
    pitch, sway = np.radians(rng.uniform(7, 13)), rng.uniform(0, 2 * np.pi, 6)
    poses = []
    for index, t in enumerate(time_N):
        x, y = place_M2[index * fine]
        bob = 0.012 * np.sin(2 * np.pi * 1.7 * t + sway[0])
        tilt = np.radians(1.2) * np.sin(2 * np.pi * 0.31 * t + sway[1])
        nod = np.radians(2.5) * np.sin(2 * np.pi * 0.23 * t + sway[2])
        shake = np.radians(0.5) * np.sin(2 * np.pi * 0.9 * t + sway[3])
        pose = look(
            np.array([x, y, eye + bob]), float(yaw_M[index * fine] + shake), float(pitch + nod)
        )
        poses.append(_rolled(pose, float(tilt)))
    return Stroll(np.stack(poses), float(np.radians(rng.uniform(*HFOV_DEG))))


def _looking(
    place_M2: FloatArray, middle_2: FloatArray, time_M: FloatArray, rate: int,
    rng: np.random.Generator, around: float,
) -> FloatArray:  # fmt: skip
    """Where one looks: into the room and ahead, swinging to both sides, as a calm hand turns."""
    ahead = np.gradient(_averaged(place_M2, rate // 2), axis=0)
    inward = middle_2 - place_M2
    # from near the middle there is no way into the room: one looks ahead
    reach_M = np.hypot(inward[:, 0], inward[:, 1])
    pace_M = np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)
    gaze = inward / np.maximum(reach_M, 0.9)[:, None] + 0.6 * ahead / pace_M[:, None]
    heading = np.unwrap(np.arctan2(gaze[:, 1], gaze[:, 0]))
    swing = around * np.radians(rng.uniform(40, 60))
    period, phase = rng.uniform(6, 9), rng.uniform(0, 2 * np.pi)
    yaw = heading + swing * np.sin(2 * np.pi * time_M / period + phase)
    width = rate // 2
    for _ in range(12):
        turned: FloatArray = _averaged(_averaged(yaw[:, None], width), width)[:, 0]
        if float(np.abs(np.diff(turned)).max()) * rate <= np.radians(MOST_TURN_DEG_S):
            return turned
        width = int(width * 1.4)
    return turned


def _rolled(pose_44: FloatArray, roll: float) -> FloatArray:
    """The camera turned about its own axis."""
    cos, sin = np.cos(roll), np.sin(roll)
    turned = pose_44.copy()
    turned[0] = cos * pose_44[0] - sin * pose_44[1]
    turned[1] = sin * pose_44[0] + cos * pose_44[1]
    return turned
