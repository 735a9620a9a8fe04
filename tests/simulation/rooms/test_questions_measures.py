"""Counts, lengths and areas, computed again from pixels, vertices and a raster of the floor."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from geovr.simulation.rooms.questions import CAPS, KINDS
from geovr.simulation.rooms.questions.measures import floor_area
from geovr.simulation.rooms.world import FurnishedRoom
from tests.simulation.rooms.checks import raster_area
from tests.simulation.rooms.worlds import (
    CEILING,
    Case,
    box,
    case,
    cases,
    ell,
    look,
    rectangle,
    render,
    turning,
)


def test_every_kind_is_asked_and_none_more_often_than_its_cap() -> None:
    asked = Counter(question.kind for world in cases() for question in world.asked.questions)
    assert set(asked) == set(KINDS)
    for world in cases():
        per_room = Counter(question.kind for question in world.asked.questions)
        assert all(per_room[kind] <= cap for kind, cap in CAPS.items())
        names = [question.question for question in world.asked.questions]
        assert len(names) == len(set(names))


def chairs(count: int, hidden: bool) -> Case:
    """Chairs before the camera, and perhaps one more inside of a box."""
    things = [box("chair", 2.0, -1.0 + index, (0.5, 0.5, 0.9)) for index in range(count)]
    if hidden:
        things += [box("wardrobe", -2, 0, (1, 1, 2)), box("chair", -2, 0, (0.5, 0.5, 0.9))]
    room = FurnishedRoom(rectangle(6, 6), CEILING, tuple(things), None)
    return case(room, render(room, turning()))


def test_a_category_is_not_counted_when_one_of_it_is_hidden_or_there_is_only_one() -> None:
    assert [q.answer for q in chairs(3, hidden=False).of_kind("object_counting")] == ["3"]
    assert not chairs(1, hidden=False).of_kind("object_counting")
    hidden = chairs(3, hidden=True)
    assert not hidden.of_kind("object_counting")
    assert hidden.asked.refused["object_counting"]["not all of them shown clearly"] == 1


def test_a_thing_that_the_images_edge_cuts_off_is_not_asked_about() -> None:
    room = FurnishedRoom(rectangle(8, 8), CEILING, (box("sofa", 3, 0, (2.0, 0.8, 0.8)),), None)
    straight = np.stack([look(np.array([0, 0, 1.5]), 0.0)] * 4)
    aside = np.stack([look(np.array([0, 0, 1.5]), 0.72)] * 4)
    whole, cut = (case(room, render(room, poses)) for poses in (straight, aside))
    assert (cut.seen.instance_NHW == 1).sum(axis=(1, 2)).min() > 0.003 * 60 * 80
    assert whole.of_kind("object_size_estimation")
    assert not cut.of_kind("object_size_estimation")
    once = render(room, np.concatenate([straight[:1], aside]))
    assert not case(room, once).of_kind("object_size_estimation")


@pytest.mark.parametrize("floor", [rectangle(4.3, 6.1), ell(5.0, 4.0, 1.3)], ids=["box", "ell"])
def test_floor_area_is_that_of_a_raster(floor: np.ndarray) -> None:
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    for polygon in (floor, floor @ turn.T + (3.0, -2.0)):
        assert floor_area(polygon) == pytest.approx(raster_area(polygon, step=0.02), abs=0.15)


def test_the_rooms_size_is_not_asked_when_a_wall_was_never_shown() -> None:
    world = cases()[0]
    half = world.seen.camera_from_world_N44[:3]
    partly = case(world.room, render(world.room, half))
    assert not partly.of_kind("room_size_estimation")
    assert partly.asked.refused["room_size_estimation"] == {"a wall is not shown": 1}


def test_an_empty_room_has_a_size_and_nothing_else_to_ask() -> None:
    room = replace(cases()[0].room, things=())
    empty = case(room, render(room, turning()))
    assert [question.kind for question in empty.asked.questions] == ["room_size_estimation"]
