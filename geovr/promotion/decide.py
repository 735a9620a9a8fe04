"""Which version is the champion: a later one only when it is better on the same benchmark, and in a
profile for commercial use only when its lineage allows that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from geovr.evaluation.kinds import groups, headline
from geovr.evaluation.scorers import merged_kind, parse_number, score
from geovr.evaluation.statistics import Interval, SceneBootstrap
from geovr.leakage.registration import forbids
from geovr.lineage import barred_from_commerce
from geovr.model_registry import Version
from geovr.promotion.policy import PromotionPolicy

Answers = list[dict[str, Any]]
RESAMPLES, SEED = 2000, 0
MEAN = "mean"


@dataclass(frozen=True)
class Decision:
    """Whether a version may become champion, and why.

    Attributes:
        approved: or refused.
        reason: in a sentence.
        champion: number of the version it was compared with.
        gains: `mean` and kind -> difference to it, item by item.
    """

    approved: bool
    reason: str
    champion: int | None = None
    gains: dict[str, Interval] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


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
    allow it is refused, and a champion of that kind is no champion to be better than.

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
    leak = forbids(
        candidate.tags, leaking=policy.allow_leakage, unknown=policy.allow_unknown_leakage
    )
    if leak:
        return Decision(False, leak)
    low = _Scored(answers(candidate)).below(policy.floors) if policy.floors else ""
    if low:
        return Decision(False, f"it is below its floor: {low}")
    if champion is None:
        return Decision(True, "it is the first version")
    if commercial and barred_from_commerce(champion.tags):
        return Decision(
            True, f"version {champion.number}, the champion, may not be used commercially"
        )
    ours, theirs = _Scored(answers(candidate)), _Scored(answers(champion))
    return _compared(ours, theirs, champion.number, policy)


def _compared(ours: _Scored, theirs: _Scored, champion: int, policy: PromotionPolicy) -> Decision:
    gains = ours.gains(theirs)
    gain = gains[MEAN]
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
        return Decision(False, f"{reason}; its mean: {_points(gain)}", champion, gains)
    if gain.low > policy.min_gain:
        reason = f"it is better than version {champion}: {_points(gain)}"
        return Decision(True, reason, champion, gains)
    least = f" by {100 * policy.min_gain:g} points" if policy.min_gain else ""
    reason = f"it is not shown to be better than version {champion}{least}: {_points(gain)}"
    return Decision(False, reason, champion, gains)


def _points(gain: Interval) -> str:
    return f"{100 * gain.mean:+.1f} points [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"


class _Scored:
    """Answers with their scores, by id."""

    def __init__(self, answers: Answers) -> None:
        self.by_id = {str(row["id"]): row for row in answers}
        self.scores = {name: _score(row) for name, row in self.by_id.items()}
        self.ids = list(self.by_id)
        self.raw = np.asarray([self.by_id[name]["kind"] for name in self.ids])
        self.kinds = list(dict.fromkeys(merged_kind(kind) for kind in self.raw))

    def _lines(self) -> dict[str, list[str]]:
        """What is told of, and the kinds that each line is the mean of."""
        return {MEAN: list(headline(self.raw).kinds)} | {kind: [kind] for kind in self.kinds}

    def below(self, floors: dict[str, float]) -> str:
        """Floors that are not reached; one of a kind that the benchmark lacks is not reached."""
        values = np.asarray([self.scores[name] for name in self.ids])
        lines = self._lines()
        found = []
        for line, least in floors.items():
            if line not in lines:
                found.append(f"{line} (not asked)")
                continue
            masks, weights = groups(self.raw, lines[line])
            mean = float(np.dot(weights, [values[mask].mean() for mask in masks]))
            if mean < least:
                found.append(f"{line} {100 * mean:.1f} < {100 * least:.1f}")
        return ", ".join(found)

    def gains(self, other: _Scored) -> dict[str, Interval]:
        """Difference to another's answers to the same questions, `mean` first.

        Raises:
            ValueError: when the questions are not the same.
        """
        if set(self.ids) != set(other.ids):
            apart = sorted(set(self.ids) ^ set(other.ids))
            raise ValueError(
                f"{len(apart)} questions were answered by one of them only: {apart[:5]}"
            )
        scenes = np.asarray([self.by_id[name]["scene"] for name in self.ids])
        difference = np.asarray([self.scores[name] - other.scores[name] for name in self.ids])
        bootstrap = SceneBootstrap(scenes, RESAMPLES, SEED)
        return {
            line: bootstrap.groups_mean(difference, *groups(self.raw, kinds))
            for line, kinds in self._lines().items()
        }


def _score(row: dict[str, Any]) -> float:
    answer = row["answer"]
    # files of an earlier version lack the options: an answer that is no number is a letter
    options = row.get("options", None if parse_number(answer) is not None else [answer])
    return score(row["text"], answer, options)
