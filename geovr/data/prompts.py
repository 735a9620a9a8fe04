"""How a question, its options and its answer are worded for the model; the same in training and
evaluation, so that a score never hangs on a difference of wording.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from geovr.data.numbers import bin_text, is_number, nearest_bin

NumericAnswers = Literal["binned", "text"]

LETTER = "Answer with the letter of the option."
NUMBER = "Answer with a single number."


def prompt_text(question: str, options: Sequence[str] | None) -> str:
    """The user's turn after the video. `options` are lettered already ("A. left")."""
    if options is None or len(options) == 0:
        return f"{question}\n{NUMBER}"
    return "\n".join([question, "Options:", *options, LETTER])


def answer_text(answer: str, options: Sequence[str] | None, numeric: NumericAnswers) -> str:
    """The assistant's turn: the answer as recorded, or for numbers the nearest 8 % bin's text."""
    if numeric == "binned" and (options is None or len(options) == 0) and is_number(answer):
        return bin_text(nearest_bin(float(answer)))
    return answer
