"""Scorers of VSTI-Bench.

`strict` isn't ended by a target of zero, an unknown kind or a missing answer, and gives a negative
target no full marks.
"""

from __future__ import annotations

from collections.abc import Sequence

from geovr.evaluation.profiles import strict
from geovr.evaluation.profiles.adding import by_kinds, kinds_total
from geovr.evaluation.profiles.profile import Group, Judged, Profile, Said, Total
from geovr.evaluation.profiles.reading import (
    NO_SPLIT,
    as_float,
    letter_or_none,
    signed_accuracy,
    stopped,
)
from geovr.evaluation.scorers import first_word

BENCHMARKS = ("vsti-bench",)
_CHOICES = (
    "obj_obj_relative_pos_nf",
    "obj_obj_relative_pos_ud",
    "obj_obj_relative_pos_lr",
    "camera_obj_rel_dist_v1",
    "camera_obj_rel_dist_v2",
    "camera_obj_rel_dist_v3",
    "camera_movement_direction",
)
_NUMBERS = ("camera_obj_abs_dist", "camera_displacement", "camera_obj_dist_change")


def _line(kind: str) -> str:
    return f"{kind}_accuracy" if kind in _CHOICES else f"{kind}_MRA:.5:.95:.05"


def judge(said: Said) -> Judged:
    """VSI-Bench's rules. A target of zero ends the evaluation; a negative one gives 1."""
    if said.kind not in (*_CHOICES, *_NUMBERS):
        return stopped(f"ValueError: Unknown question type: {said.kind}")
    if said.text is None:
        return stopped(NO_SPLIT)
    word = first_word(said.text)
    if said.kind in _CHOICES:
        right = word.lower() == said.answer.lower()
        return Judged(float(right), letter_or_none(word, said.options))
    return signed_accuracy(as_float(word), said, word)


def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over the kinds; the three versions of a camera's distance count one each."""
    return kinds_total(saids, judged, _line)


def groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups."""
    return by_kinds(saids, line=_line)


PROFILES = (
    Profile(
        "official",
        BENCHMARKS,
        "VITA-Group/VLM-3R at 6dd1264, thinking-in-space/lmms_eval/tasks/vstibench/utils.py",
        judge,
        total,
        groups,
    ),
    Profile(
        "strict", BENCHMARKS, strict.SOURCE, strict.judge, strict.kinds_total, strict.kinds_groups
    ),
)
