"""What is asked in VSI-Bench, as all its scorers sort it."""

from __future__ import annotations

from collections.abc import Sequence

from geovr.evaluation.benchmarks.item import split_option
from geovr.evaluation.kinds import VSI_BENCH
from geovr.evaluation.profiles.profile import Judged, Said
from geovr.evaluation.profiles.reading import stopped
from geovr.evaluation.scorers import DIRECTION, DIRECTIONS

BENCHMARKS = ("vsi-bench", "vsi-bench-debiased", "vsi-bench-pruned")
NUMBERS = VSI_BENCH[:4]
CHOICES = (*DIRECTIONS, *(kind for kind in VSI_BENCH[4:] if kind != DIRECTION))
KINDS = frozenset((*NUMBERS, *CHOICES))
LETTERS = ("A", "B", "C", "D", "E", "F")
"""Of a choice whose options were not saved."""


def unknown(said: Said) -> Judged:
    """A question of no kind of the benchmark, at which the scorers end."""
    return stopped(f"ValueError: Unknown question type: {said.kind}")


def letters_of(options: Sequence[str] | None) -> tuple[str, ...]:
    """Of the options."""
    return tuple(split_option(option)[0] for option in options) if options else LETTERS


def letter_or_none(word: str, options: Sequence[str] | None, *, fold: bool = True) -> str | None:
    """A word if it is an option's letter; None for what can't be right whatever the answer is.

    Args:
        word: what a scorer looks at.
        options: of the question.
        fold: whether a small letter is as good.
    """
    return word if (word.upper() if fold else word) in letters_of(options) else None
