"""Scorers of ReVSI, which descend from VSI-Bench's.

A choice is right when the answer's first word is the recorded letter, whatever the case. A number
is the first word, scored by mean relative accuracy; a negative target gives every number 1, since
the error is divided by it with its sign.

`strict` scores such a target 0 and one of zero when it is hit, reads "(A)", "Answer: A" and "3m"
too, and knows of no kind that would end it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geovr.evaluation.profiles import strict
from geovr.evaluation.profiles.adding import by_kinds, first_stop, lines_of, means_of
from geovr.evaluation.profiles.profile import Group, Judged, Profile, Said, Total
from geovr.evaluation.profiles.reading import as_float, letter_or_none, stopped, within
from geovr.evaluation.scorers import first_word

BENCHMARKS = ("revsi-16", "revsi-32", "revsi-64", "revsi-all")
_PARTS = {
    "object_rel_direction": ("forward_easy", "backward_easy", "forward_hard", "backward_hard"),
    "object_rel_distance": ("closest", "farthest"),
    "object_counting": ("single", "multiple"),
    "room_size_estimation": ("single", "multiple"),
}
MERGED = {f"{kind}_{part}": kind for kind, parts in _PARTS.items() for part in parts}
"""Raw kind -> what it is reported with."""
_NUMBERS = (
    "object_counting_single",
    "object_counting_multiple",
    "object_abs_distance",
    "object_size_estimation",
    "room_size_estimation_single",
    "room_size_estimation_multiple",
)
_CHOICES = (*(kind for kind in MERGED if kind not in _NUMBERS), "route_planning")
_UNBOUND = (
    "UnboundLocalError: cannot access local variable 'acc' where it is not associated with a value"
)


def judge(said: Said) -> Judged:
    """The first word; whatever goes wrong with a number scores 0."""
    word = first_word(str(said.text).strip())
    if said.kind in _CHOICES:
        right = word.lower() == said.answer.lower()
        return Judged(float(right), letter_or_none(word, said.options))
    if said.kind not in _NUMBERS:
        return stopped(_UNBOUND)
    predicted, target = as_float(word), as_float(said.answer)
    if predicted is None or target is None or target == 0:
        return Judged(0.0, None if predicted is None else word)
    return Judged(within(abs(predicted - target) / target), word)


def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over seven kinds, four of them being means of their parts."""
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = means_of(saids, judged)
    if not means:
        return Total(None, {}, "KeyError: 'question_type'")
    for kind, parts in _PARTS.items():
        names = [f"{kind}_{part}" for part in parts]
        there = [means.pop(name) for name in names if name in means]
        if there:
            means[kind] = np.float64(np.mean(there))
    overall = float(sum(means.values()) / len(means))
    return Total(overall, lines_of(means, "{}_acc".format))


def groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups."""
    return by_kinds(saids, lambda kind: MERGED.get(kind, kind), "{}_acc".format)


_SOURCE = (
    "EvolvingLMMs-Lab/lmms-eval at 75571cf, tasks/revsi, which its authors published it in; a"
    " repository of their own could not be read. VLMEvalKit's revsi.py is the same"
)
PROFILES = (
    Profile("official", BENCHMARKS, _SOURCE, judge, total, groups),
    Profile("lmms-eval", BENCHMARKS, _SOURCE, judge, total, groups),
    Profile(
        "strict",
        BENCHMARKS,
        strict.SOURCE,
        strict.judge,
        lambda saids, judged: strict.kinds_total(saids, judged, MERGED),
        lambda saids: strict.kinds_groups(saids, MERGED),
    ),
)
