"""A step's rows, dealt to ranks and put into forward passes, as a pure function of its number.

Every rank knows all rows and their lengths before any frame is read, so all agree without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geovr.data.batch import Batch
from geovr.data.dataset import BatchMaker
from geovr.data.lengths import RowLengths
from geovr.data.order import RowOrder, RowSpec


@dataclass(frozen=True)
class Budget:
    """How much one step, and one forward pass of one process, may hold."""

    clips_per_batch: int
    """Rows of the global batch."""
    clips_per_forward: int
    tokens_per_forward: int | None
    """A longer row goes alone."""


class StepReader:
    """This rank's batches of a step; one batch is one forward pass.

    Args:
        maker: reads clips and makes batches.
        order: of the rows.
        lengths: of the rows, in tokens.
        budget: of a step and of a forward pass.
        rank: whose share.
        world: number of ranks, which divides the rows of a batch.
    """

    def __init__(
        self,
        maker: BatchMaker,
        order: RowOrder,
        lengths: RowLengths,
        budget: Budget,
        rank: int,
        world: int,
    ) -> None:
        self.maker, self.order, self.lengths, self.budget = maker, order, lengths, budget
        self.rank, self.world = rank, world

    def __call__(self, step: int) -> list[Batch]:
        """Read and make the batches of a step (from 0)."""
        return [self.maker.batch(specs) for specs in self.specs(step)]

    def rows(self, step: int) -> list[RowSpec]:
        """All ranks' rows of a step."""
        first = step * self.budget.clips_per_batch
        return [self.order.row(first + place) for place in range(self.budget.clips_per_batch)]

    def question_ids(self, row: RowSpec) -> list[str]:
        """Ids of a row's questions."""
        return [str(self.maker.questions[place].id) for place in row.questions]

    def specs(self, step: int) -> list[list[RowSpec]]:
        """This rank's rows of a step, one list a forward pass, as many as on every rank."""
        rows = self.rows(step)
        lengths = [self.lengths.of(row) for row in rows]
        deals = deal(lengths, self.world)
        splits = [self._split([lengths[place] for place in own], 1) for own in deals]
        passes = max(len(split) for split in splits)
        own = deals[self.rank]
        split = self._split([lengths[place] for place in own], passes)
        return [[rows[own[place]] for place in group] for group in split]

    def _split(self, lengths: Sequence[int], least: int) -> list[list[int]]:
        budget = self.budget
        return split_rows(lengths, budget.clips_per_forward, budget.tokens_per_forward, least)


def deal(lengths: Sequence[int], ranks: int) -> list[list[int]]:
    """Places of the rows of each rank: as many on each, and about as many tokens.

    Rows are dealt longest first, to and fro, so that no rank waits long for another.
    """
    longest_first = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    deals: list[list[int]] = [[] for _ in range(ranks)]
    for turn in range(0, len(lengths), ranks):
        hand = longest_first[turn : turn + ranks]
        for rank, place in enumerate(hand if turn // ranks % 2 == 0 else reversed(hand)):
            deals[rank].append(place)
    return [sorted(own) for own in deals]


def split_rows(
    lengths: Sequence[int], most_rows: int, most_tokens: int | None, least: int
) -> list[list[int]]:
    """Rows in their order, in groups within the budget, at least `least` of them.

    A row longer than the budget is a group of its own. Ranks whose models are sharded must make
    equally many forward passes, which `least` is for.
    """
    groups: list[list[int]] = []
    tokens = 0
    for place, length in enumerate(lengths):
        full = (
            not groups
            or len(groups[-1]) == most_rows
            or (most_tokens is not None and tokens + length > most_tokens)
        )
        if full:
            groups.append([])
            tokens = 0
        groups[-1].append(place)
        tokens += length
    while len(groups) < min(least, len(lengths)):
        widest = max(range(len(groups)), key=lambda at: len(groups[at]))
        group = groups[widest]
        half = len(group) // 2
        groups[widest : widest + 1] = [group[:half], group[half:]]
    return groups
