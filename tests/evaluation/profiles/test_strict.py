"""Our own reading of answers: every shape has a value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geovr.evaluation.profiles.strict import WORDS, choice, number

OPTIONS = ("A. left", "B. right", "C. the chair", "D. a dog")


@pytest.mark.parametrize(
    "text, letter",
    [
        (None, None), ("", None), ("  \n", None),
        ("A", "A"), ("a", "A"), ("A.", "A"), ("(A)", "A"), ("A) chair", "A"), ("**A**", "A"),
        ("``A``", "A"), ("Answer: A", "A"), ("answer: b", "B"), ("Final answer: (C).", "C"),
        ("The answer is A because it is", "A"), ("Option B is correct", "B"), ("（Ｂ）", "B"),
        ("答案：A", "A"), ("<think>A. It is A</think>B", "B"),
        ("<answer> C. the chair </answer>", "C"),
        ("left", "A"), ("Left.", "A"), ("A left", "A"), ("a dog", "D"), ("B. right\n", "B"),
        # not one letter, or none that means an option
        ("A or B", None), ("A, B", None), ("A. left or B. right", None),
        ("The answer is A or B", None),
        ("A\nB", None), ("E", None), ("Because", None), ("A bike", None), ("It is a.", None),
        ("the answer is a chair", None), ("to the left", None), ("alright", None), ("AB", None),
        ("Another one", None), ("I see E. coli", None), ("left or right", None),
    ],
)  # fmt: skip
def test_choices(text: str | None, letter: str | None) -> None:
    assert choice(text, OPTIONS) == letter


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3), ("3.", 3), ("3.0", 3), ("3,", 3), ("1,200", 1200), ("1.2e3", 1200), (".5", 0.5),
        ("-3", -3), ("+3", 3), ("3 m", 3), ("3m", 3), ("300 cm", 300), ("three", 3), ("Three.", 3),
        ("twenty-one", 21), ("ninety nine", 99), ("approximately 3.5 meters", 3.5), ("3.5 m²", 3.5),
        ("١٢", 12), ("１２", 12), ("3 and 3", 3), ("<think>4</think>3", 3), ("**7**", 7),
        ("= 2", 2),
        ("<answer>2.5 m</answer>", 2.5), ("twelve, that is 12", 12),
        # no number, or not one
        (None, None), ("", None), ("a dozen", None), ("two hundred", None), ("2-3", None),
        ("2 – 3", None), ("3/4", None), ("½", None), ("3½", None), ("4 then 3", None),
        ("10:30", None),
        ("NaN", None), ("inf", None), ("1e999", None), ("∞", None), ("1_000", None), ("1,20", None),
        ("3.4.5", None), ("9" * 5000, None), ("many", None), ("m^2", None), ("someone", None),
    ],
)  # fmt: skip
def test_numbers(text: str | None, value: float | None) -> None:
    assert number(text) == value


def test_every_number_word() -> None:
    assert [number(word) for word in WORDS] == list(WORDS.values())
    assert len(WORDS) == 28


@given(st.text(), st.sampled_from([OPTIONS, OPTIONS[:1], ("G. x",), (), ("",)]))
def test_nothing_raises_and_only_letters_of_options_are_read(
    text: str, options: tuple[str, ...]
) -> None:
    letter = choice(text, options)
    assert letter is None or letter in "".join(option[:1] for option in options)
    value = number(text)
    assert value is None or abs(value) < float("inf")


@given(st.floats(0, 1e6, allow_nan=False), st.sampled_from(["", " m", " meters", "m.", " m²"]))
def test_a_number_with_a_unit_is_that_number(value: float, unit: str) -> None:
    assert number(f"{value:.3f}{unit}") == float(f"{value:.3f}")
