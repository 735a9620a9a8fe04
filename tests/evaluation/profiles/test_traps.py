"""Bugs of upstream scorers, each in the profile that bears its name and in no other of ours."""

from __future__ import annotations

from typing import Any

import pytest

from geovr.evaluation.benchmarks.table import BLINK_TASKS
from geovr.evaluation.profiles.profile import Judged, Said, Total
from geovr.evaluation.profiles.table import profiles_of

OPTIONS = ("A. left", "B. right", "C. the chair", "D. a dog")


def said(kind: str, answer: str, text: str | None, **fields: Any) -> Said:
    """A question of choice, unless its options are set."""
    return Said(**{"id": "1", "question": "q", "options": OPTIONS, **fields},
                kind=kind, answer=answer, text=text)  # fmt: skip


def score(benchmark: str, profile: str, *what: Any, **fields: Any) -> float | str:
    """Score of an answer, or the error at which its scorer ends."""
    judged = profiles_of(benchmark)[profile].judge(said(*what, **fields))
    return judged.stops or judged.score


def total(benchmark: str, profile: str, saids: list[Said], scores: list[float]) -> Total:
    """Sum of given scores."""
    return profiles_of(benchmark)[profile].total(saids, [Judged(s, None) for s in scores])


def test_spar_takes_an_empty_answer_for_a_part_of_the_letter() -> None:
    for profile in ("official", "lmms-eval"):
        assert score("spar-bench", profile, "position_matching", "C", "") == 1.0
        assert score("spar-bench", profile, "position_matching", "C", "cat") == 1.0
        assert score("spar-bench", profile, "position_matching", "C", " ") == 0.0
    for profile in ("easi", "strict"):
        assert score("spar-bench", profile, "position_matching", "C", "") == 0.0
        assert score("spar-bench", profile, "position_matching", "C", "cat") == 0.0


def test_spar_measures_a_change_of_view_by_the_prediction() -> None:
    truth, answer = "move_right:1,rotate_left:20", "move_right:2,rotate_left:20"
    kind = "view_change_infer"
    assert score("spar-bench", "official", kind, truth, answer, options=None) == 0.82  # |1-2|/2
    assert score("spar-bench", "easi", kind, truth, answer, options=None) == 0.8  # |2-1|/1
    assert score("spar-bench", "strict", kind, truth, answer, options=None) == 0.8
    # nothing moved along three axes: an empty answer has them right by VLMEvalKit's rules
    assert score("spar-bench", "easi", kind, truth, "", options=None) == 0.6
    assert score("spar-bench", "official", kind, truth, "", options=None) == 0.0
    assert score("spar-bench", "strict", kind, truth, "", options=None) == 0.0
    spaced = "move_right:1, rotate_left:20"
    assert score("spar-bench", "official", kind, truth, spaced, options=None) == 0.8
    assert score("spar-bench", "strict", kind, truth, spaced, options=None) == 1.0


def test_spar_takes_the_first_number_of_one_image_and_the_last_of_several() -> None:
    one, several = "depth_prediction_oc", "depth_prediction_oc_mv"
    assert score("spar-bench", "official", one, "3", "3 to 9", options=None) == 1.0
    assert score("spar-bench", "official", several, "3", "9 to 3", options=None) == 1.0
    assert score("spar-bench", "strict", one, "3", "3 to 9", options=None) == 0.0
    assert score("spar-bench", "official", several, "-1", "none", options=None) == 1.0
    assert score("spar-bench", "official", "weird", "A", "A") == "KeyError: 'question_type'"


def test_spar_leaves_the_change_of_view_out_of_its_level() -> None:
    saids = [
        said("position_matching", "A", "A"),
        said("view_change_infer", "x:1", "", options=None),
    ]
    lines = total("spar-bench", "official", saids, [1.0, 0.5]).lines
    assert lines["Middle"] == 1.0 and "Low" not in lines and lines["view_change_infer_vci_metric"]
    assert total("spar-bench", "lmms-eval", saids, [1.0, 0.5]).lines["low"] == 0.0
    for profile in ("easi", "strict"):
        assert total("spar-bench", profile, saids, [1.0, 0.5]).lines["Middle"] == 0.75


