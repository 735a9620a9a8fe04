"""Scorers of STI-Bench.

`strict` doesn't take an answer's last character for its letter, isn't ended by an empty answer, and
counts a missing one as wrong instead of leaving it out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from geovr.evaluation.profiles import strict, vlmevalkit
from geovr.evaluation.profiles.adding import pooled
from geovr.evaluation.profiles.profile import Judged, Profile, Said, Total
from geovr.evaluation.profiles.reading import letter_or_none, stopped

BENCHMARKS = ("sti-bench",)
_FLAGS = re.IGNORECASE | re.MULTILINE
_PATTERNS = tuple(
    re.compile(pattern, _FLAGS)
    for pattern in (
        r"\(([A-E])\)",
        r"Ans\s*=\s*['\"]?([A-E])['\"]?",
        r"Answer\s*[:=]\s*([A-E])",
        r"Option\s+([A-E])",
        r"\b([A-E])\s*(?:is|was)\s*correct",
        r"\b([A-E])[\.\)]\s*$",
    )
)


def judge(said: Said) -> Judged:
    """The first pattern's letter; without one, the answer's last character.

    So "left or right: C" and "the letter is SPACE" may be right. The last character of an empty
    answer ends the analysis. A question without an answer isn't in its file.
    """
    if said.text is None:
        return Judged(0.0, None)
    for pattern in _PATTERNS:
        found = pattern.search(said.text)
        if found:
            letter = found[1].upper()
            return Judged(float(letter == said.answer), letter_or_none(letter, said.options))
    last = said.text.strip()[-1:]
    if not last:
        return stopped("IndexError: string index out of range")
    read = letter_or_none(last, said.options, fold=False) if last in "ABCDE" else None
    return Judged(float(last in "ABCDE" and last == said.answer), read)


def _answered(said: Said) -> bool:
    return said.text is not None


_TOTAL, _GROUPS = pooled(counted=_answered, empty="KeyError: 'id'")


def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The share of right ones among the questions that were answered, overall and by task."""
    answered = [(s, j) for s, j in zip(saids, judged, strict=True) if _answered(s)]
    return _TOTAL([s for s, _ in answered], [j for _, j in answered])


PROFILES = (
    Profile(
        "official",
        BENCHMARKS,
        "MINT-SJTU/STI-Bench at 43ddebe, opensource_test.py; openai_test.py, whose prompt is"
        " the protocol's, has no scores",
        judge,
        total,
        _GROUPS,
    ),
    Profile(
        "easi",
        BENCHMARKS,
        vlmevalkit.RULES + "vlmeval/dataset/stibench.py",
        vlmevalkit.judge_choice,
        *vlmevalkit.pooled_choices(),
    ),
    Profile("strict", BENCHMARKS, strict.SOURCE, strict.judge_choice, *pooled()),
)
