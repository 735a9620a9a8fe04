"""The worst answers: question, answer, truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from geovr.errors import StoreError
from geovr.evaluation.predictions import read_predictions
from geovr.evaluation.scorers import score
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


def worst_answers(run: Run, config: ReportConfig) -> tuple[list[Answer], str | None]:
    """The answers of lowest score, of several kinds, and why there are none.

    Among equal scores the one whose truth the model held for least likely comes first.
    """
    if run.evaluation is None or run.asked is None:
        return [], "the evaluation or its clips were not found"
    details = run.evaluation.manifest.details
    try:
        said = read_predictions(run.evaluation.store, details["key"], details["predictions_sha256"])
    except StoreError as error:
        return [], str(error)
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
                score=score(one["text"], one["answer"], options),
                nll=one["nll"],
            )
        )
    answers.sort(key=lambda a: (a.score, -(a.nll or 0.0), a.kind, a.clip_id))
    taken: Counter[str] = Counter()
    worst: list[Answer] = []
    for answer in answers:
        if len(worst) < config.worst and taken[answer.kind] < config.worst_per_kind:
            taken[answer.kind] += 1
            worst.append(answer)
    return worst, None