def test_mmsi_reads_the_article_as_option_a_in_lmms_eval_alone() -> None:
    text = "It is a, I think"
    assert score("mmsi-bench", "lmms-eval", "MSR", "A", text) == 1.0
    for profile in ("official", "easi", "strict"):
        assert score("mmsi-bench", profile, "MSR", "A", text) == 0.0
    assert score("mmsi-bench", "official", "MSR", "A", "{E} ``A``") == 1.0
    assert score("mmsi-bench", "lmms-eval", "MSR", "E", "{E} is it", options=None) == 1.0
    assert score("mmsi-bench", "official", "MSR", "E", "E", options=None) == 0.0


def test_mmsi_kinds_get_their_dash() -> None:
    kind = "Positional Relationship (Cam.-Obj.)"
    (line,) = total("mmsi-bench", "lmms-eval", [said(kind, "A", "A")], [1.0]).lines
    assert line == "Positional Relationship (Cam.–Obj.)"
    assert list(total("mmsi-bench", "official", [said(kind, "A", "A")], [1.0]).lines) == [kind]


def test_viewspatial_calls_two_unreadable_sides_equal() -> None:
    unread: dict[str, Any] = {"options": ("G. up", "H. down")}
    for profile in ("official", "lmms-eval"):
        assert score("viewspatial-bench", profile, "k", "G", "no idea", **unread) == 1.0
        assert score("viewspatial-bench", profile, "k", "G", "G", **unread) == 1.0
        assert score("viewspatial-bench", profile, "k", "A", "I see a chair") == 1.0
        assert score("viewspatial-bench", profile, "k", "B", "B\n") == 0.0  # the last line is empty
    assert score("viewspatial-bench", "easi", "k", "G", "no idea", **unread) == 1.0
    assert score("viewspatial-bench", "strict", "k", "G", "no idea", **unread) == 0.0
    assert score("viewspatial-bench", "strict", "k", "G", "G", **unread) == 1.0
    assert score("viewspatial-bench", "official", "k", "A", None) == 0.0
    stops = "AttributeError: 'NoneType' object has no attribute 'split'"
    assert score("viewspatial-bench", "lmms-eval", "k", "A", None) == stops


@pytest.mark.parametrize(
    "text, letter",
    [
        ("The answer is B, not the bacterium E. coli", "E"),  # a full stop comes first
        ("<Answer>My answer is C, not D</Answer> A", "C"),
        ("<answer>C</answer> or A", "C"),  # small letters of the mark are no mark, but a line
        ("A\nthe answer is B", "A"),  # at the beginning of a line
        ('"C" is it; Answer: D', "C"),  # in quotes
        ("so D\nA dog", "A"),  # the article in the lowest line
        ("b", None),
        ("", None),
        (None, None),
    ],
)
def test_mindcube_goes_by_the_order_of_its_patterns(text: str | None, letter: str | None) -> None:
    judged = profiles_of("mindcube")["official"].judge(
        said("among", "A", text, id="among_1", options=(*OPTIONS, "E. up"))
    )
    assert judged.read == letter


def test_mindcube_settings() -> None:
    ids = ("among_1", "around_2", "aroundnew_3", "translation_4", "linear_among_5")
    saids = [said("k", "A", "A", id=name) for name in ids]
    official = total("mindcube", "official", saids, [1, 1, 1, 0, 0])
    assert official.overall == 0.75  # translation isn't counted
    assert official.lines == {"among": 0.5, "around": 1.0, "translation": 0.0}
    lmms = total("mindcube", "lmms-eval", saids, [1, 1, 1, 0, 0])
    assert lmms.overall == 0.6
    assert lmms.lines == {"among_accuracy": 1.0, "around_accuracy": 1.0, "other_accuracy": 0.0}


