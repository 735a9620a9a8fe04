"""From the scores of answers to that of a benchmark.

Sums keep the upstream's types, not only its order: Python adds its own floats exactly rounded from
3.12 on, and numpy's one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from geovr.evaluation.profiles.profile import Group, Judged, Said, Total

TotalOf = Callable[[Sequence[Said], Sequence[Judged]], Total]
GroupsOf = Callable[[Sequence[Said]], list[Group]]
KindOf = Callable[[Said], str]
Named = Callable[[str], str]
POOLED = "overall"
"""The group of all items where each counts the same."""
NO_DIVISION = "ZeroDivisionError: division by zero"


def kind_of(said: Said) -> str:
    """The benchmark's own name of what is asked."""
    return said.kind


def first_stop(saids: Sequence[Said], judged: Sequence[Judged]) -> Total | None:
    """No total, when the upstream's code ends at one of the answers: the first of them is named."""
    for said, one in zip(saids, judged, strict=True):
        if one.stops is not None:
            return Total(None, {}, f"{one.stops} (at item {said.id})")
    return None


def scores_of(
    saids: Iterable[Said], judged: Iterable[Judged], kind: KindOf = kind_of
) -> dict[str, list[float]]:
    """Kind -> scores, in the order of the answers."""
    scores: dict[str, list[float]] = {}
    for said, one in zip(saids, judged, strict=True):
        scores.setdefault(kind(said), []).append(one.score)
    return scores


def means_of(
    saids: Sequence[Said], judged: Sequence[Judged], kind: KindOf = kind_of
) -> dict[str, np.float64]:
    """Kind -> mean score, kinds in alphabetical order, as a data frame groups them."""
    grouped = sorted(scores_of(saids, judged, kind).items())
    return {name: np.float64(np.mean(scores)) for name, scores in grouped}


def mask(saids: Sequence[Said], test: Callable[[Said], bool]) -> np.ndarray:
    """Which items pass a test."""
    return np.fromiter(map(test, saids), bool, len(saids))


def lines_of(means: Mapping[str, float], line: Named = str) -> dict[str, float]:
    """Means under the names that the upstream gives them."""
    return {line(name): float(value) for name, value in means.items()}


def pooled(
    line: Named = str,
    kind: KindOf = kind_of,
    counted: Callable[[Said], bool] | None = None,
    empty: str | None = None,
) -> tuple[TotalOf, GroupsOf]:
    """Every item counts the same.

    Args:
        line: a kind's name in the report.
        kind: what items are told apart by in the report.
        counted: which items the overall score is taken over; all of them by default.
        empty: the upstream's error when there is none; without, its score is 0.
    """

    def total(saids: Sequence[Said], judged: Sequence[Judged]) -> Total:
        stop = first_stop(saids, judged)
        if stop is not None:
            return stop
        lines = lines_of(means_of(saids, judged, kind), line)
        scores = [j.score for s, j in zip(saids, judged, strict=True) if not counted or counted(s)]
        if not scores:
            return Total(None, lines, empty) if empty else Total(0.0, lines)
        return Total(sum(scores) / len(scores), lines)

    def groups(saids: Sequence[Said]) -> list[Group]:
        found = [Group(POOLED, mask(saids, counted or (lambda _: True)), 1.0)]
        return found + told(saids, kind, line)

    return total, groups


def told(saids: Sequence[Said], kind: KindOf = kind_of, line: Named = str) -> list[Group]:
    """The kinds, as groups that are reported and don't count."""
    names = np.asarray([kind(said) for said in saids])
    return [Group(line(name), names == name, 0.0) for name in sorted(set(names.tolist()))]


def by_kinds(
    saids: Sequence[Said],
    merged: Callable[[str], str] = str,
    line: Named = str,
    parts: int | None = None,
) -> list[Group]:
    """Kinds that count the same, whatever their number of items.

    Args:
        saids: the items.
        merged: raw kind -> the kind that it is a part of; the parts share its weight.
        line: a raw kind's name in the report.
        parts: how many kinds the overall score is divided by; as many as there are by default.
    """
    raw = np.asarray([said.kind for said in saids])
    names = sorted(set(raw.tolist()))
    whole = [merged(name) for name in names]
    parts = parts or len(set(whole))
    return [
        Group(line(name), raw == name, 1 / (parts * whole.count(merged(name)))) for name in names
    ]


def kinds_total(
    saids: Sequence[Said],
    judged: Sequence[Judged],
    line: Named = str,
    column: str = "question_type",
) -> Total:
    """The mean over kinds, as a data frame grouped by kind and Python's `sum` make it.

    Without answers the upstream ends at a column that isn't there.
    """
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = means_of(saids, judged)
    if not means:
        return Total(None, {}, f"KeyError: {column!r}")
    return Total(float(sum(means.values()) / len(means)), lines_of(means, line))
