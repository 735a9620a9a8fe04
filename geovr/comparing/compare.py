"""From two sides to a comparison: that they answered the same questions comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from geovr.comparing.alike import same_protocol, same_questions
from geovr.comparing.sources import Side
from geovr.errors import UserError
from geovr.evaluation.comparison import (
    FLOW,
    MEAN,
    Difference,
    Mean,
    Row,
    Scored,
    Scoring,
    by_profile,
    differences,
)

By = Literal["kind", "type", "none"]


@dataclass(frozen=True)
class Comparison:
    """Two sides compared.

    Attributes:
        a, b: their names.
        scoring: by whose rules.
        scenes: that the questions come from.
        lines: the mean first; ours is A, theirs is B.
        notes: what a reader has to know.
    """

    a: str
    b: str
    scoring: str
    scenes: int
    lines: list[Difference]
    notes: list[str]

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        names = {"ours": "a", "theirs": "b"}
        lines = [
            {names.get(key, key): value for key, value in asdict(line).items()}
            | {"verdict": line.verdict}
            for line in self.lines
        ]
        return asdict(self) | {"lines": lines}


def compare(
    a: Side, b: Side, *, profile: str | None = None, by: By = "kind", common: bool = False
) -> Comparison:
    """Compare two sides item by item.

    Args:
        a: the one that is judged.
        b: the one that it is compared with.
        profile: of the benchmark's scorers; None: the flow's own rule.
        by: lines of the kinds as the scoring reports them, of the raw types, or the mean alone.
        common: compare what both answered, though one answered more or was asked otherwise.

    Raises:
        UserError: when the questions or protocols differ and `common` is false, nothing is
            common, or there is no such profile.
    """
    a, b, notes = same_questions(a, b, common)
    notes += same_protocol(a, b, common)
    scoring = _by(_scoring(a, b, profile), by)
    ours, theirs = Scored(a.rows, scoring), Scored(b.rows, scoring)
    if not all(row.get("scene") for row in a.rows):
        notes.append("not every answer tells its scene; its clip, or it itself, counts as one")
    lines = differences(ours, theirs)
    return Comparison(a.name, b.name, scoring.name, len(set(ours.scenes)), lines, notes)


def _by(scoring: Scoring, by: By) -> Scoring:
    if by == "kind":
        return scoring

    def lines(rows: Sequence[Row]) -> dict[str, Mean]:
        raw = np.asarray([str(row["kind"]) for row in rows])
        types = dict.fromkeys(raw.tolist()) if by == "type" else {}
        mean = {MEAN: scoring.lines(rows)[MEAN]}
        return mean | {name: Mean([raw == name], [1.0]) for name in types}

    return replace(scoring, lines=lines)


def _scoring(a: Side, b: Side, profile: str | None) -> Scoring:
    if profile is None or profile == FLOW.name:
        return FLOW
    from geovr.evaluation.profiles.table import profiles_of

    names = {side.benchmark for side in (a, b)} - {None}
    if len(names) != 1:
        told = f"they tell of {' and '.join(sorted(map(str, names)))}" if names else "none is told"
        raise UserError(
            f"--profile {profile}: which profiles there are depends on the benchmark, and {told};"
            " leave the option out for the flow's own rule"
        )
    known = profiles_of(str(names.pop()))
    if profile not in known:
        raise UserError(
            f"--profile {profile}: choose one of {', '.join([FLOW.name, *known])} for"
            f" {a.benchmark or b.benchmark}"
        )
    return by_profile(known[profile])
