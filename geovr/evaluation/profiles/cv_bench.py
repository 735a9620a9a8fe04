"""Scorers of CV-Bench.

Its score is half that of two dimensions, the mean over ADE20K and COCO, and half that of three,
Omni3D: (acc(ADE20K) + acc(COCO)) / 2 and acc(Omni3D), a half each (arXiv 2406.16860, appendix C).

`strict` reads no word for its first letter, reads what follows "The answer is:", and with a source
missing averages over the others.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from geovr.evaluation.profiles import strict, vlmevalkit
from geovr.evaluation.profiles.adding import (
    first_stop,
    kind_of,
    lines_of,
    mask,
    means_of,
    pooled,
    told,
)
from geovr.evaluation.profiles.profile import Group, Judged, Profile, Said, Total
from geovr.evaluation.profiles.reading import (
    NO_LOWER,
    NO_STRIP,
    ZERO_DIVISION,
    letter_or_none,
    option_texts,
    stopped,
)

BENCHMARKS = ("cv-bench",)
FLAT, SOLID = ("ADE20K", "COCO"), "Omni3D"
_KEYWORDS = ("answer is", "answer is:", "answer:")
_FIRST = re.compile(r"[\(\s]*([A-Z])[\)\.\s]*", re.IGNORECASE)


def source_of(said: Said) -> str:
    """Which data set an image is of; empty where the answer's record doesn't say."""
    return str(said.extra.get("source") or "")


def judge(said: Said) -> Judged:
    """The first character behind "answer is" or "answer:", else of the whole: "Because" is B.

    Images of Omni3D have a script of their own, which takes an option's text of one character too.
    """
    if said.text is None:
        return stopped(NO_LOWER)
    text = said.text.lower().strip()
    for keyword in _KEYWORDS:
        text = text.split(keyword)[-1]
    solid = source_of(said) == SOLID
    text = text.strip().rstrip(".:," if solid else ".").lstrip("(").rstrip(")")[:1]
    truth = said.answer.lower()[:1]
    letter = letter_or_none(text, said.options)
    if not solid:
        return Judged(float(text == truth), letter)
    options = list(option_texts(said).values())
    read = text if text and text in options else letter
    place = string.ascii_lowercase.find(truth or " ")
    if not 0 <= place < len(options):
        return stopped("IndexError: list index out of range", read)
    return Judged(float(text in (truth, options[place])), read)


def composite(means: dict[str, float]) -> float:
    """The benchmark's score, of the sources' accuracies."""
    ade, coco = (means[source] for source in FLAT)
    return 1 / 2 * ((ade + coco) / 2 + means[SOLID])


def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The composite; the script of a source without answers divides by their number."""
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = {name: float(mean) for name, mean in means_of(saids, judged, source_of).items()}
    lines = {source: means[source] for source in (*FLAT, SOLID) if source in means}
    for source in (*FLAT, SOLID):
        if source not in means:
            return Total(None, lines, f"{ZERO_DIVISION} (no answers of source {source})")
    return Total(composite(means), lines | _kinds(saids, judged))


def _kinds(saids: Sequence[Said], judged: Sequence[Judged]) -> dict[str, float]:
    return lines_of(means_of(saids, judged))


def groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups."""
    weights = (*((source, 1 / 4) for source in FLAT), (SOLID, 1 / 2))
    found = [
        Group(source, mask(saids, lambda said, own=source: source_of(said) == own), weight)  # type: ignore[misc]
        for source, weight in weights
    ]
    return found + told(saids, kind_of)


def first_letter(text: str) -> str:
    """lmms-eval's reading, BLINK's too: the first letter of any word the answer begins with."""
    found = _FIRST.match(text.strip())
    return found[1].upper() if found else ""


def lmms_judge(said: Said) -> Judged:
    """The answer's first character, in brackets or not, if it is a letter."""
    if said.text is None:
        return stopped(NO_STRIP)
    letter = first_letter(said.text)
    return Judged(float(letter == said.answer), letter_or_none(letter, said.options))


