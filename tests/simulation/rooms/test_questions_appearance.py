"""The order of appearance, read again from the pixels of the frames."""

from __future__ import annotations

from geovr.simulation.rooms.world import FurnishedRoom
from tests.simulation.rooms.worlds import (
    CEILING,
    Case,
    box,
    case,
    cases,
    painted,
    rectangle,
)

KIND = "obj_appearance_order"


def test_the_list_in_the_question_does_not_give_the_order_away() -> None:
    asked = [question for world in cases() for question in world.of_kind(KIND)]
    same = sum(
        f". {q.question.split('in the video: ')[1].rstrip('?')}"
        in q.options["ABCD".index(q.answer)]
        for q in asked
    )
    assert same <= 0.15 * len(asked)


def shown_in_turn(pixels: list[list[int]]) -> Case:
    """Four things, of which frame n shows pixels[n][k] pixels of thing k, of 4,000 a frame."""
    names = ("sofa", "lamp", "bed", "desk")
    things = tuple(box(n, 2 * i - 3, 3, (0.4, 0.4, 0.4)) for i, n in enumerate(names))
    room = FurnishedRoom(rectangle(12, 12), CEILING, things, None)
    return case(room, painted(room, pixels))


def test_twelve_pixels_of_four_thousand_are_an_appearance_and_three_a_glimpse() -> None:
    last = [[20, 20, 20, 20]] * 2
    apart = shown_in_turn([[12, 0, 0, 0], [12, 12, 2, 0], [0, 0, 12, 2], [0, 0, 0, 12], *last])
    (question,) = apart.of_kind(KIND)
    assert question.options["ABCD".index(question.answer)].endswith("sofa, lamp, bed, desk")
    glimpsed = shown_in_turn([[12, 0, 0, 0], [12, 12, 3, 0], [0, 0, 12, 2], [0, 0, 0, 12], *last])
    assert not glimpsed.of_kind(KIND)
    assert glimpsed.asked.refused[KIND] == {"two appear at about the same time": 1}
    together = shown_in_turn([[12, 0, 0, 0], [12, 12, 0, 0], [0, 0, 12, 12], *last])
    assert not together.of_kind(KIND)
