"""Small readings that the profiles of several benchmarks share."""

from __future__ import annotations

import math

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


def shown(number: float | None) -> str | None:
    """A number as it is told in Judged.read."""
    if number is None:
        return None
    return f"{number:g}" if math.isfinite(number) else str(number)


def recorded_option(said: Said) -> str:
    """The recorded answer as benchmarks that record the whole option do: "A. left"."""
    options = said.options or ()
    return next((o for o in options if split_option(o)[0] == said.answer), said.answer)


def option_texts(said: Said) -> dict[str, str]:
    """Letter -> text of the options; empty for a question without."""
    return dict(map(split_option, said.options or ()))
