"""Routes, walked again step by step with complex numbers."""

from __future__ import annotations

import numpy as np
import pytest

from geovr.simulation.rooms.questions import drafting
from geovr.simulation.rooms.questions.floor import Outlines, convex_hull, inside_polygon
from geovr.simulation.rooms.world import FurnishedRoom
from tests.simulation.rooms.checks import from_walls, parse
from tests.simulation.rooms.worlds import (
    CEILING,
    Case,
    box,
    case,
    ell,
    painted,
    rectangle,
)

KIND = "route_planning"


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
