"""Whether each question of a benchmark was answered exactly once, by what is known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geovr.errors import GateRefused, UserError
from geovr.evaluation.benchmarks.item import BenchmarkItem
from geovr.evaluation.benchmarks.lock import ids_digest
from geovr.evaluation.benchmarks.reader import Fault, read
from geovr.evaluation.benchmarks.table import BENCHMARKS, Source, source_named
from geovr.naming import named

_MOST_NAMED = 100
VSI = "vsi-bench"


@dataclass(frozen=True)
class Expected:
    """What should have been answered.

    Attributes:
        count: of the questions; None where nobody knows.
        by: who says so.
        binding: whether fewer answers are refused; not for a count that is only known from the
            benchmark's table, as the file may be meant for a part of it.
        ids_sha256: digest of the ids in the order in which they were asked, where it is known.
        items: the questions by id, where they were read.
        pruned: id -> whether VSI-Bench's debiasing removed it, where that was read.
    """

    count: int | None
    by: str
    binding: bool
    ids_sha256: str | None = None
    items: Mapping[str, BenchmarkItem] = field(default_factory=dict)
    pruned: Mapping[str, bool] = field(default_factory=dict)


def expected(benchmark: str, header: Mapping[str, Any], reference: Path | None) -> Expected:
    """What is known of a benchmark's questions, from the best source there is.

    Args:
        benchmark: its name.
        header: of the file of answers: `questions` is how many were asked, `ids_sha256` which.
        reference: directory with the benchmark.

    Raises:
        UserError: when the directory can't be read as that benchmark.
    """
    if reference is not None:
        source = source_named(benchmark, BENCHMARKS)
        items = _items(source, reference)
        pruned = _pruned(items, reference) if benchmark == VSI else {}
        return Expected(len(items), str(reference), True, items=items, pruned=pruned)
    count = header.get("questions")
    if isinstance(count, int):
        return Expected(count, "the file's header", True, header.get("ids_sha256"))
    known = BENCHMARKS.get(benchmark)
    if known is not None and known.count is not None:
        return Expected(known.count, f"{known.title}'s published count", False)
    return Expected(None, "nobody", False)


def _items(source: Source, directory: Path) -> dict[str, BenchmarkItem]:
    items: dict[str, BenchmarkItem] = {}
    for found in read(source, directory):
        if isinstance(found, Fault):
            raise UserError(
                f"{directory}: {found.source}: {found.reason}; `geovr benchmark verify` says more"
            )
        if found.id in items:
            raise UserError(f"{directory}: id {found.id!r} twice; fetch {source.title} again")
        items[found.id] = found
    return items


def _pruned(items: Mapping[str, BenchmarkItem], directory: Path) -> dict[str, bool]:
    """Which are pruned: by the records themselves, else by the table of those that are."""
    if all("pruned" in item.extra for item in items.values()):
        return {name: bool(item.extra["pruned"]) for name, item in items.items()}
    try:
        pruned = set(_items(BENCHMARKS[f"{VSI}-pruned"], directory))
    except UserError:  # the release of 2024 doesn't say it, which is no fault of the answers
        return {}
    return {name: name in pruned for name in items}


def check_answered(
    name: str, rows: Sequence[Mapping[str, Any]], known: Expected, *, partial: bool
) -> list[str]:
    """Hold answers to what was asked.

    Args:
        name: of the file, for messages.
        rows: the answers.
        known: what should have been answered.
        partial: permits missing ones; never double or foreign ones.

    Returns:
        ids that were not answered, as far as they are known.

    Raises:
        GateRefused: naming ids that are double, missing or foreign, or recorded otherwise.
    """
    counts = Counter(str(row["id"]) for row in rows)
    twice = [one for one, times in counts.items() if times > 1]
    foreign = [one for one in counts if known.items and one not in known.items]
    missing = [one for one in known.items if one not in counts]
    other = [
        str(row["id"])
        for row in rows
        if (item := known.items.get(str(row["id"]))) is not None
        and (item.kind, item.answer) != (row["kind"], str(row["answer"]))
    ]
    problems = [
        f"{len(ids)} {what}: {named(list(map(repr, ids)), _MOST_NAMED)}"
        for what, ids in (
            ("answered more than once", twice),
            (f"not of {known.by}", foreign),
            (f"recorded with another kind or answer than {known.by} has", other),
            ("not answered", [] if partial else missing),
        )
        if ids
    ]
    if not known.items and known.binding and known.count is not None:
        lack = known.count - len(counts)
        if lack < 0 or (lack > 0 and not partial):
            problems.append(
                f"{abs(lack)} {'not answered' if lack > 0 else 'too many'};"
                " --reference DIR (the benchmark's directory) names them"
            )
        if lack == 0 and not twice and known.ids_sha256 not in (None, _digest(rows)):
            problems.append(
                "ids, or their order, are not those of ids_sha256 in the header: lines were changed"
                " or moved"
            )
    if problems:
        remedy = "" if partial or twice or foreign or other else " (--partial scores what is there)"
        raise GateRefused(
            f"{name}: {len(rows)} answers to {known.count if known.count is not None else '?'}"
            f" questions, by {known.by}{remedy}:\n  " + "\n  ".join(problems)
        )
    return missing


def _digest(rows: Sequence[Mapping[str, Any]]) -> str:
    return ids_digest([row["id"] for row in rows])


def with_pruned(known: Expected, rows: Sequence[Mapping[str, Any]]) -> Expected:
    """The same, with which answers are to pruned questions where the answers themselves say it."""
    said = {}
    for row in rows:
        extra = row.get("extra")
        if isinstance(extra, Mapping) and isinstance(extra.get("pruned"), bool):
            said[str(row["id"])] = extra["pruned"]
    return replace(known, pruned={**said, **known.pruned})
