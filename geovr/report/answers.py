"""Where the model fails: the worst answers, and the clips that it understood least."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass

from geovr.errors import StoreError
from geovr.evaluation.comparison import FLOW, scoring_of
from geovr.evaluation.predictions import read_predictions
from geovr.report.config import ReportConfig
from geovr.report.gather import Run


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        clip_id: the clip asked about.
        kind: of the question.
        question: as it was asked.
        options: of a choice, as they were shown.
        said: what the model answered.
        truth: the recorded answer.
        score: from 0 to 1.
        nll: negative log-likelihood of the recorded answer, nats; None where it isn't known.
    """

    clip_id: str
    kind: str
    question: str
    options: tuple[str, ...]
    said: str
    truth: str
    score: float
    nll: float | None


@dataclass(frozen=True)
class WorstClip:
    """A clip of which the model understood little.

    Attributes:
        clip_id: the clip.
        score: mean over its questions, from 0 to 1.
        answers: to all of them, the worst first.
    """

    clip_id: str
    score: float
    answers: tuple[Answer, ...]


def scored_answers(run: Run) -> tuple[list[Answer], str | None]:
    """All answers, and why there are none.

    The worst come first; among equal scores the one whose truth the model held for least likely.
    """
    if run.evaluation is None or run.asked is None:
        return [], "the evaluation or its clips were not found"
    details = run.evaluation.manifest.details
    try:
        said = read_predictions(run.evaluation.store, details["key"], details["predictions_sha256"])
    except StoreError as error:
        return [], str(error)
    scoring = scoring_of(details.get("benchmark"), details.get("scoring", FLOW.name))
    rows = {row.id: row for row in run.asked.questions.itertuples(index=False)}
    answers = []
    for one in said:
        row = rows[one["id"]]
        options = tuple(str(option) for option in row.options) if row.options is not None else ()
        answers.append(
            Answer(
                clip_id=one["clip_id"],
                kind=one["kind"],
                question=row.question,
                options=options,
                said=one["text"],
                truth=one["answer"],
                score=scoring.score(one),
                nll=one["nll"],
            )
        )
    answers.sort(key=lambda a: (a.score, -(a.nll or 0.0), a.kind, a.clip_id))
    return answers, None


def worst_answers(answers: list[Answer], config: ReportConfig) -> list[Answer]:
    """The first of them, of several kinds."""
    taken: Counter[str] = Counter()
    worst: list[Answer] = []
    for answer in answers:
        if len(worst) < config.worst and taken[answer.kind] < config.worst_per_kind:
            taken[answer.kind] += 1
            worst.append(answer)
    return worst


def worst_clips(answers: list[Answer], config: ReportConfig) -> list[WorstClip]:
    """The clips of lowest mean score; among equal ones, those with more questions, then by name.

    One lost question says little of a clip: clips with fewer than half the usual number of
    questions are left out.
    """
    by_clip: dict[str, list[Answer]] = {}
    for answer in answers:
        by_clip.setdefault(answer.clip_id, []).append(answer)
    if not by_clip:
        return []
    usual = statistics.median(map(len, by_clip.values()))
    found = [
        WorstClip(clip_id, statistics.fmean(a.score for a in of_clip), tuple(of_clip))
        for clip_id, of_clip in by_clip.items()
        if 2 * len(of_clip) >= usual
    ]
    found.sort(key=lambda clip: (clip.score, -len(clip.answers), clip.clip_id))
    return found[: config.worst_clips]
