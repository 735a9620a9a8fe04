"""Which turns lead a robot along a list of stops: route_planning.

The robot begins in front of one thing, facing another, and goes in straight lines over free
floor: towards the middle of the next stop, until it stands before it. A turn is left, right or
back when the next stop lies in that quarter of a circle, seen both from where the robot stands
and from the middle of the thing it stands before: a reader may picture either.
Legend: S points along a leg.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from geovr.simulation.rooms.questions.directions import LEAST_DISTANCE, medium, turn_to
from geovr.simulation.rooms.questions.drafting import Choice, Desk
from geovr.simulation.rooms.questions.floor import Floor
from geovr.simulation.rooms.questions.shown import Shown
from geovr.simulation.rooms.world import FloatArray

KIND = "route_planning"
STANDOFF = 0.35
"""Metres from the thing before which the robot stands."""
CLEARANCE = 0.25
"""Metres that a leg keeps from walls and things."""
SPACING = 0.04
"""Metres between the points at which a leg is checked."""
LEAST_LEG = 0.5
MOST_TURNS = 3
MOST_LEGS = 60
"""Legs tried from one beginning."""
MOST_ROUTES = 60
"""Routes after which no further beginning is tried."""
TURNS = ("Turn Left", "Turn Right", "Turn Back")
OPTIONS = 4


@dataclass(frozen=True)
class Stand:
    """Where the robot is: before a thing, at a point of the floor."""

    thing: int
    point_2: FloatArray
    walked_2: FloatArray
    """Where it looks: as it walked here."""
    pictured_2: FloatArray
    """The same for who pictures a walk from the middle of one thing to the middle of the next."""


@dataclass(frozen=True)
class Route:
    """Stops in order, and the turn before each; None where it only goes on straight ahead."""

    start: int
    facing: int
    stops: tuple[int, ...]
    turns: tuple[str | None, ...]

    @property
    def answer(self) -> str:
        """The turns to fill in."""
        return ", ".join(turn for turn in self.turns if turn)


class Planner:
    """Finds routes among the things that have a name of their own."""

    def __init__(self, shown: Shown, floor: Floor, desk: Desk) -> None:
        self.shown, self.floor, self.desk = shown, floor, desk
        self.middle = {index: shown.room.things[index].centre_3[:2] for index in shown.named}
        self.stops = [index for index in shown.named if index in floor.standing]
        self.routes: list[Route] = []
        self.legs = 0

    def search(self) -> list[Route]:
        """Routes of one to MOST_TURNS turns, from beginnings in random order."""
        beginnings = [pair for pair in permutations(self.shown.named, 2) if pair[0] in self.stops]
        for index in self.desk.rng.permutation(len(beginnings)):
            if len(self.routes) >= MOST_ROUTES:
                break
            start, facing = beginnings[int(index)]
            stand = self._begin(start, facing)
            if stand is not None:
                self.legs = 0
                self._go_on(Route(start, facing, (), ()), stand)
        return self.routes

    def _begin(self, start: int, facing: int) -> Stand | None:
        ahead = self.middle[facing] - self.middle[start]
        if float(np.hypot(*ahead)) < LEAST_DISTANCE:
            self.desk.refuse(KIND, f"beginning: it faces something nearer than {LEAST_DISTANCE} m")
            return None
        points_S2 = _points(self.middle[start], self.middle[facing])
        things_SO = self.floor.from_things(points_S2)
        outside_S = things_SO[:, self.floor.obstacles.index(start)] >= STANDOFF
        first = int(outside_S.argmax())
        free = min(things_SO[first].min(), self.floor.from_walls(points_S2[[first]])[0])
        if not outside_S.any() or free < CLEARANCE:
            self.desk.refuse(KIND, "beginning: no room to stand")
            return None
        return Stand(start, points_S2[first], ahead, ahead)

    def _go_on(self, route: Route, stand: Stand) -> None:
        for stop in self.desk.rng.permutation(self.stops).tolist():
            if stop in (route.start, *route.stops) or self.legs >= MOST_LEGS:
                continue
            self.legs += 1
            straight = not route.stops and stop == route.facing
            turn = None if straight else self._turn(stand, stop)
            if turn is None and not straight:
                self.desk.refuse(KIND, "leg: the turn is near a border, or straight ahead")
                continue
            point_2 = self._walk(stand.point_2, stop)
            if point_2 is None:
                self.desk.refuse(KIND, "leg: no free straight way")
                continue
            longer = Route(route.start, route.facing, (*route.stops, stop), (*route.turns, turn))
            turns = sum(turn is not None for turn in longer.turns)
            if turns:
                self.routes.append(longer)
            if turns < MOST_TURNS:
                there = self.middle[stop]
                walked, pictured = there - stand.point_2, there - self.middle[stand.thing]
                self._go_on(longer, Stand(stop, point_2, walked, pictured))

    def _turn(self, stand: Stand, stop: int) -> str | None:
        there, here = self.middle[stop], self.middle[stand.thing]
        walked = medium(turn_to(stand.point_2, stand.point_2 + stand.walked_2, there))
        pictured = medium(turn_to(here, here + stand.pictured_2, there))
        return f"Turn {walked.capitalize()}" if walked and walked == pictured else None

    def _walk(self, point_2: FloatArray, stop: int) -> FloatArray | None:
        """Where a straight walk towards a stop ends, None where it can't be walked."""
        points_S2 = _points(point_2, self.middle[stop])
        things_SO = self.floor.from_things(points_S2)
        before_S = things_SO[:, self.floor.obstacles.index(stop)] < STANDOFF
        walked = int(before_S.argmax())
        if (walked - 1) * SPACING < LEAST_LEG or things_SO[:walked].min() < CLEARANCE:
            return None
        free = self.floor.from_walls(points_S2[:walked]).min() >= CLEARANCE
        return points_S2[walked - 1] if free else None