_ALL, _ALL_GROUPS = pooled()


def lmms_total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The share of right answers, which its tasks report as cv_bench_acc.

    The composite is in its code too, where nothing calls it; it is told beside the score where all
    three sources have answers. Where one has none, that function would end with a KeyError.
    """
    added = _ALL(saids, judged)
    means = means_of(saids, judged, source_of)
    if added.overall is None or not {*FLAT, SOLID} <= set(means):
        return added
    plain = {name: float(mean) for name, mean in means.items()}
    return Total(added.overall, {"composite": composite(plain), **added.lines})


def inferred_judge(said: Said) -> Judged:
    """VLMEvalKit's older rules: one letter among the last words, else one option's text inside."""
    letter = vlmevalkit.inferred(str(said.text), option_texts(said)) or "Z"
    return Judged(float(letter == said.answer), letter_or_none(letter, said.options))


def easi_total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """Its two data sets, and the benchmark's score of them: the mean of the two.

    It scores the data sets apart, 2D as the mean over the sources there are, and adds nothing up.
    Without one of them there is no score.
    """
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = {name: float(mean) for name, mean in means_of(saids, judged, source_of).items()}
    flat = [means[source] for source in FLAT if source in means]
    lines = {"CV-Bench-2D": sum(flat) / len(flat)} if flat else {}
    if SOLID in means:
        lines["CV-Bench-3D"] = means[SOLID]
    if len(lines) < 2:
        absent = "CV-Bench-3D" if flat else "CV-Bench-2D"
        return Total(None, lines, f"no answers to {absent}, which it scores apart")
    return Total(1 / 2 * (lines["CV-Bench-2D"] + lines["CV-Bench-3D"]), lines)


def easi_groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups; a source that is alone is all of 2D."""
    there = {source_of(said) for said in saids}
    flat = [source for source in FLAT if source in there]
    return [
        Group(g.name, g.members, 1 / (2 * len(flat)) if g.name in flat else g.weight)
        for g in groups(saids)
    ]


def strict_total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
    """The composite; over the sources there are, when one is missing."""
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = {name: float(mean) for name, mean in means_of(saids, judged, source_of).items()}
    weights = _strict_weights(set(means))
    overall = sum((weights[name] * mean for name, mean in means.items()), 0.0)
    lines = {name: mean for name, mean in means.items() if name}
    return Total(overall, lines | _kinds(saids, judged))


def _strict_weights(sources: set[str]) -> dict[str, float]:
    """Of the sources there are; those that aren't known count as one of two dimensions."""
    flat = sorted(sources - {SOLID})
    half = 1 / 2 if flat and SOLID in sources else 1.0
    return {source: half / len(flat) for source in flat} | {SOLID: half}


def strict_groups(saids: Sequence[Said]) -> list[Group]:
    """The same as groups."""
    sources = {source_of(said) for said in saids}
    weights = _strict_weights(sources)
    found = told(saids, source_of)
    return [Group(g.name, g.members, weights[g.name]) for g in found] + told(saids, kind_of)


PROFILES = (
    Profile(
        "official",
        BENCHMARKS,
        "cambrian-mllm/cambrian at 539ffc3, eval/eval/{ade,coco,omni}/*_test.py, put together by"
        " its paper's formula",
        judge,
        total,
        groups,
    ),
    Profile(
        "lmms-eval",
        BENCHMARKS,
        "EvolvingLMMs-Lab/lmms-eval at 75571cf, tasks/cv_bench/utils.py",
        lmms_judge,
        lmms_total,
        _ALL_GROUPS,
    ),
    Profile(
        "easi",
        BENCHMARKS,
        vlmevalkit.RULES + "vlmeval/dataset/image_mcq.py CVBench, whose two scores are put together"
        " by the paper's formula",
        inferred_judge,
        easi_total,
        easi_groups,
    ),
    Profile("strict", BENCHMARKS, strict.SOURCE, strict.judge_choice, strict_total, strict_groups),
)
