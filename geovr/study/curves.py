"""Learning curves of a study: each loss term of each arm over the steps, mean and sd over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geovr.report.curves import MOST_POINTS, centred_mean
from geovr.study.results import RunResult, StudyResults

TERMS = ("text", "camera", "depth", "scale", "features")
"""Losses that are drawn, where an arm has them."""
SMOOTHING = 25
"""Steps that a drawn point is a mean over; a tenth of a training of fewer than ten times as many.
"""


@dataclass(frozen=True)
class ArmCurve:
    """One term of one arm, smoothed.

    Attributes:
        arm: its name.
        step_N: of each point.
        mean_N: over seeds.
        sd_N: over seeds; None with one.
    """

    arm: str
    step_N: np.ndarray
    mean_N: np.ndarray
    sd_N: np.ndarray | None


def learning_curves(results: StudyResults) -> dict[str, list[ArmCurve]]:
    """For each term that any arm has, the arms' curves, in the order of the study."""
    found: dict[str, list[ArmCurve]] = {}
    for term in TERMS:
        curves = [
            curve
            for arm in results.study.arms
            if (curve := _curve(arm.name, results.of(arm.name), f"loss/{term}")) is not None
        ]
        if curves:
            found[term] = curves
    return found


def _curve(arm: str, runs: list[RunResult], name: str) -> ArmCurve | None:
    """Over the steps that all runs have, of those runs that have the term."""
    lines = [
        {int(point["step"]): point[name] for point in run.curve if name in point} for run in runs
    ]
    lines = [line for line in lines if line]
    steps = sorted(set.intersection(*(set(line) for line in lines))) if lines else []
    if not steps:
        return None
    window = max(1, min(SMOOTHING, len(steps) // 10))
    window -= 1 - window % 2
    smooth_SN = np.stack(
        [centred_mean(np.asarray([line[step] for step in steps], float), window) for line in lines]
    )
    # towards the ends the mean is of fewer steps, which look like a jump: left out
    places = np.arange(window // 2, len(steps) - window // 2)[:: -(-len(steps) // MOST_POINTS)]
    smooth_SN = smooth_SN[:, places]
    return ArmCurve(
        arm,
        np.asarray(steps, dtype=float)[places],
        smooth_SN.mean(0),
        smooth_SN.std(0, ddof=1) if len(lines) > 1 else None,
    )
