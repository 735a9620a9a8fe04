"""Scorers of MMSI-Bench.

`strict` reads no article, and no letter that merely stands somewhere in a sentence; it takes small
letters where nothing else is said, and an option's whole text.
"""

from __future__ import annotations

import re

from geovr.evaluation.profiles import strict, vlmevalkit
from geovr.evaluation.profiles.adding import pooled
from geovr.evaluation.profiles.profile import Judged, Profile, Said
from geovr.evaluation.profiles.reading import letter_or_none

BENCHMARKS = ("mmsi-bench",)
_DOUBLE, _SINGLE = re.compile(r"``([^`]*)``"), re.compile(r"`([^`]*)`")
_LETTER = re.compile(r"\b[A-D]\b(?!\s[a-zA-Z])")
_ANY_LETTER = re.compile(r"\b[A-F]\b(?!\s[a-zA-Z])", re.IGNORECASE)
_POSITIONAL = re.compile(r"(Positional Relationship \((?:Obj|Cam|Reg)\.)-((?:Obj|Cam|Reg)\.\))")


def _marked(text: str, *marks: re.Pattern[str]) -> str:
    """What stands within the marks, each looked for in what the one before it left."""
    for mark in marks:
        found = mark.search(text)
        text = found[1] if found else text
    return text


def _braced(text: str) -> str:
    """What stands within the first braces that are closed, else the whole."""
    _, opened, rest = text.partition("{")
    inside, closed, _ = rest.partition("}")
    return inside if opened and closed else text


def _agrees(letter: str, said: Said) -> float:
    return float(letter.lower() == said.answer.lower().replace("\n", " ").strip())


def judge(said: Said) -> Judged:
    """The first capital A to D that stands alone and isn't followed by a word."""
    if said.text is None:
        return Judged(0.0, None)
    found = _LETTER.search(_marked(said.text, _DOUBLE, _SINGLE))
    if not found:
        return Judged(0.0, None)
    return Judged(_agrees(found[0], said), letter_or_none(found[0], said.options))


def lmms_judge(said: Said) -> Judged:
    """The first letter A to F that stands alone, small ones too: an article before a comma is A."""
    if said.text is None:
        return Judged(0.0, None)
    found = _ANY_LETTER.search(_braced(_marked(said.text, _DOUBLE, _SINGLE)))
    if not found:
        return Judged(0.0, None)
    letter = found[0].upper()
    return Judged(_agrees(letter, said), letter_or_none(letter, said.options))


def _with_dash(kind: str) -> str:
    """A positional kind as lmms-eval names it, with a dash for a hyphen."""
    found = _POSITIONAL.fullmatch(kind)
    return f"{found[1]}–{found[2]}" if found else kind


_POOLED = pooled()
PROFILES = (
    Profile(
        "official",
        BENCHMARKS,
        "OpenRobotLab/MMSI-Bench at 4e28bff, vlmeval/dataset/mmsi_bench.py, its evaluation without"
        " circular questions, by pattern (it asks a language model for some models' answers)",
        judge,
        *_POOLED,
    ),
    Profile(
        "lmms-eval",
        BENCHMARKS,
        "EvolvingLMMs-Lab/lmms-eval at 75571cf, tasks/mmsi_bench/utils.py",
        lmms_judge,
        *pooled(line=_with_dash),
    ),
    Profile(
        "easi",
        BENCHMARKS,
        vlmevalkit.RULES + "vlmeval/dataset/mmsibench.py, without circular questions",
        vlmevalkit.judge_choice,
        *vlmevalkit.pooled_choices(),
    ),
    Profile("strict", BENCHMARKS, strict.SOURCE, strict.judge_choice, *_POOLED),
)
