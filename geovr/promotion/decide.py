"""Which version is the champion: a later one only when it is better on the same benchmark, and in a
profile for commercial use only when its lineage allows that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from geovr.evaluation.comparison import (
    FLOW,
    MEAN,
    Difference,
    Scored,
    Scoring,
    differences,
    scoring_of,
)
from geovr.evaluation.statistics import Interval
from geovr.leakage.registration import forbids
from geovr.lineage import barred_by_fault, barred_from_commerce
from geovr.model_registry import Version
from geovr.promotion.champion import NAME_TAG, SCORING_TAG
from geovr.promotion.policy import PromotionPolicy

Answers = list[dict[str, Any]]


@dataclass(frozen=True)
class Decision:
    """Whether a version may become champion, and why.

    Attributes:
        approved: or refused.
        reason: in a sentence.
        champion: number of the version it was compared with.
        gains: `mean` and kind -> difference to it, item by item.
        p_value: of the mean's difference, by the sign-flip test; None without a champion.
        table: the comparison, `mean` first: both scores, difference, p-values.
    """

    approved: bool
    reason: str
    champion: int | None = None
    gains: dict[str, Interval] = field(default_factory=dict)
    p_value: float | None = None
    table: tuple[Difference, ...] = ()

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        table = [asdict(line) | {"verdict": line.verdict} for line in self.table]
        return asdict(self) | {"table": table}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Decision:
        """The decision that `told` tells of.

        Raises:
            ValueError: when it tells of none.
        """
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(told)


def decide(
    candidate: Version,
    champion: Version | None,
    policy: PromotionPolicy,
    *,
    commercial: bool,
    answers: Callable[[Version], Answers],
) -> Decision:
    """Judge a candidate by its lineage, its own scores, and the champion's on the same questions.

    Approved without a champion when it reaches the floors; else when besides no kind regresses
    and the 95 % interval of the paired difference of the mean, clustered by scene, lies above
    `policy.min_gain`. Where `commercial` use is demanded, a candidate whose lineage isn't known to
    allow it is refused, and a champion of that kind is no champion to be better than. What learnt
    from targets with a planted fault is refused anywhere.

    Args:
        candidate: the version.
        champion: the champion now.
        policy: the rules.
        commercial: demand a lineage that allows commercial use.
        answers: of a version to the candidate's benchmark.

    Raises:
        UserError: when answers can't be had.
    """
    barred = barred_from_commerce(candidate.tags) if commercial else None
    if barred:
        return Decision(
            False,
            f"commercial use is demanded, but {barred}; train from a base model and targets whose"
            " licences allow it, or set register.require_commercial_use to false",
        )
    if champion is not None and champion.number == candidate.number:
        return Decision(True, "it is the champion already", champion.number)
    fault = barred_by_fault(candidate.tags)
    if fault:
        return Decision(
            False,
            f"it learnt from targets with a planted fault ({fault}), which a study makes to see"
            " what happens; train on true targets",
        )
    leak = forbids(
        candidate.tags, leaking=policy.allow_leakage, unknown=policy.allow_unknown_leakage
    )
    if leak:
        return Decision(False, leak)
    scoring = _scoring(candidate)
    low = Scored(answers(candidate), scoring).below(policy.floors) if policy.floors else ""
    if low:
        return Decision(False, f"it is below its floor: {low}")
    if champion is None:
        return Decision(True, "it is the first version")
    if commercial and barred_from_commerce(champion.tags):
        return Decision(
            True, f"version {champion.number}, the champion, may not be used commercially"
        )
    ours, theirs = (Scored(answers(version), scoring) for version in (candidate, champion))
    return _compared(ours, theirs, champion.number, policy)


def _scoring(candidate: Version) -> Scoring:
    """That of the evaluation which the candidate was registered with."""
    name = candidate.tags.get(SCORING_TAG, FLOW.name)
    return scoring_of(candidate.tags.get(NAME_TAG), name)


def _compared(ours: Scored, theirs: Scored, champion: int, policy: PromotionPolicy) -> Decision:
    table = tuple(differences(ours, theirs))
    gains = {line.kind: line.difference for line in table}
    gain = gains[MEAN]
    numbers = (champion, gains, table[0].p, table)
    worse = [
        f"{kind} {_points(difference)}"
        for kind, difference in gains.items()
        if policy.max_regression is not None
        and kind != MEAN
        and difference.high < 0
        and difference.mean < -policy.max_regression
    ]
    if worse:
        reason = f"it is worse than version {champion} at {', '.join(worse)}"
        return Decision(False, f"{reason}; its mean: {_points(gain)}", *numbers)
    if table[0].scenes < policy.min_scenes:
        reason = (
            f"{table[0].scenes} scenes are too few to tell it from version {champion}"
            f" (register.policy.min_scenes: {policy.min_scenes}): {_points(gain)}"
        )
        return Decision(False, reason, *numbers)
    if gain.low > policy.min_gain:
        reason = f"it is better than version {champion}: {_points(gain)}"
        return Decision(True, reason, *numbers)
    least = f" by {100 * policy.min_gain:g} points" if policy.min_gain else ""
    reason = f"it is not shown to be better than version {champion}{least}: {_points(gain)}"
    return Decision(False, reason, *numbers)


def _points(gain: Interval) -> str:
    return f"{100 * gain.mean:+.1f} points [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"
