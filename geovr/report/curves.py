"""Loss terms over the steps, from training's curve.jsonl."""

from __future__ import annotations

import json
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
        smooth_N: its mean over the steps before, this one among them.
        last: its mean over the last steps.
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
        window: steps over which the smooth line is a mean, fewer at the start; of a training of
            fewer than four times as many, a quarter of it.
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
    bucket = -(-steps // MOST_POINTS)
    names = [name for name in points[-1] if name == "loss" or name.startswith("loss/")]
    names.sort(key=lambda n: (n != "loss", n != "loss/text", n))
    step_N = np.asarray([point["step"] for point in points])
    terms = []
    for name in names:
        value_N = np.asarray([point.get(name, np.nan) for point in points], dtype=float)
        smooth_N = trailing_mean(value_N, window)
        short = name.removeprefix("loss/")
        terms.append(
            Curve(
                _NAMES.get(short, short),
                _bucketed(step_N.astype(float), bucket),
                _bucketed(value_N, bucket),
                _bucketed(smooth_N, bucket),
                float(smooth_N[-1]),
            )
        )
    return Curves(tuple(terms), steps, window, bucket)


def trailing_mean(value_N: np.ndarray, window: int) -> np.ndarray:
    """Mean of each value and those before it, `window` together; what is no number is left out."""
    good = np.isfinite(value_N)
    sums = np.concatenate([[0.0], np.cumsum(np.where(good, value_N, 0.0))])
    counts = np.concatenate([[0], np.cumsum(good)])
    ends = np.arange(1, len(value_N) + 1)
    starts = np.maximum(ends - window, 0)
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
