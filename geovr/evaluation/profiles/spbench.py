"""Scorers of SPBench.

`strict` has no kind of directions that nobody asked about, reads "twenty-one" as 21 and no article
as a number, sees signs, and takes a letter in brackets or before its option's text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from geovr.evaluation.profiles import strict, vlmevalkit
from geovr.evaluation.profiles.adding import by_kinds, first_stop, lines_of, means_of
from geovr.evaluation.profiles.profile import Group, Judged, Profile, Said, Total
from geovr.evaluation.profiles.reading import (
    NO_STRIP,
    as_float,
    letter_or_none,
    signed_accuracy,
    stopped,
)

BENCHMARKS = ("spbench-si", "spbench-mv")
_DIRECTION = "object_rel_direction"
_CHOICES = (_DIRECTION, "object_rel_distance")
_NUMBERS = ("object_counting", "object_abs_distance", "object_size_estimation")
# its scorer is VSI-Bench's as well and knows that benchmark's kinds too
_DIRECTIONS = tuple(f"{_DIRECTION}_{level}" for level in ("easy", "medium", "hard"))
_ALL_CHOICES = (*_CHOICES, *_DIRECTIONS, "route_planning", "obj_appearance_order")
_ALL_NUMBERS = (*_NUMBERS, "room_size_estimation")
_NO_REPLACE = "AttributeError: 'NoneType' object has no attribute 'replace'"
_LETTER = re.compile(r"^[A-D]\.?$")
# the order decides: "twenty-one" is found to hold "one" first
_WORDS = tuple(
    (re.compile(rf"\b{word}\b"), digits)
    for word, digits in (
        *((word, str(n)) for n, word in enumerate(strict.WORDS) if 1 <= n < 20),
        *((word, str(n)) for word, n in strict.WORDS.items() if n >= 20),
        ("zero", "0"),
        ("a", "1"),
        ("an", "1"),
    )
)
_FIGURE = re.compile(r"\d+(\.\d+)?")


def _line(kind: str) -> str:
    return f"{kind}_accuracy" if kind in _ALL_CHOICES else f"{kind}_MRA:.5:.95:.05"


def _number(text: str) -> str | None:
    """The first number word of its list that is anywhere in the text, else the first figure.

    So "a chair, 4 m away" is 1. A sign and an exponent are not seen.
    """
    text = text.strip().lower()
    for word, digits in _WORDS:
        if word.search(text):
            return digits
    found = _FIGURE.search(text)
    return found[0] if found else None


def judge(said: Said) -> Judged:
    """As answers to its direct prompt are judged; <answer> is read only after its thinking one."""
    if said.kind in _ALL_CHOICES:
        if said.text is None:
            return stopped(_NO_REPLACE)
        text = said.text.replace("Answer:", "")
        letter = _LETTER.search(text.split(" ")[0].strip())
        word = letter[0].rstrip(".") if letter else text.strip()
        right = word.lower() == said.answer.lower()
        return Judged(float(right), letter_or_none(word, said.options))
    if said.kind not in _ALL_NUMBERS:
        return stopped(f"ValueError: Unknown question type: {said.kind}")
    if said.text is None:
        return stopped(NO_STRIP)
    word = _number(said.text) or ""
    return signed_accuracy(as_float(word), said, word)


def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over the kinds. Without any question of direction there is a kind of them with 0."""
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = means_of(saids, judged)
    if not means:
        return Total(None, {}, "KeyError: 'question_type'")
    lines: dict[str, float] = {_line(kind): mean for kind, mean in means.items()}
    whole = _line(_DIRECTION)
    if whole not in lines:
        three = [lines.pop(_line(kind)) for kind in _popped(means)]
        lines[whole] = sum(three) / 3.0 if len(three) == 3 else 0
    overall = float(sum(lines.values()) / len(lines))
    return Total(overall, lines_of(lines))


def _popped(kinds: Collection[str]) -> list[str]:
    """The difficulties that are taken out one by one until one is missing."""
    there = [kind in kinds for kind in _DIRECTIONS]
    return list(_DIRECTIONS[: there.index(False)] if False in there else _DIRECTIONS)


def groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups."""
    kinds = {said.kind for said in saids}
    if _DIRECTION in kinds or not kinds:
        return by_kinds(saids, line=_line)
    popped = _popped(kinds)
    counted = [kind for kind in kinds if kind not in popped]
    parts = len(counted) + 1
    weight = 1 / (3 * parts) if len(popped) == 3 else 0.0
    found = []
    for group in by_kinds(saids, line=_line, parts=parts):
        taken = group.name in map(_line, popped)
        found.append(Group(group.name, group.members, weight if taken else group.weight))
    return found


def easi_judge(said: Said) -> Judged:
    """VLMEvalKit's rules."""
    if said.kind in _CHOICES:
        return vlmevalkit.judge_choice(said)
    if said.kind in _NUMBERS:
        return vlmevalkit.judge_number(said)
    return stopped(f"ValueError: Unknown question type: {said.kind}")


def easi_total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over the kinds that are there, choices first."""
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = {kind: float(mean) for kind, mean in means_of(saids, judged).items()}
    ordered = sorted(means, key=lambda kind: kind in _NUMBERS)
    overall = float(sum(means[kind] for kind in ordered) / len(means)) if means else 0.0
    return Total(overall, {_line(kind): means[kind] for kind in ordered})


def easi_groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups."""
    return by_kinds(saids, line=_line)


PROFILES = (
    Profile(
        "official",
        BENCHMARKS,
        "ZJU-REAL/SpatialLadder at 87320be, eval_spld/data_utils/vsi_utils.py and vsibench.py",
        judge,
        total,
        groups,
    ),
    Profile(
        "easi",
        BENCHMARKS,
        vlmevalkit.RULES + "vlmeval/dataset/spbench.py and vsibench.py",
        easi_judge,
        easi_total,
        easi_groups,
    ),
    Profile(
        "strict", BENCHMARKS, strict.SOURCE, strict.judge, strict.kinds_total, strict.kinds_groups
    ),
)
