"""The summary of what was asked, what was refused, and what a blind solver scores."""

from __future__ import annotations

from geovr.simulation.rooms.questions.drafting import SPARE
from geovr.simulation.tally import lines, tally
from tests.simulation.conftest import Rendered


def question(kind: str, options: list[str] | None, answer: str) -> dict:
    return {"kind": kind, "question": "?", "options": options, "answer": answer}


SIDES = ["A. left", "B. right"]
RECORDS = [
    {
        "split": "train",
        "questions": [question("route_planning", SIDES, "A"), question("turn", SIDES, "A")],
        "refused_questions": {"route_planning": {"no way": 3, SPARE: 2}},
    },
    {
        "split": "test",
        "questions": [question("route_planning", SIDES, "B"), question("size", None, "12")],
        "object_questions": [question("category_counting", None, "3")],
        "refused_questions": {"route_planning": {"no way": 1}, "obj_appearance_order": {"tie": 5}},
    },
]


def test_questions_and_refusals_are_summed_over_scenes() -> None:
    told = tally(RECORDS)
    assert told["questions"] == {"test": 2, "train": 2}
    assert told["object_questions"] == {"test": 1, "train": 0}
    assert told["questions_by_kind"] == {
        "category_counting": 1,
        "route_planning": 2,
        "size": 1,
        "turn": 1,
    }
    assert told["refused_questions"] == {
        "obj_appearance_order": {"tie": 5},
        "route_planning": {"no way": 4, SPARE: 2},
    }
    assert told["blind"]["questions"] == 3 and told["blind"]["chance"] == 0.5
    assert told["blind"]["by_kind"] == {"route_planning": 0.5, "turn": 1.0}


def test_every_reason_and_the_blind_solver_have_their_place_in_the_log() -> None:
    assert lines(tally(RECORDS)) == [
        "obj_appearance_order: 0 asked, 0 spare; refused: 5 tie",
        "route_planning: 2 asked, 2 spare; refused: 4 no way",
        "blind solver 66.7 % on 3 choices, chance 50.0 %",
    ]
    assert lines(tally([])) == []


def test_a_blind_solver_stays_near_chance_in_the_demo_as_well(rendered: Rendered) -> None:
    blind = rendered.summary["blind"]
    assert blind["questions"] >= 450 and 0.25 < blind["chance"] < 0.4
    assert blind["share"] <= blind["chance"] + 0.1
    assert blind["by_kind"]["turn"] <= 0.35
    # large pieces cover most more often than small ones; reports have the best constant beside it
    assert blind["by_kind"]["dominant_colour"] <= 0.45
