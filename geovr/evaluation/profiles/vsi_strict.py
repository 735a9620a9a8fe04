"""Our own scorer of VSI-Bench, with the official definition and no upstream's bug.

It takes an answer in any wording that means one thing (see strict.py), where `official` looks at
the first word, `lmms-eval` at the first number, `easi` at the last one and `geovr-paper` at the
first character. Errors are relative to the target's size and compared without rounding, so that a
number scores the same in any unit: 8 of 10 passes the threshold 0.8, which rounding denies it
elsewhere. A target of zero or below ends nothing and gives nothing away. Each kind that was asked
counts the same, a direction's difficulties share one part, and nothing is added for kinds that were
not asked. A recorded answer that is no number makes no answer wrong: there is no score until it is
repaired.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from geovr.evaluation.kinds import VSI_BENCH
from geovr.evaluation.mra import exact_relative_accuracy
from geovr.evaluation.profiles import strict
from geovr.evaluation.profiles.adding import by_kinds
from geovr.evaluation.profiles.profile import Group, Judged, Said, Total
from geovr.evaluation.profiles.reading import LETTERS, as_float, shown, stopped
from geovr.evaluation.profiles.vsi_kinds import CHOICES, NUMBERS, unknown
from geovr.evaluation.scorers import DIRECTION, DIRECTIONS, merged_kind

_LETTERED = tuple(f"{letter}." for letter in LETTERS)
_MERGED = dict.fromkeys(DIRECTIONS, DIRECTION)


def judge(said: Said) -> Judged:
    """The one letter, or the one number, that an answer means."""
    if said.kind in CHOICES:
        letter = strict.choice(said.text, said.options or _LETTERED)
        return Judged(float(letter is not None and letter == said.answer.strip().upper()), letter)
    if said.kind not in NUMBERS:
        return unknown(said)
    target = as_float(said.answer)
    if target is None or not math.isfinite(target):
        return stopped(f"ValueError: the recorded answer {said.answer!r} is no number")
    predicted = strict.number(said.text)
    if predicted is None:
        return Judged(0.0, None)
    return Judged(exact_relative_accuracy(predicted, target), shown(predicted))


def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over the kinds that were asked."""
    found = strict.kinds_total(saids, judged, _MERGED)
    if found.overall is None:
        return found
    if not saids:
        return Total(None, {}, "ValueError: there is no answer to score")
    return Total(found.overall, {k: found.lines[k] for k in VSI_BENCH if k in found.lines})


def groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups."""
    return by_kinds(saids, merged_kind)
