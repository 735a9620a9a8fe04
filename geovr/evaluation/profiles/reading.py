"""Small readings that the profiles of several benchmarks share."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence

from geovr.evaluation.benchmarks.item import split_option
from geovr.evaluation.mra import THRESHOLDS
from geovr.evaluation.profiles.profile import Judged, Said

NO_SPLIT = "AttributeError: 'NoneType' object has no attribute 'split'"
NO_STRIP = "AttributeError: 'NoneType' object has no attribute 'strip'"
NO_LOWER = "AttributeError: 'NoneType' object has no attribute 'lower'"
ZERO_DIVISION = "ZeroDivisionError: float division by zero"
UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
LETTERS = ("A", "B", "C", "D", "E", "F")
"""Of a choice whose options were not saved."""
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def stopped(error: str, read: str | None = None) -> Judged:
    """An answer at which the upstream's code ends."""
    return Judged(0.0, read, error)


def as_float(text: str) -> float | None:
    """What `float` makes of a text, None where it raises. NaN and infinity are numbers to it."""
    try:
        return float(text)
    except ValueError:
        return None


def within(error: float) -> float:
    """Share of the thresholds t of mean relative accuracy with error <= 1 - t; 0 for NaN."""
    return float((error <= 1 - THRESHOLDS).mean())


def relative_accuracy(predicted: float, target: float) -> float:
    """Mean relative accuracy as SPAR-Bench and VLMEvalKit have it.

    The error is taken without its sign, so that a negative target is like a positive one; that of
    a target of zero is the plain difference.
    """
    if target == 0.0:
        return within(abs(predicted - target))
    return within(abs((predicted - target) / target))


def signed_accuracy(predicted: float | None, said: Said, read: str | None) -> Judged:
    """Mean relative accuracy as VSI-Bench's scorer and its copies have it.

    The error is taken over the target with its sign, so that below zero every number is right; a
    target of zero ends the upstream's code.

    Args:
        predicted: the number in the answer; None where there is none.
        said: with the recorded answer.
        read: what was taken for the number.
    """
    target = as_float(said.answer)
    if predicted is None or target is None:
        return Judged(0.0, None if predicted is None else read)
    if target == 0:
        return stopped(ZERO_DIVISION, read)
    return Judged(within(abs(predicted - target) / target), read)


def shown(number: float | None) -> str | None:
    """A number as it is told in Judged.read."""
    if number is None:
        return None
    return f"{number:g}" if math.isfinite(number) else str(number)


def letters_of(options: Sequence[str] | None) -> tuple[str, ...]:
    """Of the options; by their places where none bears a letter."""
    if not options:
        return LETTERS
    own = tuple(letter for letter, _ in map(split_option, options) if letter)
    return own or tuple(string.ascii_uppercase[: len(options)])


def letter_or_none(
    word: str | None, options: Sequence[str] | None, *, fold: bool = True
) -> str | None:
    """A word if it is an option's letter; None for what can't be right whatever the answer is.

    Args:
        word: what a scorer looks at; None where it found nothing to look at.
        options: of the question.
        fold: whether a small letter is as good.
    """
    if word is None:
        return None
    return word if (word.upper() if fold else word) in letters_of(options) else None


def recorded_option(said: Said) -> str:
    """The recorded answer as benchmarks that record the whole option do: "A. left"."""
    options = said.options or ()
    return next((o for o in options if split_option(o)[0] == said.answer), said.answer)


def option_texts(said: Said) -> dict[str, str]:
    """Letter -> text of the options; empty for a question without."""
    return dict(map(split_option, said.options or ()))
