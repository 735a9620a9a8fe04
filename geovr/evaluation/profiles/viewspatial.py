"""Scorers of ViewSpatial-Bench.

In `strict` nothing is right because neither side holds a letter, the article isn't A, and the
answer may stand above the last line.
"""

from __future__ import annotations

import re

from geovr.evaluation.profiles import strict, vlmevalkit
from geovr.evaluation.profiles.adding import NO_DIVISION, pooled
from geovr.evaluation.profiles.profile import Judged, Profile, Said
from geovr.evaluation.profiles.reading import NO_SPLIT, letter_or_none, recorded_option, stopped

BENCHMARKS = ("viewspatial-bench",)
_LETTER = re.compile(r"\b([A-D])\b", re.IGNORECASE)


def _option(text: str) -> str | None:
    found = _LETTER.search(text)
    return found[1].upper() if found else None


def lmms_judge(said: Said) -> Judged:
    """The first letter A to D that stands alone in the last line, the article "a" too.

    The recorded option is read the same way, and two sides in which no letter is found agree.
    """
    if said.text is None:
        return stopped(NO_SPLIT)
    letter = _option(said.text.split("\n")[-1])
    right = letter == _option(recorded_option(said))
    return Judged(float(right), letter_or_none(letter, said.options))


def judge(said: Said) -> Judged:
    """The same; what raises counts as wrong."""
    return Judged(0.0, None) if said.text is None else lmms_judge(said)


def _short(kind: str) -> str:
    """A kind as lmms-eval names its accuracy."""
    return f"{kind.lower().replace(' - ', '_').replace(' ', '_')}_accuracy"


PROFILES = (
    Profile(
        "official",
        BENCHMARKS,
        "ZJU-REAL/ViewSpatial-Bench at 2e85a5e, evaluate.py",
        judge,
        *pooled(empty=NO_DIVISION),
    ),
    Profile(
        "lmms-eval",
        BENCHMARKS,
        "EvolvingLMMs-Lab/lmms-eval at 75571cf, tasks/viewspatial/utils.py",
        lmms_judge,
        *pooled(line=_short),
    ),
    Profile(
        "easi",
        BENCHMARKS,
        vlmevalkit.RULES + "vlmeval/dataset/viewspatialbench.py",
        vlmevalkit.judge_choice,
        *vlmevalkit.pooled_choices(),
    ),
    Profile("strict", BENCHMARKS, strict.SOURCE, strict.judge_choice, *pooled()),
)