CV = [said("Count", "A", "A", extra={"source": s}) for s in ("ADE20K", "COCO", "COCO", "Omni3D")]


def test_cv_bench_is_half_two_dimensions_and_half_three() -> None:
    official = total("cv-bench", "official", CV, [1, 1, 0, 0])
    assert official.overall == ((1 + 0.5) / 2 + 0) / 2 == 0.375
    assert total("cv-bench", "easi", CV, [1, 1, 0, 0]).overall == 0.375
    assert total("cv-bench", "strict", CV, [1, 1, 0, 0]).overall == 0.375
    lmms = total("cv-bench", "lmms-eval", CV, [1, 1, 0, 0])
    assert lmms.overall == 0.5 and lmms.lines["composite"] == 0.375


def test_cv_bench_without_a_source() -> None:
    stopped = total("cv-bench", "official", CV[:3], [1, 1, 0])
    assert stopped.overall is None and "Omni3D" in str(stopped.stops)
    assert str(stopped.stops).startswith("ZeroDivisionError")
    assert stopped.lines == {"ADE20K": 1.0, "COCO": 0.5}
    assert total("cv-bench", "easi", CV[:3], [1, 1, 0]).overall is None
    assert total("cv-bench", "strict", CV[:3], [1, 1, 0]).overall == 0.75
    lmms = total("cv-bench", "lmms-eval", CV[:3], [1, 1, 0])
    assert lmms.overall == 2 / 3 and "composite" not in lmms.lines


def test_the_first_letter_of_any_word_is_an_answer() -> None:
    for benchmark, profile, text in (
        ("cv-bench", "official", "Because"),
        ("cv-bench", "lmms-eval", "Because"),
        ("blink-spatial", "lmms-eval", "Because"),
        ("cv-bench", "official", "the answer is between"),
    ):
        assert score(benchmark, profile, "Relative_Depth", "B", text) == 1.0
        assert score(benchmark, "strict", "Relative_Depth", "B", text) == 0.0
    # what follows "answer is" begins with the colon
    assert score("cv-bench", "official", "Count", "B", "The answer is: B") == 0.0
    assert score("cv-bench", "strict", "Count", "B", "The answer is: B") == 1.0


def test_an_options_text_inside_an_answer_is_taken_by_vlmevalkit() -> None:
    assert score("blink-spatial", "easi", "Relative_Depth", "B", "alright then") == 1.0
    assert score("blink-spatial", "strict", "Relative_Depth", "B", "alright then") == 0.0
    assert score("blink-spatial", "strict", "Relative_Depth", "B", "Right.") == 1.0


def test_blink_by_its_authors_takes_letters_in_brackets_only() -> None:
    for text, expected in (
        ("B", 1.0), ("(B)", 1.0), ("I say (B) here", 1.0), ("(A) or (B)\n\nso (B)", 1.0),
        ("b", 0.0), ("B.", 0.0), ("(B) or (A)", 0.0), ("(B).", 0.0), ("right", 0.0),
    ):  # fmt: skip
        assert score("blink-spatial", "official", "Relative_Depth", "B", text) == expected


def test_blink_is_the_mean_over_its_tasks() -> None:
    saids = [said(task, "A", "A") for task in (*BLINK_TASKS, BLINK_TASKS[0])]
    official = total("blink-spatial", "official", saids, [0, 1, 1, 1, 1, 1, 1])
    assert official.overall == (0.5 + 5) / 6
    assert total("blink-spatial", "lmms-eval", saids, [0, 1, 1, 1, 1, 1, 1]).overall == 6 / 7
    lacking = total("blink-spatial", "official", saids[1:-1], [1, 1, 1, 1, 1])
    assert lacking.overall is None and "Relative_Depth" in str(lacking.stops)


