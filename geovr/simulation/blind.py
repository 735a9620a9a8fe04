"""How far a solver gets that sees no video: the most frequent answer of each kind of question.

Two such solvers are tried, and of each kind the better one counts: the letter that is right most
often, and the option whose text was right most often in the other half of the questions (the
half it is scored on would count its own answers).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geovr.simulation.question import Question


@dataclass(frozen=True)
class Blind:
    """Shares from 0 to 1, over all questions with options."""

    questions: int
    share: float
    chance: float
    share_by_kind: dict[str, float]

    def told(self) -> dict[str, Any]:
        """As a summary has it, rounded."""
        by_kind = {kind: round(share, 3) for kind, share in self.share_by_kind.items()}
        return {
            "questions": self.questions,
            "share": round(self.share, 3),
            "chance": round(self.chance, 3),
            "by_kind": by_kind,
        }


def blind_share(questions: Sequence[Question]) -> Blind | None:
    """Share of choices that a blind solver gets right, beside chance; None without choices."""
    by_kind: dict[str, list[Question]] = {}
    for question in questions:
        if question.options:
            by_kind.setdefault(question.kind, []).append(question)
    total = sum(len(group) for group in by_kind.values())
    if not total:
        return None
    right = {kind: max(_by_letter(group), _by_text(group)) for kind, group in by_kind.items()}
    chance = sum(1 / len(q.options or ()) for group in by_kind.values() for q in group)
    return Blind(
        total,
        sum(right.values()) / total,
        chance / total,
        {kind: right[kind] / len(group) for kind, group in sorted(by_kind.items())},
    )


def _by_letter(group: list[Question]) -> int:
    return max(Counter(question.answer for question in group).values())


def _by_text(group: list[Question]) -> int:
    half = len(group) // 2
    return _score(group[half:], group[:half]) + _score(group[:half], group[half:])


def _score(learned_from: list[Question], asked: list[Question]) -> int:
    """Answers that are right when each is the offered text with the highest share of rights."""
    offered: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for question in learned_from:
        texts = _texts(question)
        offered.update(texts.values())
        right[texts[question.answer]] += 1
    scored = 0
    for question in asked:
        texts = _texts(question)
        rank = {a: (right[text] + 1) / (offered[text] + len(texts)) for a, text in texts.items()}
        scored += max(rank, key=lambda letter: rank[letter]) == question.answer
    return scored


def _texts(question: Question) -> dict[str, str]:
    pairs = (option.partition(". ") for option in question.options or ())
    return {letter: text for letter, _, text in pairs}
