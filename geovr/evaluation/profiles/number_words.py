"""Numbers as lmms-eval reads them since 2026: in digits or in English words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from geovr.evaluation.profiles.strict import WORDS

_SCALES = {"hundred": 100, "thousand": 1000}
_DIGITS = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[a-z]+")
_TOO_LARGE = 1 << 1100
"""No float is that large. Words that reach it are not counted further: their products would fill
the memory."""


def first_number(text: str | None) -> float | None:
    """The first number in a text; None where there is none.

    Digits are read without a thousands separator, an exponent, or a point that they begin with:
    "1,200" is 1, ".5" is 5, "1e3" is 1. Number words belong together until another word comes
    between; "and" and anything but letters doesn't part them, so "two to three" is 2, but
    "two, three" is 5. A word's plural ("dozens", "ones") is none.

    Raises:
        OverflowError: for words of a number that is too large for a float.
    """
    text = (text or "").strip().lower()
    digits = _DIGITS.search(text)
    words = itertools.dropwhile(
        lambda found: found[0] not in WORDS and found[0] not in _SCALES, _WORD.finditer(text)
    )
    first = next(words, None)
    if digits and (first is None or digits.start() < first.start()):
        return float(digits[0])
    if first is None:
        return None
    rest = (found[0] for found in words)
    return float(_value(itertools.chain([first[0]], (word for word in rest if word != "and"))))


def _value(words: Iterable[str]) -> int:
    """The number that words say, up to the first that says none."""
    total = current = 0
    for word in words:
        if word == "thousand":
            total, current = total + max(current, 1) * 1000, 0
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in WORDS:
            current += WORDS[word]
        else:
            break
        if total + current > _TOO_LARGE:
            break
    return total + current
