"""Mean relative accuracy, by the official expression of VSI-Bench, to the last bit.

The thresholds must not be tidied up: the expression below means to give eleven of them and gives
ten, 0.50 to 0.95, because 0.45 / 0.05 is not 9 in floating point, and whether a borderline answer
passes hangs on the very same rounding.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

_START, _END, _INTERVAL = 0.5, 0.95, 0.05
THRESHOLDS = np.linspace(_START, _END, int((_END - _START) / _INTERVAL + 2))


def mean_relative_accuracy(predicted: float, target: float) -> float:
    """Share of the thresholds t for which |predicted - target| / target <= 1 - t.

    A target of zero, at which the official code stops with an error, scores 1 when it is hit and
    0 otherwise. A negative target, for which the official code gives every number full marks,
    scores 0: no question of the benchmark has one.
    """
    if target < 0 or not np.isfinite(predicted):
        return 0.0
    if target == 0:
        return float(predicted == 0)
    error = abs(predicted - target) / target
    return float((error <= 1 - THRESHOLDS).mean())


def mean_relative_accuracies(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The same for every pair, (P, T); targets must be above zero."""
    error = np.abs(predicted[:, None] - target[None]) / target[None]
    scores: np.ndarray = (error[..., None] <= 1 - THRESHOLDS).mean(-1)
    return scores


def exact_relative_accuracy(predicted: float, target: float) -> float:
    """The same of the numbers as written, without rounding: 8 of 10 is off by 0.2, and passes 0.8.

    So it hangs on the ratio of the two numbers alone. The error is taken relative to the target's
    size, whatever its sign; a target of zero scores 1 when it is hit and 0 otherwise.
    """
    if not (math.isfinite(predicted) and math.isfinite(target)):
        return 0.0
    said, true = (Fraction(repr(float(number))) for number in (predicted, target))
    if true == 0:
        return float(said == 0)
    # of the thresholds 10/20 .. 19/20, those of 20 - error and below are passed
    passed = 11 - math.ceil(20 * abs(said - true) / abs(true))
    return min(max(passed, 0), 10) / 10
