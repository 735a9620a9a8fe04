"""Scores of saved answers by one upstream's rules or several; nothing is asked again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from geovr.errors import UserError
from geovr.evaluation.answered import VSI, Expected, check_answered, expected, with_pruned
from geovr.evaluation.benchmarks.lock import read_lock
from geovr.evaluation.predictions import Predictions
from geovr.evaluation.profiles.own import OWN
from geovr.evaluation.profiles.profile import Judged, Profile, Said
from geovr.evaluation.profiles.table import profiles_of
from geovr.evaluation.profiles.vsi_kinds import KINDS
from geovr.evaluation.saved import load, said_of
from geovr.evaluation.statistics import SceneBootstrap

ALL, OFFICIAL = "all", "official"


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval; shares from 0 to 1, in points of 1 for a gap.

    Attributes:
        items: answers that were scored.
        score: None where the upstream's code stops.
        low, high: None where there is nothing to resample.
        lines: what the upstream reports beside it.
        stops: why there is no score.
        stopped: how many answers end the upstream's code.
        assumed: what the score were if those counted 0; `low`, `high` and `lines` are then of it.
    """

    items: int
    score: float | None
    low: float | None = None
    high: float | None = None
    lines: Mapping[str, float] = field(default_factory=dict)
    stops: str | None = None
    stopped: int = 0
    assumed: float | None = None

    @property
    def value(self) -> float | None:
        """The score, or what it were."""
        return self.assumed if self.score is None else self.score


@dataclass(frozen=True)
class Profiled:
    """What a profile makes of all answers.

    Attributes:
        source: whose code it equals.
        overall: of all answers.
        unparsed: id -> the words in which nothing could be read.
        parts: full, debiased, pruned and gap (full - debiased), where it is known which are pruned.
    """

    source: str
    overall: Score
    unparsed: Mapping[str, str | None]
    parts: Mapping[str, Score]


@dataclass(frozen=True)
class Scored:
    """All scores of a file of answers.

    Attributes:
        predictions: where they were read.
        benchmark: whose questions they answer.
        answers: how many.
        expected: how many questions there are; None where nobody knows.
        expected_by: who says so.
        missing: ids without an answer, as far as they are known.
        kinds: kind -> answers.
        notes: what a reader should know.
        profiles: by name.
    """

    predictions: str
    benchmark: str
    answers: int
    expected: int | None
    expected_by: str
    missing: Sequence[str]
    kinds: Mapping[str, int]
    notes: Sequence[str]
    profiles: Mapping[str, Profiled]


