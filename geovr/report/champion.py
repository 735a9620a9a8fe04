"""How a registered version compares with the champion that it met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geovr.evaluation.comparison import p_text
from geovr.evaluation.statistics import Interval, Verdict
from geovr.report.gather import Run


@dataclass(frozen=True)
class Line:
    """The mean, or a kind, the difference to the champion there, and what the test says of it."""

    name: str
    gain: Interval
    verdict: Verdict
    p: str
    """Adjusted for the number of kinds; empty in decisions of before it was told."""


@dataclass(frozen=True)
class Against:
    """The decision and the numbers behind it.

    Attributes:
        approved: or refused.
        reason: in a sentence.
        number: the champion's version.
        lines: `mean` first; none where scores were not compared.
        reach: largest absolute end of an interval, the scale of all bars.
    """

    approved: bool
    reason: str
    number: int
    lines: tuple[Line, ...]
    reach: float


def against_champion(run: Run) -> Against | None:
    """The comparison behind a decision; None for a version that met no champion."""
    told = run.judged
    if told is None or told.get("champion") is None:
        return None
    tested = {row["kind"]: row for row in told.get("table") or ()}
    lines = tuple(
        _line(name, Interval(**gain), tested.get(name))
        for name, gain in (told.get("gains") or {}).items()
    )
    ends = [abs(end) for line in lines for end in (line.gain.low, line.gain.high)]
    reach = max([0.05, *ends])
    return Against(told["approved"], told["reason"], int(told["champion"]), lines, reach)


def _line(name: str, gain: Interval, tested: Mapping[str, Any] | None) -> Line:
    if tested is None:
        return Line(name, gain, gain.verdict, "")
    return Line(name, gain, tested["verdict"], p_text(tested["p_adjusted"]))
