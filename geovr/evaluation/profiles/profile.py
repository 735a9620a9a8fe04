"""What a scorer profile is: one upstream's way from answers to scores, to the last bit.

A profile judges answers one by one, and adds them up. Both are pure functions of what was asked and
said, so that scores can be made again from saved answers at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Said:
    """A question, its recorded answer, and what a model said to it.

    Attributes:
        id: of the question.
        kind: the benchmark's own name of what is asked.
        question: the wording as published, with options inside where the benchmark has them there.
        options: lettered ("A. left"), None for a number or a free text.
        answer: the option's letter, or the number or text as written.
        text: the model's words; None where it gave none.
        scene: where it was filmed.
        extra: what else the benchmark's record holds (BenchmarkItem.extra).
    """

    id: str
    kind: str
    question: str
    options: tuple[str, ...] | None
    answer: str
    text: str | None
    scene: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """What a profile makes of one answer.

    Attributes:
        score: from 0 to 1; 0 where `stops` is given.
        read: what was taken for the answer, for a choice one of its options (in the case in which
            it was found), for a number what was parsed; None where nothing could be read. That says
            nothing of the score: some upstreams give an answer that can't be read full marks.
        stops: the error with which the upstream's own code ends at this answer, as
            "ZeroDivisionError: why"; None everywhere else.
    """

    score: float
    read: str | None
    stops: str | None = None


@dataclass(frozen=True)
class Group:
    """Items whose plain mean enters a benchmark's score.

    Attributes:
        name: as the upstream reports it.
        members: mask over the items.
        weight: of the group's mean in the overall score; 0 for a group that is told only.
    """

    name: str
    members: np.ndarray
    weight: float


@dataclass(frozen=True)
class Total:
    """A benchmark's score.

    Attributes:
        overall: share of 1, by the upstream's own expression; None where its code stops.
        lines: name -> score of what the upstream reports beside it, in its order.
        stops: the error with which the upstream's code ends; None when it doesn't.
    """

    overall: float | None
    lines: Mapping[str, float]
    stops: str | None = None


@dataclass(frozen=True)
class Profile:
    """One upstream's scorer.

    Attributes:
        name: official, lmms-eval, easi, geovr-paper, strict ..
        benchmarks: whose answers it can score, by their names in benchmarks/table.py.
        source: repository and file in which it was read.
        judge: one answer; never raises.
        total: all of them, in the order of the answers; never raises.
        groups: the same sum as groups and weights, for intervals.
    """

    name: str
    benchmarks: tuple[str, ...]
    source: str
    judge: Callable[[Said], Judged]
    total: Callable[[Sequence[Said], Sequence[Judged]], Total]
    groups: Callable[[Sequence[Said]], list[Group]]
