"""All numbers of a study: its arms' scores by kind, and how they differ from the reference's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from geovr.errors import UserError
from geovr.evaluation.comparison import FLOW, MEAN, Mean, scene_of
from geovr.evaluation.kinds import CONTROL
from geovr.evaluation.scorers import merged_kind
from geovr.evaluation.statistics import Interval
from geovr.study.results import RunResult, StudyResults, run_directory
from geovr.study.statistics import RESAMPLES, CrossedBootstrap, spread

UNRECORDED = "unknown"
"""Of trainings that don't tell which code trained them."""
VIEWS = {"blanked": "video blanked", "shuffled": "frames shuffled"}
"""Baselines that an arm's own model gives, and what they are called."""


class _Numbers(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Numbers):
    """A number that each seed has: the mean over seeds, and their standard deviation."""

    mean: float
    sd: float | None
    """None with one seed."""
    by_seed: dict[int, float]


class Gap(_Numbers):
    """A difference to the reference, question by question and seed by seed."""

    interval: Interval
    """95 %, over scenes and, where there are several, seeds."""
    by_seed: dict[int, float]
    """Of the seeds that both have."""


class Line(_Numbers):
    """An arm on one kind, or on the mean of the headline's kinds."""

    score: Value
    """Share of 1."""
    gap: Gap | None
    """None for the reference itself, and where the two share no seed."""
    nll: Value | None
    """Negative log-likelihood of the right answers, nats; None where a run doesn't tell it."""
    nll_gap: Gap | None
    blanked: Value | None
    shuffled: Value | None
    """None where these weren't asked."""


class ArmSummary(_Numbers):
    """An arm with at least one run."""

    name: str
    label: str
    plant: str | None
    seeds: tuple[int, ...]
    train_seconds: Value | None
    """None where all of it was trained before, by another study."""
    lines: dict[str, Line]
    """`mean`, then each kind."""


class Summary(_Numbers):
    """A study in numbers."""

    name: str
    about: str
    reference: str
    seeds: tuple[int, ...]
    missing: tuple[tuple[str, int], ...]
    stale: tuple[tuple[str, int], ...]
    """Of the missing, those that were made with other parameters, clips or targets."""
    commits: dict[str, int]
    """Code that trained -> runs."""
    kinds: tuple[str, ...]
    """That the mean is taken over."""
    kinds_name: str
    """What they are called together."""
    others: tuple[str, ...]
    """Kinds that are neither those nor controls: they refer to objects."""
    controls: tuple[str, ...]
    items: dict[str, int]
    """Questions of each line."""
    scenes: int
    decodings: tuple[str, ...]
    """Ways in which numbers were decoded."""
    resamples: int
    best_constant: dict[str, float]
    """Of each line, the score of the answers that the reference's training questions teach without
    a video."""
    arms: tuple[ArmSummary, ...]

    def arm(self, name: str) -> ArmSummary | None:
        """An arm by its name; None where no run of it is done."""
        return next((arm for arm in self.arms if arm.name == name), None)

    @property
    def reference_label(self) -> str:
        """What tables call the reference."""
        found = self.arm(self.reference)
        return found.label if found else self.reference


def summarise(results: StudyResults, root: Path) -> Summary:
    """Score all answers and compare the arms.

    Args:
        results: of a study, with at least one run.
        root: its directory, for messages.

    Raises:
        UserError: when runs answered different questions, or were scored by a benchmark's rule.
    """
    first = results.runs[0]
    for run in results.runs:
        _check(run, first, root)
    lines = FLOW.lines(first.answers)
    head = FLOW.headline(first.answers)
    present = dict.fromkeys(merged_kind(str(row["kind"])) for row in first.answers)
    scenes = np.asarray([scene_of(row) for row in first.answers])
    bootstrap = CrossedBootstrap(scenes)
    measured = {(run.arm, run.seed): _measure(run, first) for run in results.runs}
    reference = {
        run.seed: measured[run.arm, run.seed] for run in results.of(results.study.reference)
    }
    arms = []
    for arm in results.study.arms:
        own = {run.seed: measured[run.arm, run.seed] for run in results.of(arm.name)}
        if not own:
            continue
        against = {} if arm.name == results.study.reference else reference
        arms.append(
            ArmSummary(
                name=arm.name,
                label=arm.label,
                plant=arm.plant,
                seeds=tuple(own),
                train_seconds=_seconds(results.of(arm.name)),
                lines={name: _line(own, against, m, bootstrap) for name, m in lines.items()},
            )
        )
    baseline = next(iter(results.of(results.study.reference)), first)
    constants = {line.kind: line.best_constant for line in baseline.scores.kinds}
    return Summary(
        name=results.study.name,
        about=results.study.about,
        reference=results.study.reference,
        seeds=results.study.seeds,
        missing=tuple(results.missing),
        stale=results.stale,
        commits=dict(
            Counter(str(run.details.get("trained_with", UNRECORDED)) for run in results.runs)
        ),
        kinds=head.kinds,
        kinds_name=head.name,
        others=tuple(k for k in present if k not in head.kinds and k not in CONTROL),
        controls=tuple(k for k in present if k in CONTROL and k not in head.kinds),
        items={name: int(mean.inside.sum()) for name, mean in lines.items()},
        scenes=len(set(scenes.tolist())),
        decodings=tuple(sorted(set(_decodings(results)))),
        resamples=RESAMPLES,
        best_constant={MEAN: float(np.mean([constants[k] for k in head.kinds])), **constants},
        arms=tuple(arms),
    )


