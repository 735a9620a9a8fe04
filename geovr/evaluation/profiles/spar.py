"""Scorers of SPAR-Bench.

In `strict` an empty answer is never right, nor is a word for its first letter; a change of view is
measured by the truth, spaces between its motions do no harm, and it counts in its level; two
numbers that differ are no answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from geovr.evaluation.benchmarks.stills import SPAR_NUMBERS, SPAR_TEXT
from geovr.evaluation.mra import exact_relative_accuracy
from geovr.evaluation.profiles import strict, vlmevalkit
from geovr.evaluation.profiles.adding import (
    by_kinds,
    first_stop,
    kinds_total,
    means_of,
    scores_of,
)
from geovr.evaluation.profiles.profile import Group, Judged, Profile, Said, Total
from geovr.evaluation.profiles.reading import (
    NO_LOWER,
    as_float,
    letter_or_none,
    relative_accuracy,
    shown,
    stopped,
)

BENCHMARKS = ("spar-bench", "spar-bench-tiny")
_MIDDLE = ("position_matching", "camera_motion_infer", SPAR_TEXT)
_HIGH = (
    "distance_infer_center_oo",
    "distance_infer_center_oo_mv",
    *(f"obj_spatial_relation_{views}" for views in ("oc_mv", "oo", "oo_mv")),
    *(f"spatial_imagination_{views}" for views in ("oc", "oc_mv", "oo", "oo_mv")),
)
_LEVELS = {"Low": SPAR_NUMBERS, "Middle": _MIDDLE, "High": _HIGH}
_CHOICES = (*_MIDDLE[:2], *_HIGH)
_AXES = (
    ("move_right", "move_left"),
    ("move_up", "move_down"),
    ("move_forward", "move_backward"),
    ("rotate_right", "rotate_left"),
    ("rotate_up", "rotate_down"),
)
_FIGURE = re.compile(r"(?<!\^)\d+\.\d+|(?<!\^)\d+")
_MOST_DIGITS = 4300
"""Of a whole number that Python reads; a number of more scores 0, as one that no float holds."""
_MOTION = re.compile(r"((?:move|rotate)_[a-z]+)\s*[:=]\s*([-+]?\d*\.?\d+)", re.ASCII)


def _line(kind: str) -> str:
    if kind == SPAR_TEXT:
        return f"{kind}_vci_metric"
    return f"{kind}_accuracy" if kind in _CHOICES else f"{kind}_MRA:.5:.95:.05"


def _axes(motions: Mapping[str, float]) -> list[float]:
    """Signed motion along each of the five axes; one that isn't named is zero."""
    return [motions.get(plus, 0) - motions.get(minus, 0) for plus, minus in _AXES]


def judge(said: Said) -> Judged:
    """Rules of its authors, which lmms-eval has copied.

    A choice: an answer that is a part of the letter is right, and so is an empty one, and one whose
    first character is the letter ("Because" is B). A number: the first figure, of several images
    the last. A change of view: mean relative accuracy with prediction and truth exchanged.
    """
    if said.kind in _CHOICES:
        return _official_choice(said)
    if said.kind == SPAR_TEXT:
        return _official_motion(said)
    if said.kind in SPAR_NUMBERS:
        return _official_number(said)
    # the message of its error names a field that isn't there
    return stopped("KeyError: 'question_type'")


def _official_choice(said: Said) -> Judged:
    if said.text is None:
        return stopped(NO_LOWER)
    text, letter = said.text.lower(), said.answer.lower()
    read = letter_or_none(text[:1], said.options)
    return Judged(float(text in letter or text[0] == letter), read)


def _official_number(said: Said) -> Judged:
    figures = _FIGURE.findall(said.text or "")
    several = said.kind.endswith("_mv")
    if said.text is None or any("." not in f and len(f) > _MOST_DIGITS for f in figures):
        return Judged(0.0, None)
    if figures:
        figure = figures[-1 if several else 0]
        predicted = float(figure)
        if "." not in figure and math.isinf(predicted):
            return Judged(0.0, None)
    elif several:
        predicted = -1.0
    else:
        return Judged(0.0, None)
    target = as_float(said.answer)
    score = 0.0 if target is None else relative_accuracy(predicted, target)
    return Judged(score, shown(predicted) if figures else None)


def _official_motions(text: str) -> dict[str, float] | None:
    """All of "name:number,..", or nothing."""
    motions = {}
    for part in text.split(","):
        pair = part.split(":")
        value = as_float(pair[1]) if len(pair) == 2 else None
        if value is None:
            return None
        motions[pair[0]] = value
    return motions


def _official_motion(said: Said) -> Judged:
    said_motions = None if said.text is None else _official_motions(said.text)
    true_motions = _official_motions(said.answer)
    if said_motions is None or true_motions is None:
        return Judged(0.0, None)
    pairs = zip(_axes(said_motions), _axes(true_motions), strict=True)
    # the truth is measured by the prediction
    scores = [relative_accuracy(true, predicted) for predicted, true in pairs]
    return Judged(float(np.mean(scores)), said.text)


