"""Scorers of MindCube.

`strict` gives no pattern precedence: letters that contradict each other are no answer. It knows
<answer> in small letters, and counts every setting.
"""

from __future__ import annotations

import re

from geovr.evaluation.profiles import strict, vlmevalkit
from geovr.evaluation.profiles.adding import pooled
from geovr.evaluation.profiles.profile import Judged, Profile, Said
from geovr.evaluation.profiles.reading import NO_STRIP, letter_or_none, stopped

BENCHMARKS = ("mindcube-tiny", "mindcube")
_BEFORE_STOP = re.compile(r"([A-E])\.")
_SECTION = re.compile(r"<Answer>(.*?)(?:<|$)", re.DOTALL)
_ALONE = re.compile(r"\b([A-E])\b")
_IN_SECTION = (
    re.compile(r"[Mm]y answer is ([A-E])"),
    re.compile(r"[Tt]he answer is ([A-E])"),
    _ALONE,
)
# further patterns there want a letter and a full stop, which was looked for before
_ANYWHERE = (
    re.compile(r"(?:^|\n)(?:Answer: )?([A-E])(?:\.|$|\s)"),
    re.compile(r"[\*\"]([A-E])[\*\"]"),
    re.compile(r"\bAnswer:?\s*([A-E])\b"),
    re.compile(r"[Mm]y answer is ([A-E])"),
    re.compile(r"answer is ([A-E])"),
)
_SETTINGS = ("around", "rotation", "translation", "among")


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.findall(text)
    return found[-1] if found else None


def letter_in(text: str | None) -> str | None:
    """The last match of the first pattern that matches.

    A capital A to E before a full stop comes first, wherever it stands: "E. coli" is an answer.
    <answer> in small letters isn't known. The last resort is the first letter that stands alone in
    the lowest line with one: "A dog" is A.
    """
    if not text:
        return None
    letter = _last(_BEFORE_STOP, text)
    if letter:
        return letter
    section = _SECTION.search(text)
    for pattern in _IN_SECTION if section else ():
        letter = _last(pattern, section[1] if section else "")
        if letter:
            return letter
    for pattern in _ANYWHERE:
        letter = _last(pattern, text)
        if letter:
            return letter
    for line in reversed(text.split("\n")):
        found = _ALONE.search(line)
        if found:
            return found[1]
    return None


def judge(said: Said) -> Judged:
    """The letter of letter_in, in capitals as recorded."""
    letter = letter_in(said.text)
    right = letter is not None and letter == said.answer
    return Judged(float(right), letter_or_none(letter, said.options))


def lmms_judge(said: Said) -> Judged:
    """The same of a text without the space around it."""
    if said.text is None:
        return stopped(NO_STRIP)
    letter = letter_in(said.text.strip())
    right = letter is not None and letter == said.answer
    return Judged(float(right), letter_or_none(letter, said.options))


def setting_of(said: Said) -> str:
    """By the authors' rule: the first of four words that the id holds."""
    return next((s for s in _SETTINGS if s in said.id.lower()), "other")


def lmms_setting_of(said: Said) -> str:
    """By lmms-eval's: the id's first part."""
    first = said.id.split("_", 1)[0]
    return {
        "among": "among",
        "rotation": "rotation",
        "around": "around",
        "aroundnew": "around",
    }.get(first, "other")


PROFILES = (
    Profile(
        "official",
        BENCHMARKS,
        "mll-lab-nu/MindCube at 6d8fd9a, src/evaluation/evaluator.py, which leaves the setting"
        " `translation` out of the overall score",
        judge,
        *pooled(kind=setting_of, counted=lambda said: setting_of(said) != "translation"),
    ),
    Profile(
        "lmms-eval",
        BENCHMARKS,
        "EvolvingLMMs-Lab/lmms-eval at 75571cf, tasks/mindcube/utils.py",
        lmms_judge,
        *pooled(kind=lmms_setting_of, line="{}_accuracy".format),
    ),
    Profile(
        "easi",
        BENCHMARKS,
        vlmevalkit.RULES + "vlmeval/dataset/mindcubebench.py",
        vlmevalkit.judge_choice,
        *vlmevalkit.pooled_choices(),
    ),
    Profile("strict", BENCHMARKS, strict.SOURCE, strict.judge_choice, *pooled()),
)
