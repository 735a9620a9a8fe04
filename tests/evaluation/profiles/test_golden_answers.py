"""What each upstream's scorer gives single answers, written out as its own code gave it.

A "!" stands where that code ends with an error.
"""

from __future__ import annotations

import pytest

from geovr.evaluation.profiles.profile import Said
from geovr.evaluation.profiles.table import profiles_of

OPTIONS = ("A. left", "B. right", "C. the chair", "D. a dog")
CHOICE_COLUMNS = [
    ("mmsi-bench", "official", "MSR"),
    ("mmsi-bench", "lmms-eval", "MSR"),
    ("mmsi-bench", "easi", "MSR"),
    ("viewspatial-bench", "official", "x"),
    ("mindcube", "official", "x"),
    ("sti-bench", "official", "x"),
    ("cv-bench", "official", "Count"),
    ("cv-bench", "lmms-eval", "Count"),
    ("cv-bench", "easi", "Count"),
    ("blink-spatial", "official", "Relative_Depth"),
    ("spbench-si", "official", "object_rel_distance"),
    ("spar-bench", "official", "position_matching"),
    ("revsi-16", "official", "route_planning"),
    ("mmsi-bench", "strict", "MSR"),
]
# fmt: off
CHOICES: list[tuple[str | None, str]] = [
    (None, "0 0 0 0 0 0 ! ! 0 0 ! ! 0 0"),
    ("", "0 0 0 0 0 ! 0 0 0 0 0 1 0 0"),
    ("  ", "0 0 0 0 0 ! 0 0 0 0 0 0 0 0"),
    ("A", "1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ("a", "0 1 1 1 0 0 1 1 0 0 1 1 1 1"),
    ("B", "0 0 0 0 0 0 0 0 0 0 0 0 0 0"),
    ("A.", "1 1 1 1 1 1 1 1 1 0 1 1 1 1"),
    ("(A)", "1 1 1 1 1 1 1 1 1 1 0 0 0 1"),
    ("A) left", "1 1 1 1 1 0 1 1 1 0 0 1 0 1"),
    ("A left", "0 0 1 1 1 0 1 1 1 0 1 1 1 1"),
    ("**A**", "1 1 1 1 1 0 0 0 1 0 0 0 0 1"),
    ("`A`", "1 1 1 1 1 0 0 0 0 0 0 0 0 1"),
    ("``A``", "1 1 1 1 1 0 0 0 0 0 0 0 0 1"),
    ("{a}", "0 1 0 1 0 0 0 0 0 0 0 0 0 1"),
    ("Answer: A", "1 1 1 1 1 1 1 1 1 0 1 1 0 1"),
    ("answer: a", "0 1 1 1 0 1 1 1 0 0 0 1 0 1"),
    ("A or B", "0 0 0 1 1 0 1 1 0 0 1 1 1 0"),
    ("A\nB", "0 0 0 0 1 0 1 1 0 0 0 1 0 0"),
    ("left", "0 0 0 0 0 0 0 0 1 0 0 0 0 1"),
    ("A. left", "1 1 1 1 1 0 1 1 1 0 1 1 1 1"),
    ("B. a dog, not A.", "0 0 0 0 1 1 0 0 0 0 0 0 0 0"),
    ("<think>so A.</think>B", "1 1 0 1 1 0 0 0 1 0 0 0 0 0"),
    ("<think>so B</think>A", "0 0 0 0 0 1 0 0 0 0 0 0 0 1"),
    ("<answer>A</answer>", "1 1 1 1 1 0 0 0 0 0 0 0 0 1"),
    ("<answer>Because</answer>", "0 0 0 0 0 0 0 0 0 0 0 0 0 0"),
    ("（Ａ）", "0 0 0 0 0 0 0 0 0 0 0 0 0 1"),
    ("Ａ", "0 0 0 0 0 0 0 0 0 0 0 0 0 1"),
    ("答案：A", "1 1 1 1 1 1 0 0 0 0 0 0 0 1"),
    ("The answer is A", "1 1 1 1 1 1 1 0 1 0 0 0 0 1"),
    ("The answer is: A", "1 1 1 1 1 1 0 0 1 0 0 0 0 1"),
    ("The answer is A because", "0 0 1 1 1 0 1 0 1 0 0 0 0 1"),
    ("the answer is a chair", "0 0 1 1 0 0 1 0 1 0 0 0 0 0"),
    ("It is a.", "0 1 0 1 0 1 0 0 0 0 0 0 0 0"),
    ("a, or so", "0 1 0 1 0 0 1 1 0 0 0 1 0 0"),
    ("A bike", "0 0 1 1 1 0 1 1 1 0 1 1 1 0"),
    ("Another one", "0 0 0 0 0 0 1 1 0 0 0 1 0 0"),
    ("Because of A", "1 1 1 1 1 1 0 0 1 0 0 0 0 0"),
    ("As I see, E. coli", "0 0 0 0 0 0 1 1 0 0 0 1 0 0"),
    ("Ans='a'", "0 1 0 1 0 1 1 1 0 0 0 1 0 0"),
    ("Option A is correct", "0 0 1 1 1 1 0 0 1 0 0 0 0 1"),
    ("A was correct", "0 0 1 1 1 1 1 1 1 0 1 1 1 0"),
    ("The last: A", "1 1 1 1 1 1 0 0 1 0 0 0 0 1"),
    ("None", "0 0 0 0 0 0 0 0 0 0 0 0 0 0"),
    ("I can't process this file.", "0 0 0 0 0 0 0 0 0 0 0 0 0 0"),
]  # of a question whose answer is A
NUMBER_COLUMNS = [
    ("revsi-16", "official", "object_abs_distance"),
    ("vsti-bench", "official", "camera_displacement"),
    ("spbench-si", "official", "object_abs_distance"),
    ("spbench-si", "easi", "object_abs_distance"),
    ("spar-bench", "official", "depth_prediction_oc"),
    ("spar-bench", "official", "depth_prediction_oc_mv"),
    ("spbench-si", "strict", "object_abs_distance"),
]
NUMBERS: list[tuple[str | None, str]] = [
    (None, "0 ! ! 0 0 0 0"),
    ("", "0 0 0 0 0 0 0"),
    (" ", "0 0 0 0 0 0 0"),
    ("3", "1 1 1 1 1 1 1"),
    ("3.", "1 1 1 1 1 1 1"),
    ("3.0", "1 1 1 1 1 1 1"),
    ("3,", "0 0 1 1 1 1 1"),
    ("1,200", "0 0 0 0 0 0 0"),
    ("1.2e3", "0 0 0 0 0 1 0"),
    (".5", "0 0 0 0 0 0 0"),
    ("-3", "0 0 1 0 1 1 0"),
    ("+3", "1 1 1 1 1 1 1"),
    ("3 m", "1 1 1 1 1 1 1"),
    ("3m", "0 0 1 1 1 1 1"),
    ("300 cm", "0 0 0 0 0 0 0"),
    ("three", "0 0 1 1 0 0 1"),
    ("Three.", "0 0 1 1 0 0 1"),
    ("twenty-one", "0 0 0 0 0 0 0"),
    ("a dozen", "0 0 0 0 0 0 0"),
    ("2-3", "0 0 0.4 0 0.4 1 0"),
    ("4 then 3", "0.4 0.4 0.4 1 0.4 1 0"),
    ("approximately 3.5 meters", "0 0 0.7 0.7 0.7 0.7 0.7"),
    ("3/4", "0 0 1 0.4 1 0.4 0"),
    ("NaN", "0 0 0 0 0 0 0"),
    ("inf", "0 0 0 0 0 0 0"),
    ("1e999", "0 0 0 0 0 0 0"),
    ("∞", "0 0 0 0 0 0 0"),
    ("٣", "1 1 1 1 1 1 1"),
    ("１２", "0 0 0 0 0 0 0"),
    ("1_000", "0 0 0 0 0 0 0"),
    ("9" * 5000, "0 0 0 0 0 0 0"),
    ("<answer>3</answer>", "0 0 1 1 1 1 1"),
    ("<think>4</think>3", "0 0 0.4 1 0.4 1 1"),
    ("[3, 4]", "0 0 1 1 1 0.4 0"),
    ("x^3", "0 0 1 1 0 0 0"),
    ("half of 3", "0 0 1 1 1 1 0"),
]  # of a question whose answer is 3
# fmt: on


def golden() -> list[tuple[str, str, Said, str]]:
    """Benchmark, profile, what was said, the score."""
    cases = []
    for text, row in CHOICES:
        for (benchmark, profile, kind), score in zip(CHOICE_COLUMNS, row.split(), strict=True):
            cases.append((benchmark, profile, Said("1", kind, "q", OPTIONS, "A", text), score))
    for text, row in NUMBERS:
        for (benchmark, profile, kind), score in zip(NUMBER_COLUMNS, row.split(), strict=True):
            cases.append((benchmark, profile, Said("1", kind, "q", None, "3", text), score))
    return cases


@pytest.mark.parametrize("benchmark, profile", sorted({c[:2] for c in golden()}))
def test_single_answers(benchmark: str, profile: str) -> None:
    judge = profiles_of(benchmark)[profile].judge
    for _, _, said, expected in (case for case in golden() if case[:2] == (benchmark, profile)):
        judged = judge(said)
        found = "!" if judged.stops else f"{judged.score:g}"
        assert found == expected, (said.kind, said.text)