def _levels(means: Mapping[str, float]) -> dict[str, float]:
    """Means over the tasks of each level that are there."""
    found = {}
    for level, kinds in _LEVELS.items():
        there = [means[kind] for kind in kinds if kind in means]
        if there:
            found[level] = float(np.mean(there))
    return found


def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over the tasks, and over those of each level.

    The change of view is missing in its level, as that is looked up by a name cut off too late. A
    level without tasks has no mean and isn't told.
    """
    added = kinds_total(saids, judged, _line, "task")
    if added.overall is None:
        return added
    means = {kind: mean for kind, mean in means_of(saids, judged).items() if kind != SPAR_TEXT}
    return Total(added.overall, {**added.lines, **_levels(means)})


def lmms_total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The same with names in small letters; a level without tasks is told as 0."""
    added = total(saids, judged)
    if added.overall is None:
        return added
    levels = {level.lower(): added.lines.get(level, 0.0) for level in _LEVELS}
    tasks = {name: mean for name, mean in added.lines.items() if name not in _LEVELS}
    return Total(added.overall, {**tasks, **levels})


def groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups."""
    return by_kinds(saids, line=_line)


def easi_judge(said: Said) -> Judged:
    """VLMEvalKit's rules. An axis along which nothing moved is right in an empty answer."""
    if said.kind in _CHOICES:
        return vlmevalkit.judge_choice(said)
    if said.kind in SPAR_NUMBERS:
        return vlmevalkit.judge_number(said)
    if said.kind != SPAR_TEXT:
        return stopped(f"ValueError: Unsupported SparBench task type: {said.kind}")
    said_motions, true_motions = _easi_motions(str(said.text)), _easi_motions(said.answer)
    pairs = zip(_axes(said_motions), _axes(true_motions), strict=True)
    scores = [relative_accuracy(predicted, true) for predicted, true in pairs]
    return Judged(float(np.mean(scores)), str(said.text) if said_motions else None)


def _easi_motions(text: str) -> dict[str, float]:
    """What can be read of "name:number,.."."""
    motions = {}
    for part in text.split(","):
        name, colon, number = part.strip().partition(":")
        value = as_float(number.strip()) if colon else None
        if value is not None:
            motions[name.strip()] = value
    return motions


def easi_total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over the tasks: choices, numbers, changes of view, each in the order of answers."""
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = {kind: float(np.mean(some)) for kind, some in scores_of(saids, judged).items()}
    ordered = sorted(means, key=lambda kind: (kind == SPAR_TEXT, kind in SPAR_NUMBERS))
    overall = float(np.mean([means[kind] for kind in ordered])) if means else 0.0
    lines = {
        _line(kind): means[kind] for kinds in _LEVELS.values() for kind in kinds if kind in means
    }
    return Total(overall, {**dict.fromkeys(_LEVELS, 0.0), **_levels(means), **lines})


def strict_judge(said: Said) -> Judged:
    """strict.py's rules; a change of view is measured by the truth.

    An answer in which no motion can be read scores 0, where VLMEvalKit gives it the axes along
    which nothing moved.
    """
    if said.kind != SPAR_TEXT:
        return strict.judge(said)
    motions = _read_motions(said.text)
    if not motions:
        return Judged(0.0, None)
    pairs = zip(_axes(motions), _axes(_read_motions(said.answer)), strict=True)
    scores = [exact_relative_accuracy(predicted, true) for predicted, true in pairs]
    told = ",".join(f"{name}:{value:g}" for name, value in motions.items())
    return Judged(float(np.mean(scores)), told)


def _read_motions(text: str | None) -> dict[str, float]:
    known = {name for axis in _AXES for name in axis}
    found = _MOTION.findall(strict.final_part(text or ""))
    return {name: float(value) for name, value in found if name in known}


def strict_total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over the tasks, and over those of each level."""
    added = strict.kinds_total(saids, judged)
    return Total(added.overall, {**_levels(added.lines), **added.lines}, added.stops)


_SOURCE = "fudan-zvg/spar at 1679885, lmms-eval/lmms_eval/tasks/sparbench/utils.py"
_LMMS = "EvolvingLMMs-Lab/lmms-eval at 75571cf, tasks/sparbench/utils.py, the authors' own rules"
PROFILES = (
    Profile("official", BENCHMARKS, _SOURCE, judge, total, groups),
    Profile("lmms-eval", BENCHMARKS, _LMMS, judge, lmms_total, groups),
    Profile(
        "easi",
        BENCHMARKS,
        vlmevalkit.RULES + "vlmeval/dataset/sparbench.py",
        easi_judge,
        easi_total,
        groups,
    ),
    Profile("strict", BENCHMARKS, strict.SOURCE, strict_judge, strict_total, strict.kinds_groups),
)
