"""Scorers of VSI-Bench, of its debiased part and of what was pruned for that.

`official`, `lmms-eval` and `easi` weigh the kinds alike, and a direction's three difficulties as
one kind. What each does with a file that lacks some of them differs, and is kept. They sum with
numpy's or Python's own floats as the upstream does; from Python 3.12 on the latter's last bit is
another, there as here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geovr.evaluation.kinds import VSI_BENCH
from geovr.evaluation.profiles import strict, vlmevalkit, vsi_geovr, vsi_strict
from geovr.evaluation.profiles.adding import by_kinds, first_stop, lines_of, means_of
from geovr.evaluation.profiles.number_words import first_number
from geovr.evaluation.profiles.profile import Group, Judged, Profile, Said, Total
from geovr.evaluation.profiles.reading import (
    NO_SPLIT,
    as_float,
    letter_or_none,
    signed_accuracy,
    stopped,
)
from geovr.evaluation.profiles.vsi_kinds import (
    BENCHMARKS,
    CHOICES,
    NUMBERS,
    unknown,
)
from geovr.evaluation.scorers import DIRECTION, DIRECTIONS, first_word, merged_kind

_TASK = "lmms_eval/tasks/vsibench/utils.py"
_LMMS_LINES = (
    "obj_appearance_order",
    "object_abs_distance",
    "object_counting",
    "object_rel_distance",
    "object_size_estimation",
    "room_size_estimation",
    "route_planning",
    DIRECTION,
)


def _first_word_choice(said: Said) -> Judged:
    """The first word, without full stops, is the letter, whatever the case."""
    if said.text is None:
        return stopped(NO_SPLIT)
    word = first_word(said.text)
    return Judged(float(word.lower() == said.answer.lower()), letter_or_none(word, said.options))


def official_judge(said: Said) -> Judged:
    """The first word, as a letter or as what `float` takes for a number."""
    if said.kind in CHOICES:
        return _first_word_choice(said)
    if said.kind not in NUMBERS:
        return unknown(said)
    if said.text is None:
        return stopped(NO_SPLIT)
    word = first_word(said.text)
    return signed_accuracy(as_float(word), said, word)


def lmms_judge(said: Said) -> Judged:
    """The first word as a letter; the first number anywhere, in digits or English words."""
    if said.kind in CHOICES:
        return _first_word_choice(said)
    if said.kind not in NUMBERS:
        return unknown(said)
    try:
        number = first_number(said.text)
    except OverflowError as error:
        return stopped(f"OverflowError: {error}")
    return signed_accuracy(number, said, None if number is None else str(number))


def easi_judge(said: Said) -> Judged:
    """VLMEvalKit's rules: a letter that stands out, or the last number."""
    if said.kind in CHOICES:
        return vlmevalkit.judge_choice(said)
    return vlmevalkit.judge_number(said) if said.kind in NUMBERS else unknown(said)


def official_total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over the kinds that are there; directions are merged where there is an easy one."""
    return _total(saids, judged, guarded=True)


def lmms_total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The same, but all three directions must be there; rounded to 6 digits as numpy rounds."""
    found = _total(saids, judged, guarded=False)
    if found.overall is None:
        return found
    lines = {kind: _rounded(found.lines.get(kind, 0.0)) for kind in _LMMS_LINES}
    return Total(_rounded(found.overall), lines)


def _rounded(share: float) -> float:
    # numpy's rounding of its own floats is not Python's
    return float(round(np.float64(share), 6))


def _total(saids: Sequence[Said], judged: Sequence[Judged], guarded: bool) -> Total:
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = dict(means_of(saids, judged))
    if not means:
        return Total(None, {}, "KeyError: 'question_type'")
    if DIRECTIONS[0] in means or not guarded:
        for kind in DIRECTIONS:
            if kind not in means:
                return Total(None, {}, f"KeyError: '{kind}_accuracy'")
        means[DIRECTION] = np.float64(sum([means.pop(kind) for kind in DIRECTIONS]) / 3.0)
    overall = sum(means.values()) / len(means)
    return Total(float(overall), lines_of({k: means[k] for k in VSI_BENCH if k in means}))


def easi_total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over the kinds that are there; directions are merged where all three are."""
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    found = {kind: float(mean) for kind, mean in means_of(saids, judged).items()}
    means = {kind: found[kind] for kind in sorted(found, key=lambda kind: kind in NUMBERS)}
    if all(kind in means for kind in DIRECTIONS):
        easy, medium, hard = (means.pop(kind) for kind in DIRECTIONS)
        means[DIRECTION] = (easy + medium + hard) / 3.0
    overall = float(sum(means.values()) / len(means)) if means else 0.0
    return Total(overall, lines_of({k: means[k] for k in VSI_BENCH if k in means}))


def groups(saids: Sequence[Said]) -> list[Group]:
    """The kinds of `official` and `lmms-eval`, where they have a total."""
    easy = any(said.kind == DIRECTIONS[0] for said in saids)
    return by_kinds(saids, merged_kind if easy else str)


def easi_groups(saids: Sequence[Said]) -> list[Group]:
    """The kinds of `easi`."""
    return by_kinds(saids, merged_kind if set(DIRECTIONS) <= {s.kind for s in saids} else str)


PROFILES = (
    Profile(
        "official",
        BENCHMARKS,
        f"vision-x-nyu/thinking-in-space at 51e089c, {_TASK}",
        official_judge,
        official_total,
        groups,
    ),
    Profile(
        "lmms-eval",
        BENCHMARKS,
        f"EvolvingLMMs-Lab/lmms-eval at 75571cf (2026-08), {_TASK}",
        lmms_judge,
        lmms_total,
        groups,
    ),
    Profile(
        "easi",
        BENCHMARKS,
        vlmevalkit.RULES + "vlmeval/dataset/vsibench.py",
        easi_judge,
        easi_total,
        easi_groups,
    ),
    Profile(
        "geovr-paper",
        BENCHMARKS,
        "WHB139426/GeoVR-MLLM at aa5be40, metric_result.py",
        vsi_geovr.judge,
        vsi_geovr.total,
        vsi_geovr.groups,
    ),
    Profile(
        "strict", BENCHMARKS, strict.SOURCE, vsi_strict.judge, vsi_strict.total, vsi_strict.groups
    ),
)
