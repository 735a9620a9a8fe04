"""A question, as all worlds ask it."""

from __future__ import annotations

from dataclasses import dataclass

LETTERS = "ABCD"


@dataclass(frozen=True)
class Question:
    """One question. `options` are lettered ("A. left"); the answer is a letter or a number."""

    kind: str
    question: str
    options: tuple[str, ...] | None
    answer: str
