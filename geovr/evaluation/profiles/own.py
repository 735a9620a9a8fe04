"""The flow's own rule, for questions that are no published benchmark's: geovr.evaluation.scorers.

Its score is the mean over the kinds of geovr.evaluation.kinds.headline; others are told beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geovr.data.numbers import is_text
from geovr.evaluation.kinds import groups as weighed
from geovr.evaluation.kinds import headline
from geovr.evaluation.profiles.adding import first_stop, told
from geovr.evaluation.profiles.profile import Group, Judged, Profile, Said, Total
from geovr.evaluation.profiles.reading import letter_or_none
from geovr.evaluation.scorers import first_word, merged_kind, parse_number, score

OWN = "own"
"""What benchmark tables, tags and experiments call such questions."""


def judge(said: Said) -> Judged:
    """A letter by the first word; a number by mean relative accuracy; words can't be scored."""
    text = said.text or ""
    if said.options:
        word = first_word(text)
        return Judged(score(text, said.answer, said.options), letter_or_none(word, said.options))
    number = None if is_text(said.answer) else parse_number(text)
    return Judged(score(text, said.answer, None), None if number is None else repr(number))


def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over kinds, each counting the same; directions of VSI-Bench are one kind."""
    stop = first_stop(saids, judged)
    if stop is not None or not saids:
        return stop or Total(None, {}, "there is no answer")
    values = np.asarray([one.score for one in judged])
    means = {group.name: float(values[group.members].mean()) for group in _kinds(saids)}
    parts = [(group.weight, values[group.members].mean()) for group in groups(saids)]
    return Total(float(sum(weight * mean for weight, mean in parts)), means)


def groups(saids: Sequence[Said]) -> list[Group]:
    """The kinds of the mean, and those beside it."""
    raw = np.asarray([said.kind for said in saids])
    head = headline(raw.tolist()).kinds
    masks, weights = weighed(raw, head)
    inside = [
        Group(str(raw[mask][0]), mask, weight) for mask, weight in zip(masks, weights, strict=True)
    ]
    return inside + [group for group in _kinds(saids) if group.name not in head]


def _kinds(saids: Sequence[Said]) -> list[Group]:
    return told(saids, lambda said: merged_kind(said.kind))


PROFILES = (Profile("flow", (OWN,), "this repository", judge, total, groups),)