def score(
    uri: str,
    *,
    profile: str = ALL,
    benchmark: str | None = None,
    reference: Path | None = None,
    partial: bool = False,
    resamples: int = 2000,
    seed: int = 0,
) -> Scored:
    """Score saved answers.

    Args:
        uri: of a file, or of an EvalReport.
        profile: one, or all that the benchmark has.
        benchmark: whose questions were asked; by default what the file's header says.
        reference: directory with the benchmark.
        partial: whether questions may be without an answer.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        UserError: for a file that is none, an unknown benchmark or profile.
        GateRefused: when not every question was answered exactly once.
    """
    found = load(uri)
    notes: list[str] = []
    name = benchmark or _benchmark(uri, found, reference, notes)
    profiles = _profiles(name, profile)
    known = with_pruned(expected(name, found.header, reference), found.rows)
    missing = check_answered(uri, found.rows, known, partial=partial)
    saids = [said_of(row, known.items.get(str(row["id"]))) for row in found.rows]
    if not known.binding and known.count != len(saids):
        notes.append(
            f"{len(saids)} answers, and nothing in the file says how many were asked;"
            f" --reference DIR compares with the benchmark's own ids"
        )
    if not all(said.scene for said in saids):
        notes.append("answers without a scene: each counts as a scene of its own in the intervals")
    whole = known.count
    published = found.header.get("published")
    if reference is None and isinstance(published, int) and whole and published > whole:
        notes.append(f"{published - whole} questions of the benchmark could not be asked")
        whole = published
    scenes = np.asarray([said.scene or f"\0{said.id}" for said in saids])
    bootstrap = SceneBootstrap(scenes, resamples, seed)
    kinds = [said.kind for said in saids]
    return Scored(
        predictions=uri,
        benchmark=name,
        answers=len(saids),
        expected=whole,
        expected_by=known.by,
        missing=missing,
        kinds={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        notes=notes,
        profiles={
            one.name: _profiled(one, saids, name, known, bootstrap) for one in profiles.values()
        },
    )


def _benchmark(uri: str, found: Predictions, reference: Path | None, notes: list[str]) -> str:
    named = found.header.get("benchmark")
    if isinstance(named, str):
        return named
    if found.header:
        return OWN
    lock = read_lock(reference) if reference is not None else None
    if lock is not None:
        return lock.name
    if all(row["kind"] in KINDS for row in found.rows):
        notes.append(f"taken for answers to {VSI} by their kinds; --benchmark says otherwise")
        return VSI
    raise UserError(f"{uri}: doesn't say whose questions it answers; add --benchmark NAME")


def _profiles(benchmark: str, wanted: str) -> dict[str, Profile]:
    known = profiles_of(benchmark)
    if not known:
        raise UserError(f"{benchmark}: no profile scores it; `geovr benchmark list` shows names")
    if wanted == ALL:
        return known
    if wanted == OFFICIAL and wanted not in known:
        wanted = next(iter(known))  # questions that nobody published have no publisher's scorer
    if wanted not in known:
        raise UserError(f"{wanted}: no profile of {benchmark}; it has {', '.join(known)} and {ALL}")
    return {wanted: known[wanted]}


def _profiled(
    profile: Profile,
    saids: Sequence[Said],
    benchmark: str,
    known: Expected,
    bootstrap: SceneBootstrap,
) -> Profiled:
    judged = [profile.judge(said) for said in saids]
    everything = np.ones(len(saids), bool)
    overall, weights = _part(profile, saids, judged, everything, bootstrap)
    parts: dict[str, Score] = {}
    if benchmark == VSI and all(said.id in known.pruned for said in saids):
        pruned = np.asarray([known.pruned[said.id] for said in saids])
        debiased, kept = _part(profile, saids, judged, ~pruned, bootstrap)
        parts = {
            "full": overall,
            "debiased": debiased,
            "pruned": _part(profile, saids, judged, pruned, bootstrap)[0],
        }
        if overall.value is not None and debiased.value is not None:
            values = np.asarray([one.score for one in judged])
            low, high = _interval(
                bootstrap, values, weights + [(-weight, mask) for weight, mask in kept]
            )
            gap, stops = overall.value - debiased.value, overall.stops or debiased.stops
            given = Score(len(saids), gap, low, high)
            parts["gap"] = replace(given, score=None, assumed=gap, stops=stops) if stops else given
    unread = {s.id: s.text for s, one in zip(saids, judged, strict=True) if one.read is None}
    return Profiled(profile.source, overall, unread, parts)


_Weighted = list[tuple[float, np.ndarray]]


def _part(
    profile: Profile,
    saids: Sequence[Said],
    judged: Sequence[Judged],
    members: np.ndarray,
    bootstrap: SceneBootstrap,
) -> tuple[Score, _Weighted]:
    """Score of some of the items, and the weights and masks over all items that make it."""
    places: list[int] = np.flatnonzero(members).tolist()
    part = [saids[place] for place in places]
    scored = [judged[place] for place in places]
    total = profile.total(part, scored)
    stops, stopped = total.stops, sum(one.stops is not None for one in scored)
    if stopped:
        total = profile.total(part, [replace(o, stops=None) if o.stops else o for o in scored])
    if total.overall is None:
        return Score(len(part), None, lines=total.lines, stops=stops, stopped=stopped), []
    weighted: _Weighted = []
    for group in profile.groups(part):
        if group.weight:
            mask = np.zeros(len(saids), bool)
            mask[np.asarray(places)[group.members]] = True
            weighted.append((group.weight, mask))
    values = np.asarray([one.score for one in judged])
    low, high = _interval(bootstrap, values, weighted)
    found = Score(len(part), total.overall, low, high, total.lines)
    if stops:
        found = replace(found, score=None, assumed=total.overall, stops=stops, stopped=stopped)
    return found, weighted


def _interval(
    bootstrap: SceneBootstrap, values: np.ndarray, weighted: _Weighted
) -> tuple[float | None, float | None]:
    """None where there is but one scene, or no resample has all kinds."""
    if len(bootstrap.names) < 2 or not weighted:
        return None, None
    weights, masks = zip(*weighted, strict=True)
    found = bootstrap.weighted_sum(values, masks, weights)
    return (None, None) if math.isnan(found.low) else (found.low, found.high)
