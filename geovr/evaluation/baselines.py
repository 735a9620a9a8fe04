"""What can be scored without looking: constants learnt from the training answers of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from geovr.evaluation.mra import mean_relative_accuracies
from geovr.evaluation.scorers import parse_number

_GRID = 400


def best_constant(answers: Sequence[str], numeric: bool) -> str:
    """The one answer that would score highest on these; the bar that a model has to clear.

    Numbers are searched over the answers themselves and a fine geometric grid between their ends.
    """
    if not numeric:
        return most_frequent(answers)
    parsed = [parse_number(answer) for answer in answers]
    values = np.asarray([value for value in parsed if value is not None and value > 0])
    if not len(values):
        return "0"
    grid = np.geomspace(values.min(), values.max(), _GRID)
    candidates = np.unique(np.concatenate([values, grid]))
    scores = np.concatenate(
        [mean_relative_accuracies(part, values).mean(-1) for part in np.array_split(candidates, 16)]
    )
    return repr(float(candidates[int(scores.argmax())]))


def most_frequent(answers: Sequence[str]) -> str:
    """The answer given most often; of equals, the first in order."""
    counts = Counter(answers)
    return max(sorted(counts), key=lambda answer: counts[answer])
