"""Numbers as single tokens: a grid of values in 8 % steps.

A model that spells numbers digit by digit loses a near-miss at 10.0 against 9.9 entirely, which
drowns small models in noise. With one token a number its distribution over values is explicit,
and the value of highest expected score can be chosen.
"""

from __future__ import annotations

import bisect
import math

STEP = 1.08
_LOWEST, _HIGHEST = 0.1, 1000.0
_COUNT = math.ceil(math.log(_HIGHEST / _LOWEST) / math.log(STEP)) + 1


def _text(value: float) -> str:
    """Three significant digits, never in exponent form."""
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}"


BIN_TEXTS: tuple[str, ...] = tuple(_text(_LOWEST * STEP**index) for index in range(_COUNT))
"""What each bin is written as; one token each in the tiny tokenizer."""

BINS: tuple[float, ...] = tuple(float(text) for text in BIN_TEXTS)
"""The values the texts stand for, increasing."""


def bin_text(index: int) -> str:
    """The text of a bin."""
    return BIN_TEXTS[index]


def is_number(text: str) -> bool:
    """Whether a recorded answer is a number that can be scored: finite, from zero up."""
    try:
        value = float(text)
    except ValueError:
        return False
    return math.isfinite(value) and value >= 0


def is_text(text: str) -> bool:
    """Whether a recorded answer is words, not a number of whatever kind."""
    try:
        float(text)
    except ValueError:
        return bool(text.strip())
    return False


def nearest_bin(value: float) -> int:
    """Index of the bin nearest in ratio; values outside the grid go to its ends.

    Raises:
        ValueError: for a value that is not a finite number above or equal zero.
    """
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{value}: only finite numbers from zero up have a bin")
    right = bisect.bisect_left(BINS, value)
    if right == 0:
        return 0
    if right == len(BINS):
        return len(BINS) - 1
    return right if value / BINS[right - 1] > BINS[right] / value else right - 1