def _points(start_2: FloatArray, end_2: FloatArray) -> FloatArray:
    """Points at equal steps of at most SPACING from start to end, both included."""
    steps = int(np.ceil(np.hypot(*(end_2 - start_2)) / SPACING)) + 1
    return np.linspace(start_2, end_2, max(steps, 2))


def ask_routes(shown: Shown, desk: Desk) -> None:
    """Turns to fill in; the wrong options are drawn from all other sequences of as many turns."""
    floor = Floor.of(shown.room)
    routes = Planner(shown, floor, desk).search() if floor else []
    candidates = [_choice(shown, desk, route) for route in routes]
    desk.ask_choices(KIND, candidates, [_sequences(turns) for turns in range(1, MOST_TURNS + 1)])


def _choice(shown: Shown, desk: Desk, route: Route) -> Choice:
    actions: list[str] = []
    for stop, turn in zip(route.stops, route.turns, strict=True):
        if turn is not None:
            actions.append("[please fill in]")
        actions.append(f"Go forward until the {shown.name(stop)}")
    steps = " ".join(f"{number}. {action}." for number, action in enumerate(actions, start=1))
    question = (
        f"You are a robot that begins at the {shown.name(route.start)}, facing the "
        f"{shown.name(route.facing)}, and wants to navigate to the {shown.name(route.stops[-1])}. "
        "You will perform the following actions (for each [please fill in], choose 'turn back', "
        f"'turn left' or 'turn right'): {steps} You have reached the final destination."
    )
    blanks = sum(turn is not None for turn in route.turns)
    others = [text for text in _sequences(blanks) if text != route.answer]
    count = min(OPTIONS - 1, len(others))
    wrong = tuple(others[i] for i in desk.rng.choice(len(others), count, replace=False))
    return Choice(question, route.answer, wrong)


def _sequences(turns: int) -> list[str]:
    return [", ".join(sequence) for sequence in product(TURNS, repeat=turns)]