def test_spbench_finds_words_before_figures() -> None:
    kind = "object_counting"
    assert score("spbench-si", "official", kind, "1", "twenty-one", options=None) == 1.0
    assert score("spbench-si", "official", kind, "1", "a table, 4 chairs", options=None) == 1.0
    assert score("spbench-si", "official", kind, "3", "-3", options=None) == 1.0
    assert score("spbench-si", "strict", kind, "21", "twenty-one", options=None) == 1.0
    assert score("spbench-si", "strict", kind, "4", "a table, 4 chairs", options=None) == 1.0
    zero = "ZeroDivisionError: float division by zero"
    assert score("spbench-si", "official", kind, "0", "0", options=None) == zero
    assert score("spbench-si", "strict", kind, "0", "0", options=None) == 1.0
    # without a question of direction there is a kind of them that scored 0
    saids = [said("object_rel_distance", "A", "A")]
    assert total("spbench-si", "official", saids, [1.0]).overall == 0.5
    assert total("spbench-si", "easi", saids, [1.0]).overall == 1.0


def test_vlmevalkit_reads_hyphens_as_signs() -> None:
    for text, number in (("twenty-one", "-1"), ("2-3", "-3"), ("[7, 3]", "7"), ("3 of 4", "4")):
        judged = profiles_of("spbench-mv")["easi"].judge(
            said("object_counting", "3", text, options=None)
        )
        assert judged.read == number
    assert score("spbench-mv", "easi", "object_counting", "-1", "twenty-one", options=None) == 1.0
    assert score("sti-bench", "easi", "Speed", "K", "who knows", options=("K. x", "L. y")) == 1.0


def test_sti_takes_the_last_character() -> None:
    assert score("sti-bench", "official", "Speed", "E", "SPACE") == 1.0
    assert score("sti-bench", "strict", "Speed", "D", "the END") == 0.0
    assert (
        score("sti-bench", "official", "Speed", "A", " ") == "IndexError: string index out of range"
    )
    saids = [said("Speed", "A", "A"), said("Speed", "A", None)]
    assert total("sti-bench", "official", saids, [1.0, 0.0]).overall == 1.0  # it isn't in the file
    assert total("sti-bench", "strict", saids, [1.0, 0.0]).overall == 0.5


def test_revsi_and_vsti_on_targets_of_zero_and_below() -> None:
    revsi, vsti = "object_abs_distance", "camera_displacement"
    assert score("revsi-16", "official", revsi, "0", "0", options=None) == 0.0
    zero = "ZeroDivisionError: float division by zero"
    assert score("vsti-bench", "official", vsti, "0", "0", options=None) == zero
    for benchmark, kind in (("revsi-16", revsi), ("vsti-bench", vsti)):
        assert score(benchmark, "official", kind, "-3", "1000", options=None) == 1.0
        assert score(benchmark, "official", kind, "-3", "inf", options=None) == 1.0
        assert score(benchmark, "strict", kind, "-3", "1000", options=None) == 0.0
        assert score(benchmark, "strict", kind, "0", "0", options=None) == 1.0


def test_revsi_is_the_mean_of_seven_with_parts_within() -> None:
    kinds = ("object_rel_distance_closest", "object_rel_distance_farthest", "route_planning")
    saids = [said(kind, "A", "A") for kind in (*kinds, "route_planning")]
    added = total("revsi-64", "official", saids, [1.0, 0.0, 1.0, 1.0])
    assert added.overall == (0.5 + 1.0) / 2
    assert added.lines == {"object_rel_distance_acc": 0.5, "route_planning_acc": 1.0}
    unknown = score("revsi-64", "official", "object_counting", "A", "A")
    assert str(unknown).startswith("UnboundLocalError")


def test_a_total_names_the_item_at_which_it_ends() -> None:
    saids = [said("Speed", "A", "A", id="a"), said("Speed", "A", " ", id="b")]
    profile = profiles_of("sti-bench")["official"]
    added = profile.total(saids, [profile.judge(one) for one in saids])
    assert added == Total(None, {}, "IndexError: string index out of range (at item b)")
