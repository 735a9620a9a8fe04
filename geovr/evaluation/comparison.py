"""Two models' answers to the same questions, compared item by item.

The difference of each line has a bootstrap interval and a sign-flip test, both clustered by scene.
p-values of the kinds are adjusted for their number (Holm); that of the mean stands by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geovr.errors import UserError
from geovr.evaluation.kinds import Headline, groups, headline
from geovr.evaluation.profiles import own
from geovr.evaluation.profiles.adding import POOLED
from geovr.evaluation.profiles.profile import Group, Profile, Said
from geovr.evaluation.profiles.table import profiles_of
from geovr.evaluation.saved import said_of
from geovr.evaluation.scorers import merged_kind, parse_number, score
from geovr.evaluation.statistics import Interval, SceneBootstrap, SceneSignFlip, Verdict, holm

Row = Mapping[str, Any]
RESAMPLES, FLIPS, SEED = 2000, 9999, 0
SIGNIFICANT = 0.05
MEAN = "mean"
AUTO, OFFICIAL = "auto", "official"


class NotComparable(ValueError):
    """Answers that don't belong side by side."""


@dataclass(frozen=True)
class Mean:
    """What a line is the mean of: masks over the items, and the weight of each, adding up to 1."""

    masks: list[np.ndarray]
    weights: list[float]

    def of(self, values: np.ndarray) -> float:
        """The mean of some values, one per item."""
        return float(np.dot(self.weights, [values[mask].mean() for mask in self.masks]))

    @property
    def inside(self) -> np.ndarray:
        """Mask over the items that count."""
        return np.asarray(np.logical_or.reduce(self.masks))


@dataclass(frozen=True)
class Scoring:
    """A way from answers to scores.

    Attributes:
        name: flow, or that of a profile.
        score: of one answer, from 0 to 1.
        reads: whether anything could be read in an answer, as far as this way of scoring looks.
        lines: of all answers, what is told of, `mean` first.
        headline: of all answers, the lines that the mean is of, and what they are together.
        stops: the error with which the upstream's own code ends on these answers, if it does.
    """

    name: str
    score: Callable[[Row], float]
    reads: Callable[[Row], bool]
    lines: Callable[[Sequence[Row]], dict[str, Mean]]
    headline: Callable[[Sequence[Row]], Headline]
    stops: Callable[[Sequence[Row]], str | None] = lambda rows: None


def said(row: Row) -> Said:
    """An answer as profiles take it."""
    return said_of(row, None)


def _flow_score(row: Row) -> float:
    answer = str(row["answer"])
    # files of an earlier version lack the options: an answer that is no number is a letter
    options = row.get("options", None if parse_number(answer) is not None else [answer])
    return score(row["text"] or "", answer, options)


def _flow_reads(row: Row) -> bool:
    return own.judge(said(row)).read is not None


def _flow_headline(rows: Sequence[Row]) -> Headline:
    return headline([str(row["kind"]) for row in rows])


def _flow_lines(rows: Sequence[Row]) -> dict[str, Mean]:
    raw = np.asarray([str(row["kind"]) for row in rows])
    kinds = dict.fromkeys(map(merged_kind, raw.tolist()))
    told = {MEAN: list(_flow_headline(rows).kinds)} | {kind: [kind] for kind in kinds}
    return {line: Mean(*groups(raw, members)) for line, members in told.items()}


FLOW = Scoring("flow", _flow_score, _flow_reads, _flow_lines, _flow_headline)
"""The flow's own rule: geovr.evaluation.scorers, the mean over geovr.evaluation.kinds.headline."""


def _mean(found: Sequence[Group]) -> Mean:
    """Of groups by their weights; all the same where they have none."""
    weights = [group.weight for group in found]
    whole = sum(weights)
    shares = [weight / whole if whole else 1 / len(found) for weight in weights]
    return Mean([group.members for group in found], shares)


def by_profile(profile: Profile) -> Scoring:
    """Scores of one upstream's rules; lines are its groups, the mean that of those that weigh."""

    def groups_of(rows: Sequence[Row]) -> list[Group]:
        return [group for group in profile.groups(list(map(said, rows))) if group.members.any()]

    def called(rows: Sequence[Row]) -> Headline:
        found = groups_of(rows)
        names = dict.fromkeys(merged_kind(group.name) for group in found if group.weight > 0)
        if list(names) == [POOLED]:
            told = tuple(group.name for group in found if group.name != POOLED)
            return Headline(told, "kinds, every question counting the same")
        return Headline(tuple(names), f"kinds of the {profile.name} score")

    def lines(rows: Sequence[Row]) -> dict[str, Mean]:
        found = groups_of(rows)
        told = {MEAN: _mean([group for group in found if group.weight > 0])}
        for name in dict.fromkeys(merged_kind(group.name) for group in found):
            if name != POOLED:
                told[name] = _mean([group for group in found if merged_kind(group.name) == name])
        return told

    def stops(rows: Sequence[Row]) -> str | None:
        saids = list(map(said, rows))
        return profile.total(saids, list(map(profile.judge, saids))).stops

    return Scoring(
        profile.name,
        lambda row: profile.judge(said(row)).score,
        lambda row: profile.judge(said(row)).read is not None,
        lines,
        called,
        stops,
    )