_Measured = dict[str, np.ndarray]
"""Of a run: `score`, and where it has them `nll`, `blanked` and `shuffled`, (questions)."""


def _asked(run: RunResult) -> dict[str, tuple[str, ...]]:
    """What was asked, by its id."""
    parts = ("kind", "answer", "scene", "question")
    return {str(row["id"]): tuple(str(row.get(part)) for part in parts) for row in run.answers}


def _check(run: RunResult, first: RunResult, root: Path) -> None:
    place = run_directory(root, run.arm, run.seed)
    if run.scores.scoring != FLOW.name:
        raise UserError(
            f"{place}: scored by {run.scores.scoring}; set evaluate.scoring to {FLOW.name} for all"
            " runs of a study, and `geovr study run` scores their answers again"
        )
    if _asked(run) != _asked(first):
        other = run_directory(root, first.arm, first.seed)
        raise UserError(
            f"{place}: other questions than those of {other}; remove the one that is not of this"
            " study's scenes, and `geovr study run` makes it again"
        )


def _measure(run: RunResult, first: RunResult) -> _Measured:
    """Numbers of a run, in the order of the first run's questions."""
    by_id = {str(row["id"]): row for row in run.answers}
    rows: list[Mapping[str, Any]] = [by_id[str(row["id"])] for row in first.answers]
    found = {"score": np.asarray([FLOW.score(row) for row in rows])}
    for view in VIEWS:
        texts = [row.get(f"{view}_text") for row in rows]
        if None not in texts:
            pairs = zip(rows, texts, strict=True)
            found[view] = np.asarray([FLOW.score({**row, "text": text}) for row, text in pairs])
    losses = [row.get("nll") for row in rows]
    if None not in losses:
        found["nll"] = np.asarray(losses, dtype=float)
    return found


def _seconds(runs: Sequence[RunResult]) -> Value | None:
    known = {run.seed: run.seconds["train"] for run in runs if "train" in run.seconds}
    return _value(known) if known else None


def _value(by_seed: dict[int, float]) -> Value:
    values = list(by_seed.values())
    return Value(mean=float(np.mean(values)), sd=spread(values), by_seed=by_seed)


def _line(
    own: dict[int, _Measured],
    against: dict[int, _Measured],
    mean: Mean,
    bootstrap: CrossedBootstrap,
) -> Line:
    def value(name: str) -> Value | None:
        found = {seed: mean.of(run[name]) for seed, run in own.items() if name in run}
        return _value(found) if found else None

    def gap(name: str) -> Gap | None:
        shared = [s for s in own if s in against and name in own[s] and name in against[s]]
        if not shared:
            return None
        differences_SQ = np.stack([own[seed][name] - against[seed][name] for seed in shared])
        by_seed = {s: mean.of(row) for s, row in zip(shared, differences_SQ, strict=True)}
        return Gap(interval=bootstrap.interval(differences_SQ, mean), by_seed=by_seed)

    score = value("score")
    assert score is not None  # every run has answers
    return Line(
        score=score,
        gap=gap("score"),
        nll=value("nll"),
        nll_gap=gap("nll"),
        blanked=value("blanked"),
        shuffled=value("shuffled"),
    )


def _decodings(results: StudyResults) -> Iterator[str]:
    """Of rows whose answer is a number."""
    for run in results.runs:
        for row in run.answers:
            if not row.get("options"):
                yield str(row.get("decoding") or "unknown")
