"""Bootstrap intervals clustered by scene: the questions of one scene are no independent draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["above", "not distinguishable", "below"]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % percentile bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Where a difference stands towards zero."""
        if self.low > 0:
            return "above"
        return "below" if self.high < 0 else "not distinguishable"


class SceneBootstrap:
    """One set of resampled scenes, used for every statistic, so that they are comparable.

    Args:
        scenes: scene of each item.
        resamples: how many.
        seed: of the draws.
    """

    def __init__(self, scenes: np.ndarray, resamples: int, seed: int) -> None:
        self.names, self.scene_of = np.unique(scenes, return_inverse=True)
        count = len(self.names)
        draws = np.random.default_rng(seed).integers(0, count, (resamples, count))
        # how often each scene was drawn, (resamples, scenes)
        self.weights = np.stack([np.bincount(draw, minlength=count) for draw in draws])
        # a product of floats is many times faster, and of whole numbers as exact
        self._weights = self.weights.astype(np.float64)

    def weighted_sum(
        self, values: np.ndarray, groups: Sequence[np.ndarray], weights: Sequence[float]
    ) -> Interval:
        """Sum over groups of weight times the mean of the group's items.

        Args:
            values: one per item.
            groups: for each group, a mask over the items.
            weights: of each group, of any sum and sign: those of a difference add up to zero.

        Returns:
            Interval, of NaN where no resample has items of every group.
        """
        parts = [(weight, mask) for weight, mask in zip(weights, groups, strict=True) if weight]
        spread = np.zeros(len(self.weights))
        total = 0.0
        for weight, mask in parts:
            spread += weight * self._means(values, mask)
            total += weight * float(values[mask].mean())
        spread = spread[~np.isnan(spread)]
        low, high = np.percentile(spread, [2.5, 97.5]) if len(spread) else (np.nan, np.nan)
        return Interval(total, float(low), float(high))

    def _means(self, values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Mean of a group's items in each resample, NaN in those without any."""
        sums = np.bincount(self.scene_of[mask], values[mask], len(self.names))
        counts = np.bincount(self.scene_of[mask], minlength=len(self.names))
        drawn = self._weights @ counts.astype(np.float64)
        # a resample without any item of the group says nothing about it
        with np.errstate(invalid="ignore"):
            means: np.ndarray = np.where(drawn > 0, (self._weights @ sums) / drawn, np.nan)
        return means

    def groups_mean(
        self,
        values: np.ndarray,
        groups: Sequence[np.ndarray],
        weights: Sequence[float] | None = None,
    ) -> Interval:
        """Mean over groups of the mean of each group's items.

        Args:
            values: one per item.
            groups: for each group, a mask over the items.
            weights: of each group, adding up to one; all the same by default.
        """
        means, samples = [], []
        for mask in groups:
            samples.append(self._means(values, mask))
            means.append(float(values[mask].mean()))
        spread = np.average(samples, axis=0, weights=weights)
        low, high = np.nanpercentile(spread, [2.5, 97.5])
        return Interval(float(np.average(means, weights=weights)), float(low), float(high))
