"""From two sides to a comparison: that they answered the same questions comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from geovr.comparing.alike import same_protocol, same_questions
from geovr.comparing.sources import Side
from geovr.errors import UserError
from geovr.evaluation.comparison import (
    AUTO,
    FLOW,
    MEAN,
    Difference,
    Mean,
    Row,
    Scored,
    Scoring,
    differences,
    scoring_of,
)
from geovr.evaluation.profiles.table import profiles_of

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
    a: Side, b: Side, *, profile: str = AUTO, by: By = "kind", common: bool = False
) -> Comparison:
    """Compare two sides item by item.

    Args:
        a: the one that is judged.
        b: the one that it is compared with.
        profile: auto: as the benchmark's publisher scores, and by the flow's own rule where there
            is none; flow; or one of the benchmark's profiles.
        by: lines of the kinds as the scoring reports them, of the raw types, or the mean alone.
        common: compare what both answered, though one answered more or was asked otherwise.

    Raises:
        UserError: when the questions or protocols differ and `common` is false, nothing is
            common, there is no such profile, or they are of benchmarks that are scored apart.
    """
    a, b, notes = same_questions(a, b, common)
    notes += same_protocol(a, b, common)
    scoring = _by(_scoring(a, b, profile), by)
    ours, theirs = Scored(a.rows, scoring), Scored(b.rows, scoring)
    if not all(row.get("scene") for row in a.rows):
        notes.append("not every answer tells its scene; its clip, or it itself, counts as one")
    notes += _stops(scoring, {"A": a, "B": b})
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


def _scoring(a: Side, b: Side, profile: str) -> Scoring:
    names = sorted({str(side.benchmark) for side in (a, b) if side.benchmark is not None})
    if profile != FLOW.name and any(profiles_of(one) != profiles_of(names[0]) for one in names):
        raise UserError(
            f"--profile {profile}: they tell of {' and '.join(names)}, which are scored apart;"
            f" --profile {FLOW.name} scores both by the flow's own rule"
        )
    try:
        return scoring_of(names[0] if names else None, profile)
    except UserError as error:
        # it names the key of an evaluation's configuration
        told = str(error).removeprefix("evaluate.scoring: ")
        raise UserError(f"--profile {told}") from error


def _stops(scoring: Scoring, sides: Mapping[str, Side]) -> list[str]:
    """What is to be said where an upstream has no score of its own."""
    found = {which: scoring.stops(side.rows) for which, side in sides.items()}
    return [
        f"upstream's own code ends on the answers of {which} ({error}); the mean is of what there"
        " is"
        for which, error in found.items()
        if error is not None
    ]
