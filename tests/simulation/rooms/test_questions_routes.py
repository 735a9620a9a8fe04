"""Routes, walked again step by step with complex numbers."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

from geovr.simulation.questions import Question
from geovr.simulation.rooms.questions import drafting
from geovr.simulation.rooms.questions.floor import Outlines, convex_hull, inside_polygon
from geovr.simulation.rooms.world import FurnishedRoom, Thing
from tests.simulation.rooms.worlds import (
    CEILING,
    Case,
    box,
    case,
    cases,
    ell,
    middle_of,
    only_right,
    painted,
    rectangle,
)

KIND = "route_planning"
BEGINNING = r"begins at the (.+), facing the (.+), and wants to navigate to the (.+?)\. You"
QUARTERS = {"Turn Left": 1j, "Turn Right": -1j, "Turn Back": -1}


def away(thing: Thing, points: np.ndarray) -> np.ndarray:
    """Metres from points of the floor to a box's footprint."""
    own = (points - middle_of(thing)) * np.exp(-1j * thing.yaw)
    x = np.maximum(np.abs(own.real) - thing.size_3[0] / 2, 0)
    return np.abs(x + 1j * np.maximum(np.abs(own.imag) - thing.size_3[1] / 2, 0))


def from_walls(floor_P2: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Metres to the nearest wall, negative outside."""
    corners = (floor_P2[:, 0] + 1j * floor_P2[:, 1])[:, None]
    ends = np.roll(corners, -1, axis=0)
    length = np.abs(ends - corners)
    own = (points - corners) / (ends - corners) * length
    past = np.maximum(np.maximum(-own.real, own.real - length), 0)
    turns = np.angle((ends - points) / (corners - points)).sum(axis=0)
    return np.hypot(past, own.imag).min(axis=0) * np.where(turns > np.pi, 1, -1)


def parse(question: Question) -> tuple[str, str, list[tuple[bool, str]]]:
    """Start, faced thing, and for every stop whether a turn comes before it."""
    start, facing, end = re.search(BEGINNING, question.question).groups()
    actions = re.findall(r"\d\. (.+?)\.(?= )", question.question.split("turn right'): ")[1])
    legs, blank = [], False
    for action in actions:
        if action == "[please fill in]":
            blank = True
        else:
            legs.append((blank, action.removeprefix("Go forward until the ")))
            blank = False
    assert legs[-1][1] == end
    return start, facing, legs


def walk(world: Case, question: Question) -> list[tuple[complex, complex, bool]]:
    """For every leg: where the robot looked, where it then went, and whether a turn is asked.

    Its steps of a centimetre keep clear of walls and things.
    """
    start, facing, legs = parse(question)
    at, heading = world.middle(start), world.middle(facing) - world.middle(start)
    heading /= abs(heading)
    steps = 0.01 * np.arange(1500)
    at += heading * steps[(away(world.thing(start), at + heading * steps) >= 0.35).argmax()]
    walked = []
    for blank, stop in legs:
        direction = world.middle(stop) - at
        direction /= abs(direction)
        walked.append((heading, direction, blank))
        ahead = at + direction * steps
        ahead = ahead[: (away(world.thing(stop), ahead) < 0.35).argmax()]
        assert from_walls(world.room.floor_P2, ahead).min() > 0.2
        assert min(away(thing, ahead).min() for thing in world.room.things) > 0.2
        at, heading = ahead[-1], direction
    return walked


def pictured(world: Case, question: Question) -> list[tuple[complex, complex, bool]]:
    """The same between the middles of the things."""
    start, facing, legs = parse(question)
    at, heading = world.middle(start), world.middle(facing) - world.middle(start)
    walked = []
    for blank, stop in legs:
        walked.append((heading, world.middle(stop) - at, blank))
        at, heading = world.middle(stop), world.middle(stop) - at
    return walked


def leads_there(legs: list[tuple[complex, complex, bool]], text: str) -> bool:
    """Whether each turn brings the next stop to less than 45 degrees from straight ahead."""
    turns = iter(text.split(", "))
    for heading, direction, blank in legs:
        turned = heading * QUARTERS[next(turns)] if blank else heading
        ahead = direction / turned
        if ahead.real <= abs(ahead.imag):
            return False
    assert next(turns, None) is None
    return True


@cache
def walks() -> list[tuple[Question, list[tuple[complex, complex, bool]]]]:
    """Every route of the random worlds, as it is walked and as it is pictured."""
    return [
        (question, legs)
        for world in cases()
        for question in world.of_kind(KIND)
        for legs in (walk(world, question), pictured(world, question))
    ]


def test_only_the_right_option_leads_there_over_free_floor() -> None:
    assert len(walks()) >= 120
    for question, legs in walks():
        only_right(question, lambda text, legs=legs: leads_there(legs, text))


def test_no_asked_turn_is_near_45_or_135_degrees() -> None:
    for _, legs in walks():
        for heading, direction, blank in legs:
            ahead = direction / heading
            # How far from a diagonal: 13 degrees, whose sine is 0.225.
            off = min(abs((ahead / diagonal).imag) for diagonal in (1 + 1j, 1 - 1j)) * np.sqrt(2)
            assert not blank or off > 0.225 * abs(ahead)


def corner(angle: float, block: bool = False) -> Case:
    """From the sofa straight to the table, and there so many degrees to the left to the lamp."""
    lamp = 1.2 + 2.4 * np.exp(1j * np.radians(angle))
    spots = [("sofa", -1.5 + 0j), ("table", 1.2 + 0j), ("lamp", lamp)]
    if block:
        spots.append(("plant", (1.2 + lamp) / 2))
    things = tuple(box(name, at.real, at.imag, (0.3, 0.3, 0.5)) for name, at in spots)
    room = FurnishedRoom(rectangle(9, 9), CEILING, things, None)
    return case(room, painted(room))


def turn_at_the_table(world: Case) -> str | None:
    begins = "begins at the sofa, facing the table, and wants to navigate to the lamp"
    actions = "1. Go forward until the table. 2. [please fill in]. 3. Go forward until the lamp."
    for question in world.of_kind(KIND):
        if begins in question.question and actions in question.question:
            return question.options["ABCD".index(question.answer)][3:]
    return None


@pytest.mark.parametrize(
    ("angle", "turn"),
    [(90, "Turn Left"), (-80, "Turn Right"), (179, None), (45, None), (55, None), (10, None),
     (165, "Turn Back"), (-135, None), (-110, "Turn Right")],
)  # fmt: skip
def test_a_turn_near_a_border_is_not_asked(
    angle: float, turn: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(drafting.CAPS, KIND, 999)
    # At 179 degrees the way back leads through the sofa's clearance: no turn, but no free way.
    assert turn_at_the_table(corner(angle)) == turn


def test_no_route_leads_through_a_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(drafting.CAPS, KIND, 999)
    assert turn_at_the_table(corner(90)) == "Turn Left"
    blocked = corner(90, block=True)
    assert turn_at_the_table(blocked) is None
    assert blocked.asked.refused[KIND]["leg: no free straight way"] >= 1


def test_no_route_leads_through_the_corner_that_an_l_shaped_room_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(drafting.CAPS, KIND, 999)
    # The table is in one wing, the lamp in the other; the straight way is outside.
    spots = (("sofa", -1.8, -1.8), ("table", 1.8, -1.0), ("lamp", -1.0, 1.8), ("bed", 1.8, -1.9))
    things = tuple(box(name, x, y, (0.3, 0.3, 0.5)) for name, x, y in spots)
    for floor, free in ((rectangle(5, 5), True), (ell(5, 5, 2.9), False)):
        room = FurnishedRoom(floor, CEILING, things, None)
        asked = case(room, painted(room)).of_kind(KIND)
        ways = {
            (one, other)
            for start, _, legs in map(parse, asked)
            for (_, one), (_, other) in zip([(True, start), *legs], legs, strict=False)
        }
        assert (("table", "lamp") in ways) is free
        assert ways


def test_outlines_and_polygons_against_sown_points() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(-3, 3, (300, 2))
    hulls = [convex_hull(rng.normal(size=(20, 2))) for _ in range(3)]
    exact = Outlines.of(hulls).distance(points)
    for number, hull in enumerate(hulls):
        weights = rng.dirichlet(np.full(len(hull), 0.3), 4000)
        edges = [a + t * (b - a) for a, b in zip(hull, np.roll(hull, -1, 0), strict=True)
                 for t in np.linspace(0, 1, 60)]  # fmt: skip
        sown = np.concatenate([weights @ hull, edges])
        sampled = np.linalg.norm(points[:, None] - sown, axis=-1).min(axis=1)
        assert (exact[:, number] <= sampled + 1e-9).all()
        assert (exact[:, number] >= sampled - 0.25).all()
        assert (sampled[exact[:, number] > 0] - exact[exact[:, number] > 0, number]).max() < 0.01
    floor = ell(4, 5, 1.4)
    inside = from_walls(floor, points[:, 0] + 1j * points[:, 1]) > 0
    assert (inside_polygon(points, floor) == inside).all()
