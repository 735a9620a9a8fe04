"""Loss terms over the steps, from training's curve.jsonl."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from geovr.report.gather import Run

MOST_POINTS = 400
"""Of a line; longer trainings are drawn by means over equally many steps."""
_NAMES = {"loss": "total", "text": "text", "camera": "camera", "depth": "depth", "scale": "scale",
          "features": "features"}  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """One term.

    Attributes:
        name: of the term.
        step_N: of each drawn point.
        value_N: the term there.
        smooth_N: its mean over the steps around each.
        last: its mean over the last `window` steps.
    """

    name: str
    step_N: np.ndarray
    value_N: np.ndarray
    smooth_N: np.ndarray
    last: float


@dataclass(frozen=True)
class Curves:
    """All terms.

    Attributes:
        terms: the total first.
        steps: how many were trained.
        window: steps of the smoothing.
        bucket: steps that a drawn point is the mean of.
    """

    terms: tuple[Curve, ...]
    steps: int
    window: int
    bucket: int


def loss_curves(run: Run, window: int) -> Curves | None:
    """The terms of a run's training; None when it left no curve.

    Args:
        run: the run.
        window: steps over which the smooth line is a mean, an odd number of them; a quarter of a
            training of fewer than four times as many.
    """
    if run.checkpoint is None:
        return None
    path = run.checkpoint.directory / "curve.jsonl"
    if not path.is_file():
        return None
    points = [json.loads(line) for line in path.read_text().splitlines()]
    if not points:
        return None
    steps = len(points)
    window = max(1, min(window, steps // 4))
    window -= 1 - window % 2
    bucket = -(-steps // MOST_POINTS)
    names = [name for name in points[-1] if name == "loss" or name.startswith("loss/")]
    names.sort(key=lambda n: (n != "loss", n != "loss/text", n))
    step_N = np.asarray([point["step"] for point in points])
    terms = []
    for name in names:
        value_N = np.asarray([point.get(name, np.nan) for point in points], dtype=float)
        smooth_N = centred_mean(value_N, window)
        tail = value_N[-window:]
        short = name.removeprefix("loss/")
        terms.append(
            Curve(
                _NAMES.get(short, short),
                _bucketed(step_N.astype(float), bucket),
                _bucketed(value_N, bucket),
                _bucketed(smooth_N, bucket),
                float(np.nanmean(tail)) if np.isfinite(tail).any() else math.nan,
            )
        )
    return Curves(tuple(terms), steps, window, bucket)


def centred_mean(value_N: np.ndarray, window: int) -> np.ndarray:
    """Mean of each value and its neighbours, `window` together; what is no number is left out.

    Towards the ends the window shrinks on both sides alike, so that the line neither lags behind
    nor runs ahead.
    """
    good = np.isfinite(value_N)
    sums = np.concatenate([[0.0], np.cumsum(np.where(good, value_N, 0.0))])
    counts = np.concatenate([[0], np.cumsum(good)])
    places = np.arange(len(value_N))
    reach = np.minimum(np.minimum(places, places[::-1]), window // 2)
    ends, starts = places + reach + 1, places - reach
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = (sums[ends] - sums[starts]) / (counts[ends] - counts[starts])
    return mean


def _bucketed(value_N: np.ndarray, size: int) -> np.ndarray:
    if size == 1:
        return value_N
    edges = np.arange(0, len(value_N), size)
    good = np.isfinite(value_N)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.add.reduceat(np.where(good, value_N, 0.0), edges) / np.add.reduceat(
            good, edges
        )
    return mean
