"""Scorers of BLINK's spatial tasks.

`strict` reads no word for its first letter and no option's text inside another word, takes "b" and
"B.", and averages over the tasks that were asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from geovr.evaluation.benchmarks.table import BLINK_TASKS
from geovr.evaluation.profiles import strict, vlmevalkit
from geovr.evaluation.profiles.adding import by_kinds, first_stop, lines_of, means_of, pooled
from geovr.evaluation.profiles.cv_bench import inferred_judge, lmms_judge
from geovr.evaluation.profiles.profile import Group, Judged, Profile, Said, Total
from geovr.evaluation.profiles.reading import letter_or_none

BENCHMARKS = ("blink-spatial",)
_LETTERS = "ABCDE"
_EXACT = {form: letter for letter in _LETTERS for form in (letter, f"({letter})")}


def judge(said: Said) -> Judged:
    """A letter, bare or in brackets, or the only one in brackets in the text or its last paragraph.

    Its authors ask GPT-3.5 about all other answers. Where that can't be reached their code writes
    that it failed, which is wrong; so it is here.
    """
    text = said.text
    if text is None:
        return Judged(0.0, None)
    if text in _EXACT:
        exact = _EXACT[text]
        return Judged(float(exact == said.answer), letter_or_none(exact, said.options))
    options = {f"({letter})" for letter in _LETTERS[: len(said.options or ())]}
    found = options.intersection(text.split())
    last = options.intersection(text.split("\n\n")[-1].split())
    if not found or (len(found) != 1 and len(last) != 1):
        return Judged(0.0, None)
    (letter,) = last if len(last) == 1 else found
    return Judged(float(letter == f"({said.answer})"), letter_or_none(letter[1], said.options))


def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The mean over the six spatial tasks of its fourteen; each must have answers."""
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = means_of(saids, judged)
    lines = lines_of(means)
    for kind in means:
        if kind not in BLINK_TASKS:
            return Total(None, lines, f"KeyError: {kind!r}")
    for task in BLINK_TASKS:
        if task not in means:
            return Total(None, lines, f"ZeroDivisionError: division by zero (no answers to {task})")
    overall = 0.0
    for task in BLINK_TASKS:
        overall += lines[task]
    return Total(overall / len(BLINK_TASKS), lines)


def groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups."""
    return by_kinds(saids, parts=len(BLINK_TASKS))


_POOLED = pooled()
PROFILES = (
    Profile(
        "official",
        BENCHMARKS,
        "zeyofu/BLINK_Benchmark at 2d6a779, eval/test_benchmark.py and evaluate.py without its"
        " language model, over the spatial tasks",
        judge,
        total,
        groups,
    ),
    Profile(
        "lmms-eval",
        BENCHMARKS,
        "EvolvingLMMs-Lab/lmms-eval at 75571cf, tasks/blink/utils.py, over the spatial tasks",
        lmms_judge,
        *_POOLED,
    ),
    Profile(
        "easi",
        BENCHMARKS,
        vlmevalkit.RULES + "vlmeval/dataset/image_mcq.py, exact_matching, over the spatial tasks",
        inferred_judge,
        *_POOLED,
    ),
    Profile(
        "strict",
        BENCHMARKS,
        strict.SOURCE,
        strict.judge_choice,
        strict.kinds_total,
        strict.kinds_groups,
    ),
)
