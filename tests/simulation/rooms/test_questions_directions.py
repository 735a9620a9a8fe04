"""Directions, computed again by complex numbers and signs, without any angle."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geovr.simulation.rooms.questions import drafting
from geovr.simulation.rooms.questions.directions import easy, hard, medium, turn_to
from geovr.simulation.rooms.world import FurnishedRoom
from tests.simulation.rooms.checks import STANDING
from tests.simulation.rooms.worlds import (
    CEILING,
    Case,
    box,
    case,
    painted,
    rectangle,
)

LEVELS = ("easy", "medium", "hard")


def middles(angle: float) -> list[complex]:
    """A sofa to stand by, a table to face, and a lamp at so many degrees to the left."""
    return [0j, 2 + 0j, 2 * np.exp(1j * np.radians(angle))]


@given(st.floats(-180, 180), st.floats(0, 6.28), st.floats(-3, 3), st.floats(0.1, 5))
def test_mirrored_left_is_right_and_turned_it_stays(
    angle: float, turn: float, shift: float, scale: float
) -> None:
    assume(min(abs(abs(angle) - b) for b in (0, 15, 30, 60, 75, 90, 105, 120, 150, 165)) > 1e-3)

    def classes(points: list[complex]) -> list[str | None]:
        plane = [np.array([p.real, p.imag]) for p in points]
        return [level(turn_to(*plane)) for level in (easy, medium, hard)]

    here = classes(middles(angle))
    moved = [scale * np.exp(1j * turn) * p + shift * (1 + 2j) for p in middles(angle)]
    assert classes(moved) == here
    flipped = [None if c is None else swap(c) for c in here]
    assert classes([p.conjugate() for p in middles(angle)]) == flipped


def swap(text: str) -> str:
    return "-".join({"left": "right", "right": "left"}.get(word, word) for word in text.split("-"))


def standing(angle: float, away: float = 2.0) -> Case:
    points = middles(angle)
    points[2] *= away / 2
    names = ("sofa", "table", "lamp")
    things = tuple(
        box(name, p.real - 1, p.imag, (0.4, 0.4, 0.5))
        for name, p in zip(names, points, strict=True)
    )
    room = FurnishedRoom(rectangle(8, 8), CEILING, things, None)
    return case(room, painted(room))


def asked_about_lamp(world: Case) -> set[str]:
    return {
        level
        for level in LEVELS
        for question in world.of_kind(f"object_rel_direction_{level}")
        if re.search(STANDING, question.question).groups() == ("sofa", "table", "lamp")
    }


@pytest.mark.parametrize(
    ("angle", "levels"),
    [
        (20, {"easy", "hard"}),
        (5, set()),
        (45, {"easy", "hard"}),
        (90, {"easy", "medium"}),
        (-100, {"easy", "medium"}),
        (135, {"easy", "hard"}),
        (-155, {"easy", "medium", "hard"}),
        (178, {"medium"}),
    ],
)
def test_a_thing_on_a_border_is_not_asked_about(
    angle: float, levels: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in drafting.CAPS:
        monkeypatch.setitem(drafting.CAPS, kind, 99)
    assert asked_about_lamp(standing(angle)) == levels


def test_who_stands_beside_it_is_not_asked_where_it_is() -> None:
    near = standing(90, away=0.7)
    assert not asked_about_lamp(near)
    refused = near.asked.refused["object_rel_direction_easy"]
    assert refused["nearer than 0.8 m to where one stands"] >= 1
