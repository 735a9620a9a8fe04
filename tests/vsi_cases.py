"""What each scorer of VSI-Bench makes of every shape of answer, written out.

A name of an error stands where the scorer's own code ends with it. docs/scoring.md shows the same
table.
"""

from __future__ import annotations

PROFILES = ("official", "lmms-eval", "easi", "geovr-paper", "strict")
Cell = float | str
Case = tuple[str | None, str, Cell, Cell, Cell, Cell, Cell]
"""What was said, the recorded answer, then a score or an error for each profile."""
OPTIONS = ("A. left", "B. right", "C. chair")

NUMBERS: tuple[Case, ...] = (
    (None, "3", "AttributeError", 0, 0, 0, 0),
    ("", "3", 0, 0, 0, 0, 0),
    ("   ", "3", 0, 0, 0, 0, 0),
    ("3", "3", 1, 1, 1, 1, 1),
    ("3.", "3", 1, 1, 1, 1, 1),
    ("3.0", "3", 1, 1, 1, 1, 1),
    ("3,", "3", 0, 1, 1, 0, 1),
    (" 3", "3", 0, 1, 1, 1, 1),
    ("1,200", "1200", 0, 0, 0, 0, 1),
    ("1.2e3", "1200", 1, 0, 1, 1, 1),
    (".5", "0.5", 1, 0, 1, 1, 1),
    ("-3", "3", 0, 0, 0, 0, 0),
    ("+3", "3", 1, 1, 1, 1, 1),
    ("3 m", "3", 1, 1, 1, 0, 1),
    ("3m", "3", 0, 1, 1, 0, 1),
    ("300 cm", "3", 0, 0, 0, 0, 0),
    ("300 cm", "300", 1, 1, 1, 0, 1),
    ("20 m2", "20", 1, 1, 0, 0, 1),
    ("three", "3", 0, 1, 1, 0, 1),
    ("Three.", "3", 0, 1, 1, 0, 1),
    ("twenty-one", "21", 0, 1, 0, 0, 1),
    ("three hundred and twenty-one", "321", 0, 1, 0, 0, 0),
    ("a dozen", "12", 0, 0, 0, 0, 0),
    ("2-3", "2", 0, 1, 0, 0, 0),
    ("2-3", "3", 0, 0.4, 0, 0, 0),
    ("approximately 3.5 meters", "3.5", 0, 1, 1, 0, 1),
    ("3/4", "0.75", 0, 0, 0, 0, 0),
    ("3/4", "3", 0, 1, 0.4, 0, 0),
    ("one apple, room 2", "1", 0, 1, 0, 0, 0),
    ("I see 2 or 3", "3", 0, 0.4, 1, 0, 0),
    ("<think>5</think> 3", "3", 0, 0, 1, 0, 1),
    ("<answer>3</answer>", "3", 0, 1, 1, 0, 1),
    ("[3, 4]", "3", 0, 1, 1, 0, 0),
    ("NaN", "3", 0, 0, 0, 0, 0),
    ("inf", "3", 0, 0, 0, 0, 0),
    ("1e999", "3", 0, 0, 0, 0, 0),
    ("∞", "3", 0, 0, 0, 0, 0),
    ("٣", "3", 1, 1, 1, 1, 1),
    ("１２", "12", 1, 1, 1, 1, 1),
    ("1_000", "1000", 1, 0, 0, 1, 0),
    ("9" * 400, "3", 0, 0, 0, 0, 0),
    ("hundred " * 200, "3", 0, "OverflowError", 0, 0, 0),
    ("0", "0", "ZeroDivisionError", "ZeroDivisionError", 1, 1, 1),
    ("3", "0", "ZeroDivisionError", "ZeroDivisionError", 0, 0, 0),
    ("three", "0", 0, "ZeroDivisionError", 0, 0, 0),
    ("3", "-3", 1, 1, 0, 1, 0),
    ("100", "-3", 1, 1, 0, 1, 0),
    ("-3", "-3", 1, 1, 1, 1, 1),
    ("three", "-3", 0, 1, 0, 0, 0),
    ("3", "nan", 0, 0, 0, 0, "ValueError"),
    ("3", "three", 0, 0, 0, 0, "ValueError"),
    ("three", "three", 0, 0, 0, 0, "ValueError"),
)  # fmt: skip
CHOICES: tuple[Case, ...] = (
    (None, "B", "AttributeError", "AttributeError", 0, "TypeError", 0),
    ("", "B", 0, 0, 0, "IndexError", 0),
    ("   ", "B", 0, 0, 0, 0, 0),
    ("B", "B", 1, 1, 1, 1, 1),
    ("b", "B", 1, 1, 1, 0, 1),
    ("B.", "B", 1, 1, 1, 1, 1),
    (" B", "B", 0, 0, 1, 0, 1),
    ("(B)", "B", 0, 0, 1, 0, 1),
    ("B) right", "B", 0, 0, 1, 1, 1),
    ("B. right", "B", 1, 1, 1, 1, 1),
    ("B right", "B", 1, 1, 1, 1, 1),
    ("**B**", "B", 0, 0, 1, 0, 1),
    ("Answer: B", "B", 0, 0, 1, 0, 1),
    ("The answer is B.", "B", 0, 0, 1, 0, 1),
    ("A or B", "A", 1, 1, 0, 1, 0),
    ("A or B", "B", 0, 0, 0, 0, 0),
    ("A B", "A", 1, 1, 0, 1, 0),
    ("B, not A", "B", 0, 0, 0, 1, 0),
    ("right", "B", 0, 0, 0, 0, 1),
    ("A chair", "A", 1, 1, 1, 1, 0),
    ("Because", "B", 0, 0, 0, 1, 0),
    ("<think>A</think>B", "B", 0, 0, 0, 0, 1),
    ("<think>A</think>B", "A", 0, 0, 1, 0, 0),
    ("<think>it may be A..</think>B", "B", 0, 0, 1, 0, 1),
    ("<answer>B</answer>", "B", 0, 0, 1, 0, 1),
    ("Ｂ", "B", 0, 0, 0, 0, 1),
    ("（B）", "B", 0, 0, 1, 0, 1),
    ("答案：B", "B", 0, 0, 1, 0, 1),
    ("选B", "B", 0, 0, 1, 0, 0),
    ("Option A: left\nB", "B", 0, 0, 1, 0, 0),
    ("G", "G", 1, 1, 1, 1, 0),
    ("nothing", "G", 0, 0, 1, 0, 0),
)  # fmt: skip
PAIRS: tuple[Case, ...] = (
    ("9", "10", 0.9, 0.9, 0.9, 0.8, 0.9),
    ("11", "10", 0.9, 0.9, 0.9, 0.8, 0.9),
    ("3", "4", 0.6, 0.6, 0.6, 0.5, 0.6),
    ("5", "4", 0.6, 0.6, 0.6, 0.5, 0.6),
    ("3", "2", 0.1, 0.1, 0.1, 0, 0.1),
    ("1", "2", 0.1, 0.1, 0.1, 0, 0.1),
    ("6", "4", 0.1, 0.1, 0.1, 0, 0.1),
    ("15", "10", 0.1, 0.1, 0.1, 0, 0.1),
    ("8", "10", 0.6, 0.6, 0.6, 0.6, 0.7),
    ("7", "10", 0.5, 0.5, 0.5, 0.5, 0.5),
    ("9.5", "10", 1, 1, 1, 1, 1),
)  # fmt: skip
"""Numbers near a threshold, where `<` and `<=`, and rounding, part the scorers."""


def written(text: str | None) -> str:
    """A text as it stands in a table."""
    if text is None:
        return "no text"
    for piece in ("9", "hundred "):
        if len(text) > 60 and text == piece * (len(text) // len(piece)):
            return f"`{piece!r}` x {len(text) // len(piece)}"
    return f"`{text!r}`" if "`" not in text else f"`` {text!r} ``"


def table(cases: tuple[Case, ...]) -> str:
    """Cases as Markdown."""
    rows = [["said", "recorded", *PROFILES], ["---"] * (2 + len(PROFILES))]
    for said, recorded, *cells in cases:
        told = [cell if isinstance(cell, str) else f"{cell:g}" for cell in cells]
        rows.append([written(said), recorded, *told])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
