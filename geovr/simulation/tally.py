"""What was asked and what was not, over all scenes, and what a solver without eyes would score."""

from __future__ import annotations

from collections import Counter
from typing import Any

from geovr.simulation.blind import blind_share
from geovr.simulation.question import Question
from geovr.simulation.record import Record
from geovr.simulation.rooms.questions.drafting import SPARE


def tally(records: list[Record]) -> dict[str, Any]:
    """Questions by split and kind, refused candidates by kind and reason, and blind scores.

    Returns:
        questions and object_questions (by split), and of both together: questions_by_kind,
        refused_questions (of worlds that count them),
        blind (share, chance, questions, by_kind; None without questions that have options).
    """
    by_split = Counter(record["split"] for record in records for _ in record["questions"])
    objects = Counter(record["split"] for record in records for _ in _object_questions(record))
    questions = [
        _question(told)
        for record in records
        for told in (*record["questions"], *_object_questions(record))
    ]
    refused: dict[str, Counter[str]] = {}
    for record in records:
        for kind, reasons in record.get("refused_questions", {}).items():
            refused.setdefault(kind, Counter()).update(reasons)
    blind = blind_share(questions)
    return {
        "questions": {split: by_split[split] for split in ("test", "train")},
        "object_questions": {split: objects[split] for split in ("test", "train")},
        "questions_by_kind": dict(sorted(Counter(q.kind for q in questions).items())),
        "refused_questions": {kind: dict(refused[kind]) for kind in sorted(refused)},
        "blind": None if blind is None else blind.told(),
    }


def lines(told: dict[str, Any]) -> list[str]:
    """A tally as lines of a log: one a kind where candidates were refused, and the blind solver."""
    found = []
    for kind, reasons in told["refused_questions"].items():
        refused = [f"{count} {why}" for why, count in sorted(reasons.items()) if why != SPARE]
        found.append(
            f"{kind}: {told['questions_by_kind'].get(kind, 0)} asked, {reasons.get(SPARE, 0)} spare"
            + (f"; refused: {', '.join(refused)}" if refused else "")
        )
    blind = told["blind"]
    if blind is not None:
        found.append(
            f"blind solver {100 * blind['share']:.1f} % on {blind['questions']} choices, "
            f"chance {100 * blind['chance']:.1f} %"
        )
    return found


def _object_questions(record: Record) -> list[dict[str, Any]]:
    """Those with files of their own, which furnished rooms don't have."""
    questions: list[dict[str, Any]] = record.get("object_questions", [])
    return questions


def _question(told: dict[str, Any]) -> Question:
    options = tuple(told["options"]) if told["options"] else None
    return Question(told["kind"], told["question"], options, told["answer"])
