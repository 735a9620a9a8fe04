"""Furniture in its places: against walls, around tables, beside beds, with free floor to walk on.

Legend: G grid cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from geovr.simulation.rooms.plan import DOOR_ZONE_M, Plan, RoomType
from geovr.simulation.rooms.world import FloatArray, Model, Thing

Rng = np.random.Generator
Source = Callable[[str, Rng], Model | None]
"""A piece of a category, None when there is none of it."""
Where = Literal["wall", "corner", "free", "middle", "around table", "at desk", "beside bed"]

GAP_M, WALL_GAP_M = 0.04, 0.015
TRIES = 30
TALL_M = 1.0
"""What is taller stands before no window."""
MOST_THINGS = 40

PLANS: dict[RoomType, tuple[tuple[str, int, int, Where], ...]] = {
    "living room": (
        ("sofa", 1, 2, "wall"), ("tv", 1, 1, "wall"), ("bookshelf", 0, 2, "wall"),
        ("table", 1, 1, "middle"), ("chair", 2, 6, "around table"), ("lamp", 1, 2, "corner"),
        ("plant", 1, 3, "corner"), ("stool", 0, 2, "free"), ("trash bin", 0, 1, "corner"),
        ("dresser", 0, 1, "wall"),
    ),
    "bedroom": (
        ("bed", 1, 1, "wall"), ("wardrobe", 1, 2, "wall"), ("nightstand", 1, 2, "beside bed"),
        ("dresser", 0, 1, "wall"), ("desk", 0, 1, "wall"), ("chair", 0, 1, "at desk"),
        ("lamp", 1, 2, "corner"), ("plant", 0, 2, "corner"), ("suitcase", 0, 1, "corner"),
        ("trash bin", 0, 1, "corner"), ("tv", 0, 1, "wall"), ("stool", 0, 1, "free"),
    ),
    "office": (
        ("desk", 2, 4, "wall"), ("bookshelf", 1, 3, "wall"), ("chair", 2, 4, "at desk"),
        ("table", 0, 1, "middle"), ("stool", 0, 4, "around table"), ("sofa", 0, 1, "wall"),
        ("trash bin", 1, 3, "corner"), ("plant", 1, 3, "corner"), ("lamp", 0, 1, "corner"),
        ("suitcase", 0, 1, "corner"),
    ),
    "kitchen": (
        ("refrigerator", 1, 1, "wall"), ("stove", 1, 1, "wall"), ("sink", 1, 1, "wall"),
        ("washing machine", 0, 1, "wall"), ("table", 1, 1, "middle"),
        ("chair", 2, 6, "around table"), ("stool", 0, 2, "free"), ("trash bin", 1, 2, "corner"),
        ("plant", 0, 2, "corner"), ("bookshelf", 0, 1, "wall"),
    ),
    "bathroom": (
        ("bathtub", 1, 1, "wall"), ("toilet", 1, 1, "wall"), ("sink", 1, 2, "wall"),
        ("washing machine", 0, 1, "wall"), ("stool", 0, 1, "free"), ("trash bin", 0, 1, "corner"),
        ("plant", 0, 1, "corner"), ("lamp", 0, 1, "corner"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Spot:
    """A rectangle on the floor: middle, half of its width and depth, turn, and height."""

    x: float
    y: float
    half_width: float
    half_depth: float
    yaw: float
    height: float

    def axes(self) -> FloatArray:
        """Directions of its width and depth."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[cos, sin], [-sin, cos]])

    def corners(self) -> FloatArray:
        """Its four corners, (4, 2)."""
        across, along = self.axes() * np.array([[self.half_width], [self.half_depth]])
        middle = np.array([self.x, self.y])
        return np.stack([middle + sx * across + sy * along for sx, sy in
                         ((-1, -1), (1, -1), (1, 1), (-1, 1))])  # fmt: skip

    def distance(self, points_G2: FloatArray) -> FloatArray:
        """Metres of points to it, 0 inside."""
        offset = points_G2 - np.array([self.x, self.y])
        axes = self.axes()
        own = np.abs(np.stack([offset @ axes[0], offset @ axes[1]], axis=1))
        gone = np.maximum(own - np.array([self.half_width, self.half_depth]), 0.0)
        distance: FloatArray = np.hypot(gone[:, 0], gone[:, 1])
        return distance


