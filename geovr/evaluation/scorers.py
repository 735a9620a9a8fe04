"""Scores of single answers by the official rules of VSI-Bench.

Choices: the first word, without a full stop, equals the letter, whatever the case. Numbers: the
first word read as a number, scored by mean relative accuracy; what is no number scores 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from geovr.data.numbers import is_text
from geovr.evaluation.mra import mean_relative_accuracy

DIRECTIONS = (
    "object_rel_direction_easy",
    "object_rel_direction_medium",
    "object_rel_direction_hard",
)
DIRECTION = "object_rel_direction"


def first_word(text: str) -> str:
    """What the official scorer looks at."""
    return text.split(" ")[0].rstrip(".").strip()


def parse_number(text: str) -> float | None:
    """The first word as a number, None when it is none. NaN is no number."""
    try:
        number = float(first_word(text))
    except ValueError:
        return None
    return None if math.isnan(number) else number


def score(text: str, answer: str, options: Sequence[str] | None) -> float:
    """Score of an answer, from 0 to 1; never raises.

    Args:
        text: what the model said.
        answer: the option's letter, or the number.
        options: None, or none of them, for a number; a text has no score here.
    """
    if options is not None and len(options) > 0:
        return float(first_word(text).lower() == answer.lower())
    predicted, target = parse_number(text), None if is_text(answer) else parse_number(answer)
    if predicted is None or target is None:
        return 0.0
    return mean_relative_accuracy(predicted, target)


def merged_kind(kind: str) -> str:
    """The kind under which a raw type is reported: the three directions are one."""
    return DIRECTION if kind in DIRECTIONS else kind
