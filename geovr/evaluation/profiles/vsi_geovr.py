"""VSI-Bench as the GeoVR authors score it (metric_result.py), which is not the official way.

An error on a threshold doesn't pass it (<, not <=), which costs the common small counts a step. The
three difficulties of a direction are one pool. Kinds that are missing count as 0, and questions of
unknown kinds are passed over. Of an answer to a choice the first character counts, and an empty one
ends the evaluation; a number must be the whole answer. Their evaluation strips answers before they
are saved (eval_vsi.py), which is not done here again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geovr.evaluation.kinds import VSI_BENCH
from geovr.evaluation.profiles.adding import first_stop, scores_of
from geovr.evaluation.profiles.profile import Group, Judged, Said, Total
from geovr.evaluation.profiles.reading import as_float, letter_or_none, stopped
from geovr.evaluation.profiles.vsi_kinds import CHOICES, NUMBERS
from geovr.evaluation.scorers import merged_kind

_THRESHOLDS = [round(0.5 + step * 0.05, 2) for step in range(10)]
"""Not those of the official scorer to the last bit."""
_NO_CHARACTER = "IndexError: string index out of range"
_NO_TEXT = "TypeError: 'NoneType' object is not subscriptable"


def judge(said: Said) -> Judged:
    """The first character as a letter, the whole as a number."""
    if said.kind in CHOICES:
        if not said.text:
            return stopped(_NO_TEXT if said.text is None else _NO_CHARACTER)
        first = said.text[0].strip()
        right = first == said.answer.strip()
        return Judged(float(right), letter_or_none(first, said.options, fold=False))
    if said.kind not in NUMBERS or said.text is None:
        return Judged(0.0, None)
    predicted, target = as_float(said.text), as_float(said.answer)
    if predicted is None or target is None:
        return Judged(0.0, None if predicted is None else said.text.strip())
    return Judged(_relative_accuracy(predicted, target), said.text.strip())


def _relative_accuracy(predicted: float, target: float) -> float:
    if target == 0:
        error = 0.0 if predicted == 0 else float("inf")
    else:
        error = abs(predicted - target) / target
    return sum(error < (1.0 - threshold) for threshold in _THRESHOLDS) / 10.0


def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """An eighth of the sum of the eight kinds' means."""
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    scores = scores_of(saids, judged, lambda said: merged_kind(said.kind))
    means = {
        kind: sum(scores[kind]) / len(scores[kind]) if kind in scores else 0.0 for kind in VSI_BENCH
    }
    return Total(sum(means.values()) / 8.0, means)


def groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups; without a kind their weights are less than 1 in all."""
    kinds = np.asarray([merged_kind(said.kind) for said in saids])
    present = set(kinds.tolist())
    return [Group(kind, kinds == kind, 1 / 8) for kind in VSI_BENCH if kind in present]