def scoring_of(benchmark: str | None, name: str = AUTO) -> Scoring:
    """How the answers to a benchmark are scored.

    Args:
        benchmark: its name in the table; None for questions that are no published benchmark's.
        name: auto: as the benchmark's publisher does, and by the flow's rule where there is none;
            flow; or a profile.

    Raises:
        UserError: when the benchmark has no such profile.
    """
    known = profiles_of(benchmark) if benchmark else {}
    if name == FLOW.name or (name == AUTO and OFFICIAL not in known):
        return FLOW
    wanted = OFFICIAL if name == AUTO else name
    if wanted not in known:
        raise UserError(
            f"evaluate.scoring: {wanted}: {benchmark or 'questions of your own'} can be scored by"
            f" {', '.join(['flow', *known])}"
        )
    return by_profile(known[wanted])


class Scored:
    """Answers with their scores, in their order.

    Args:
        answers: as a prediction file has them.
        scoring: by which they are scored.

    Raises:
        NotComparable: when a question was answered twice.
    """

    def __init__(self, answers: Iterable[Row], scoring: Scoring = FLOW) -> None:
        self.rows = list(answers)
        self.scoring = scoring
        self.ids = [str(row["id"]) for row in self.rows]
        self.place = {name: place for place, name in enumerate(self.ids)}
        if len(self.place) < len(self.ids):
            twice = sorted(name for name, count in Counter(self.ids).items() if count > 1)
            raise NotComparable(f"{len(twice)} questions were answered twice: {twice[:5]}")
        self.scores = np.asarray([scoring.score(row) for row in self.rows], dtype=float)
        self.scenes = np.asarray([scene_of(row) for row in self.rows])
        self.lines = scoring.lines(self.rows)

    def below(self, floors: Mapping[str, float]) -> str:
        """Floors that are not reached; one of a kind that the benchmark lacks is not reached."""
        found = []
        for line, least in floors.items():
            if line not in self.lines:
                found.append(f"{line} (not asked)")
                continue
            mean = self.lines[line].of(self.scores)
            if mean < least:
                found.append(f"{line} {100 * mean:.1f} < {100 * least:.1f}")
        return ", ".join(found)


def scene_of(row: Row) -> str:
    """Where a question was filmed; its clip where that isn't told, and itself as a last resort."""
    return str(row.get("scene") or row.get("clip_id") or row["id"])


@dataclass(frozen=True)
class Difference:
    """One line of a comparison; scores are shares of 1.

    Attributes:
        kind: or `mean`.
        items: that count.
        scenes: that they come from.
        ours, theirs: the two scores.
        difference: ours - theirs, item by item.
        p: two-sided, of the sign-flip test.
        p_adjusted: adjusted over the kinds; of the mean the same as p.
    """

    kind: str
    items: int
    scenes: int
    ours: float
    theirs: float
    difference: Interval
    p: float
    p_adjusted: float

    @property
    def verdict(self) -> Verdict:
        """Where ours stands towards theirs, by the adjusted p-value."""
        if self.p_adjusted >= SIGNIFICANT or self.difference.mean == 0:
            return "not distinguishable"
        return "above" if self.difference.mean > 0 else "below"


def p_text(value: float) -> str:
    """A p-value for people."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def differences(ours: Scored, theirs: Scored) -> list[Difference]:
    """Compare two sets of answers to the same questions: the mean first, then each kind.

    Raises:
        NotComparable: when the questions are not the same.
    """
    if set(ours.ids) != set(theirs.ids):
        apart = sorted(set(ours.ids) ^ set(theirs.ids))
        raise NotComparable(
            f"{len(apart)} questions were answered by one of them only: {apart[:5]}"
        )
    others = theirs.scores[[theirs.place[name] for name in ours.ids]]
    gain = ours.scores - others
    bootstrap = SceneBootstrap(ours.scenes, RESAMPLES, SEED)
    flips = SceneSignFlip(ours.scenes, FLIPS, SEED)
    raw = {name: flips.p_value(gain, m.masks, m.weights) for name, m in ours.lines.items()}
    kinds = [name for name in ours.lines if name != MEAN]
    adjusted = dict(zip(kinds, holm([raw[name] for name in kinds]), strict=True))
    return [
        Difference(
            kind=name,
            items=int(mean.inside.sum()),
            scenes=len(set(ours.scenes[mean.inside])),
            ours=mean.of(ours.scores),
            theirs=mean.of(others),
            difference=bootstrap.groups_mean(gain, mean.masks, mean.weights),
            p=raw[name],
            p_adjusted=adjusted.get(name, raw[name]),
        )
        for name, mean in ours.lines.items()
    ]
