"""The order in which training meets questions: a pure function of a seed and a position.

A row is one clip with up to k of its questions. The stream of rows is endless; row number n of it
is the same on any number of processes, so the position in the data is one integer.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geovr.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MOST_QUESTIONS = 16
"""Of `auto`: more questions of one clip in a step make its gradient no better informed."""


@dataclass(frozen=True)
class RowSpec:
    """A clip and the places of its questions in the question table."""

    clip_id: str
    questions: tuple[int, ...]


class RowOrder:
    """The endless stream of rows: each epoch visits every question exactly once.

    Rows of one clip lie evenly over an epoch, at a place drawn for the clip, so that a batch
    holds a clip twice only where there are more rows of it than batches. Clips with one row are
    in an order drawn uniformly.

    Args:
        by_clip: clip -> places of its questions.
        per_row: most questions of one clip in a row.
        seed: of the order.
    """

    def __init__(self, by_clip: dict[str, list[int]], per_row: int, seed: int) -> None:
        if not by_clip:
            raise UserError("no clip has a training question; check the split of the questions")
        self.by_clip, self.per_row, self.seed = by_clip, per_row, seed
        self.rows_per_epoch = sum(-(-len(q) // per_row) for q in by_clip.values())

    @functools.lru_cache(maxsize=2)  # noqa: B019 - two epochs of one order, which lives as long
    def epoch(self, number: int) -> list[RowSpec]:
        """All rows of an epoch, in order."""
        random = np.random.default_rng([self.seed, number])
        rows, places = [], []
        for clip_id in sorted(self.by_clip):
            asked = random.permutation(np.asarray(self.by_clip[clip_id]))
            starts = range(0, len(asked), self.per_row)
            rows += [
                RowSpec(clip_id, tuple(asked[start : start + self.per_row].tolist()))
                for start in starts
            ]
            places.append((np.arange(len(starts)) + random.random()) / len(starts))
        return [rows[place] for place in np.argsort(np.concatenate(places), kind="stable")]

    def row(self, position: int) -> RowSpec:
        """Row number `position` of the stream."""
        number, place = divmod(position, self.rows_per_epoch)
        return self.epoch(number)[place]

    def __reduce__(self) -> tuple[type[RowOrder], tuple[dict[str, list[int]], int, int]]:
        return RowOrder, (self.by_clip, self.per_row, self.seed)


def questions_by_clip(questions: pd.DataFrame) -> dict[str, list[int]]:
    """Clip -> places of its questions in the table."""
    by_clip: dict[str, list[int]] = {}
    for place, clip_id in enumerate(questions["clip_id"]):
        by_clip.setdefault(clip_id, []).append(place)
    return by_clip


def shuffled_order(clip_id: str, frames: int) -> np.ndarray:
    """An order of a clip's frames that is random and always the same; never the true one."""
    seed = int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8], "big")
    random = np.random.default_rng(seed)
    order = np.arange(frames)
    while frames > 1 and (order == np.arange(frames)).all():
        order = random.permutation(frames)
    return order


def questions_that_pay(prefix: float, branch: float) -> int:
    """The k of `questions_per_clip: auto`: where questions cost as much as what they share.

    A question costs about prefix / k + branch tokens; with a larger k than prefix / branch it is
    the branch that counts, and there is less than a factor of two left to win.

    Args:
        prefix: tokens that the questions of a clip share, on average.
        branch: tokens of a question with its answer, on average.
    """
    return max(1, min(MOST_QUESTIONS, math.ceil(prefix / branch)))
