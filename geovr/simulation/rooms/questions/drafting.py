"""From candidates to questions: what is refused is counted, letters and answers are balanced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from geovr.simulation.question import LETTERS, Question

CAPS = {
    "object_counting": 3,
    "object_abs_distance": 4,
    "object_size_estimation": 4,
    "room_size_estimation": 1,
    "object_rel_distance": 3,
    "object_rel_direction_easy": 2,
    "object_rel_direction_medium": 2,
    "object_rel_direction_hard": 2,
    "obj_appearance_order": 2,
    "route_planning": 2,
}
"""Most questions of a kind about one room; the raw types of VSI-Bench, in its order of tables."""
KINDS = tuple(CAPS)
OPTIONS = 4
"""Categories that a question chooses among, or puts in order."""
SPARE = "spare: as good, but the room has enough of its kind"


@dataclass(frozen=True)
class Choice:
    """A candidate with options, still without letters."""

    question: str
    right: str
    wrong: tuple[str, ...]


@dataclass
class Desk:
    """What one room's questions are drafted with.

    Every candidate ends as a question or as one count in `refused`, under kind and reason. `caps`
    are the most questions of each kind; `options` the categories to choose among or put in order.
    Where no candidate has the answer whose turn it is, the next in the cycle gets it, or one that
    is drawn with `draw_others`: in rooms with few candidates the next would always be the same.
    """

    rng: np.random.Generator
    scene_index: int
    caps: Mapping[str, int] = field(default_factory=lambda: CAPS)
    options: int = OPTIONS
    draw_others: bool = False
    questions: list[Question] = field(default_factory=list)
    refused: dict[str, Counter[str]] = field(default_factory=dict)

    def refuse(self, kind: str, reason: str, count: int = 1) -> None:
        """Count candidates that are not asked."""
        if count:
            self.refused.setdefault(kind, Counter())[reason] += count

    def ask_numbers(self, kind: str, candidates: Sequence[tuple[str, str]]) -> None:
        """Ask some of the candidates, (question, answer), drawn without favour."""
        order, cap = self.rng.permutation(len(candidates)), self.caps[kind]
        for index in order[:cap]:
            question, answer = candidates[int(index)]
            self.questions.append(Question(kind, question, None, answer))
        self.refuse(kind, SPARE, max(len(order) - cap, 0))

    def ask_choices(
        self, kind: str, candidates: Sequence[Choice], cycles: Sequence[Sequence[str]] = ()
    ) -> None:
        """Ask some of the candidates, so that neither letters nor answers give anything away.

        The right letter goes round with scene and question. So does the right answer in a kind
        that has always the same ones, as far as the room allows: a cycle holds all answers of one
        length. Else every answer that some candidate has is as likely as any other, however many
        candidates share it.
        """
        groups: dict[str, list[Choice]] = {}
        for candidate in candidates:
            groups.setdefault(candidate.right, []).append(candidate)
        for number in range(min(self.caps[kind], len(candidates))):
            turn = self.scene_index + number + KINDS.index(kind)
            wanted = [str(answer) for answer in self.rng.permutation(sorted(groups))]
            if cycles:
                order = self.rng.permutation(len(cycles))
                wanted = [answer for i in order for answer in self._from(cycles[i], turn)]
            group = groups[next(answer for answer in wanted if groups.get(answer))]
            chosen = group.pop(int(self.rng.integers(len(group))))
            groups = {answer: left for answer, left in groups.items() if left}
            self.questions.append(self._lettered(kind, chosen, turn))
        self.refuse(kind, SPARE, sum(len(left) for left in groups.values()))

    def _lettered(self, kind: str, choice: Choice, turn: int) -> Question:
        right = turn % (len(choice.wrong) + 1)
        texts = [str(text) for text in self.rng.permutation(sorted(choice.wrong))]
        texts.insert(right, choice.right)
        options = tuple(f"{a}. {text}" for a, text in zip(LETTERS, texts, strict=False))
        return Question(kind, choice.question, options, LETTERS[right])

    def _from(self, cycle: Sequence[str], turn: int) -> list[str]:
        """A cycle from the turn's place on; it differs from the letter's, which goes round too."""
        start = (turn + turn // len(cycle)) % len(cycle)
        others = [*cycle[start + 1 :], *cycle[:start]]
        if self.draw_others:
            others = [str(answer) for answer in self.rng.permutation(others)]
        return [cycle[start], *others]