def apart(one: Spot, other: Spot, gap: float) -> bool:
    """Whether two rectangles keep a distance, by the separating axis theorem."""
    a, b = one.corners(), other.corners()
    for axis in (*one.axes(), *other.axes()):
        first, second = a @ axis, b @ axis
        if first.min() - second.max() >= gap or second.min() - first.max() >= gap:
            return True
    return False


@dataclass
class Arrangement:
    """What stands in a room so far."""

    plan: Plan
    things: list[Thing] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    fronts: list[Spot] = field(default_factory=list)
    """Floor before doors."""

    def add(self, body: Model, x: float, y: float, yaw: float, gap: float = GAP_M) -> bool:
        """Place a piece if it fits there."""
        spot = Spot(x, y, body.size_3[0] / 2, body.size_3[1] / 2, yaw, body.size_3[2])
        if not self._fits(spot, gap):
            return False
        self.spots.append(spot)
        self.things.append(body.placed(x, y, yaw))
        return True

    def _fits(self, spot: Spot, gap: float) -> bool:
        if float(self.plan.wall_distance(spot.corners()).min()) < WALL_GAP_M / 2:
            return False
        if self.plan.notch is not None:
            x0, y0, x1, y1 = self.plan.notch
            notch = Spot((x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2, 0.0, 9.0)
            if not apart(spot, notch, WALL_GAP_M / 2):
                return False
        return all(apart(spot, other, gap) for other in self.spots) and all(
            apart(spot, front, 0.0) for front in self.fronts
        )

    def of(self, category: str) -> list[tuple[Thing, Spot]]:
        """What stands there of a category."""
        pairs = zip(self.things, self.spots, strict=True)
        return [pair for pair in pairs if pair[0].category == category]


def arrange(plan: Plan, source: Source, rng: Rng) -> tuple[Thing, ...]:
    """Furnish a room as its type asks; what finds no place stays out."""
    room = Arrangement(plan, fronts=_door_zones(plan))
    for category, least, most, where in PLANS[plan.type]:
        count = int(rng.integers(least, most + 1))
        if count:
            _PLACERS[where](room, category, count, source, rng)
        if len(room.things) >= MOST_THINGS:
            break
    return tuple(room.things)


def _door_zones(plan: Plan) -> list[Spot]:
    zones = []
    for opening in plan.openings:
        if opening.kind == "door":
            begin, along, inward, _ = plan.wall(opening.wall)
            middle = begin + along * (opening.start + opening.end) / 2 + inward * DOOR_ZONE_M / 2
            half = (opening.end - opening.start) / 2 + 0.05
            yaw = float(np.arctan2(along[1], along[0]))
            zones.append(Spot(float(middle[0]), float(middle[1]), half, DOOR_ZONE_M / 2, yaw, 2.0))
    return zones


def _against_wall(room: Arrangement, body: Model, wall: int, place: float) -> bool:
    """With its back to a wall, its middle `place` metres along it."""
    begin, along, inward, length = room.plan.wall(wall)
    half = body.size_3[0] / 2
    if not half <= place <= length - half:
        return False
    for opening in room.plan.openings:
        covered = place - half < opening.end and place + half > opening.start
        if opening.wall == wall and covered and (opening.kind == "door" or body.size_3[2] > TALL_M):
            return False
    middle = begin + along * place + inward * (body.size_3[1] / 2 + WALL_GAP_M)
    # the back, +y, turned to the wall
    yaw = float(np.arctan2(-inward[1], -inward[0]) - np.pi / 2)
    return room.add(body, float(middle[0]), float(middle[1]), yaw)


def _by_wall(room: Arrangement, category: str, count: int, source: Source, rng: Rng) -> None:
    lengths = np.array([room.plan.wall(k)[3] for k in range(len(room.plan.floor_P2))])
    for _ in range(count):
        body = source(category, rng)
        for _ in range(TRIES if body else 0):
            wall = int(rng.choice(len(lengths), p=lengths / lengths.sum()))
            if _against_wall(room, body, wall, float(rng.uniform(0, lengths[wall]))):  # type: ignore[arg-type]
                break


def _in_corner(room: Arrangement, category: str, count: int, source: Source, rng: Rng) -> None:
    """Near the end of a wall, or in a gap along it."""
    for _ in range(count):
        body = source(category, rng)
        for _ in range(TRIES if body else 0):
            wall = int(rng.integers(len(room.plan.floor_P2)))
            length, half = room.plan.wall(wall)[3], max(body.size_3[:2]) / 2  # type: ignore[union-attr]
            reach = float(rng.exponential(0.35)) + half + 0.05
            if _against_wall(room, body, wall, reach if rng.random() < 0.5 else length - reach):  # type: ignore[arg-type]
                break


def _anywhere(room: Arrangement, category: str, count: int, source: Source, rng: Rng) -> None:
    low, high = room.plan.floor_P2.min(axis=0), room.plan.floor_P2.max(axis=0)
    for _ in range(count):
        body = source(category, rng)
        for _ in range(TRIES if body else 0):
            x, y = (float(v) for v in rng.uniform(low, high))
            if room.add(body, x, y, float(rng.uniform(-np.pi, np.pi)), gap=0.25):  # type: ignore[arg-type]
                break


def _in_the_middle(room: Arrangement, category: str, count: int, source: Source, rng: Rng) -> None:
    for _ in range(count):
        body = source(category, rng)
        for _ in range(TRIES if body else 0):
            x0, y0, x1, y1 = room.plan.rectangles()[0]
            share = rng.uniform(0.36, 0.64, 2)
            x, y = x0 + (x1 - x0) * float(share[0]), y0 + (y1 - y0) * float(share[1])
            yaw = float(rng.integers(2)) * np.pi / 2 + float(rng.normal(0, 0.06))
            if room.add(body, x, y, yaw, gap=0.7):  # type: ignore[arg-type]
                break


def _around_table(room: Arrangement, category: str, count: int, source: Source, rng: Rng) -> None:
    """On its long sides first, then at its ends; all of one make."""
    for _, spot in room.of("table"):
        body = source(category, rng)
        if body is None:
            return
        across, along = spot.axes()
        middle, out = np.array([spot.x, spot.y]), body.size_3[1] / 2
        share = spot.half_width * 0.5
        seats = [(side * along, spot.half_depth, place * across) for place in (-share, share)
                 for side in (1, -1)]  # fmt: skip
        seats += [(side * across, spot.half_width, 0.0 * along) for side in (1, -1)]
        for toward, reach, aside in seats[:count]:
            pulled = float(rng.uniform(0.02, 0.22))
            place = middle + toward * (reach + out + pulled) + aside
            # the front, -y, turned to the table
            yaw = float(np.arctan2(toward[1], toward[0]) - np.pi / 2 + rng.normal(0, 0.09))
            room.add(body, float(place[0]), float(place[1]), yaw, gap=0.015)


def _at_desk(room: Arrangement, category: str, count: int, source: Source, rng: Rng) -> None:
    body = source(category, rng)
    for _, spot in room.of("desk")[:count] if body else []:
        _, back = spot.axes()
        reach = spot.half_depth + body.size_3[1] / 2 + float(rng.uniform(0.05, 0.3))  # type: ignore[union-attr]
        place = np.array([spot.x, spot.y]) - back * reach
        yaw = spot.yaw + np.pi + float(rng.normal(0, 0.25))
        room.add(body, float(place[0]), float(place[1]), yaw, gap=0.015)  # type: ignore[arg-type]


def _beside_bed(room: Arrangement, category: str, count: int, source: Source, rng: Rng) -> None:
    body = source(category, rng)
    for _, spot in room.of("bed") if body else []:
        across, back = spot.axes()
        for side in (1, -1)[:count]:
            aside = spot.half_width + body.size_3[0] / 2 + 0.06  # type: ignore[union-attr]
            reach = spot.half_depth - body.size_3[1] / 2  # type: ignore[union-attr]
            place = np.array([spot.x, spot.y]) + side * across * aside + back * reach
            room.add(body, float(place[0]), float(place[1]), spot.yaw)  # type: ignore[arg-type]


_PLACERS: dict[Where, Callable[[Arrangement, str, int, Source, Rng], None]] = {
    "wall": _by_wall, "corner": _in_corner, "free": _anywhere, "middle": _in_the_middle,
    "around table": _around_table, "at desk": _at_desk, "beside bed": _beside_bed,
}  # fmt: skip
