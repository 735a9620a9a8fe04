"""Intervals and tests clustered by scene: the questions of one scene are no independent draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["above", "not distinguishable", "below"]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % percentile bootstrap interval.

    Attributes:
        mean: of the items.
        low, high: ends of the interval.
        scenes: that the items come from. All draws of a single one are the same: the interval has
            no width then, and says nothing.
    """

    mean: float
    low: float
    high: float
    scenes: int | None = None

    @property
    def verdict(self) -> Verdict:
        """Where a difference stands towards zero."""
        if self.scenes == 1:
            return "not distinguishable"
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
        inside = np.logical_or.reduce([mask for _, mask in parts])
        scenes = len(np.unique(self.scene_of[inside])) if parts else 0
        return Interval(total, float(low), float(high), scenes)

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
        return self.weighted_sum(values, groups, weights or [1 / len(groups)] * len(groups))


EXACT_SCENES = 16
"""Up to so many scenes with a difference, all sign flips are gone through."""
_FLIPS_AT_ONCE = 1024


class SceneSignFlip:
    """Sign-flip (permutation) test of paired differences: were A and B alike, a scene's differences
    could as well have been the other way round.

    Scenes are flipped as wholes. Exact by enumeration for few scenes, else by seeded draws, with
    p = (b + 1) / (n + 1), which is never zero and never too small (Phipson and Smyth 2010).

    Args:
        scenes: scene of each item.
        draws: how many sign flips, where there are too many to go through.
        seed: of the draws.
    """

    def __init__(self, scenes: np.ndarray, draws: int, seed: int) -> None:
        self.names, self.scene_of = np.unique(scenes, return_inverse=True)
        self.draws, self.seed = draws, seed

    def p_value(
        self,
        differences: np.ndarray,
        groups: Sequence[np.ndarray],
        weights: Sequence[float] | None = None,
    ) -> float:
        """Two-sided p-value of the mean over groups of the mean of each group's differences.

        Args:
            differences: one per item.
            groups: for each group, a mask over the items.
            weights: of each group, adding up to one; all the same by default.
        """
        if weights is None:
            weights = [1 / len(groups)] * len(groups)
        # what each scene adds to the statistic; flipping a scene flips its share
        shares = np.zeros(len(self.names))
        for mask, weight in zip(groups, weights, strict=True):
            sums = np.bincount(self.scene_of[mask], differences[mask], len(self.names))
            shares += weight * sums / mask.sum()
        shares = shares[shares != 0]
        if not len(shares):
            return 1.0
        # sums of equal numbers in another order differ in their last bits
        least = abs(shares.sum()) - 1e-12 * np.abs(shares).sum()
        if len(shares) <= EXACT_SCENES:
            # a flip and its opposite are equally far from zero, so the first scene can stand
            others = len(shares) - 1
            flips = (np.arange(2**others)[:, None] >> np.arange(others)) & 1
            return float((np.abs(shares[0] + (1 - 2 * flips) @ shares[1:]) >= least).mean())
        random = np.random.default_rng(self.seed)
        as_far = 0
        for start in range(0, self.draws, _FLIPS_AT_ONCE):
            count = min(_FLIPS_AT_ONCE, self.draws - start)
            flips = random.integers(0, 2, (count, len(shares)), dtype=np.int8)
            as_far += int((np.abs((1 - 2 * flips) @ shares) >= least).sum())
        return (as_far + 1) / (self.draws + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several (Holm 1979), in the order given.

    The chance that any of the true null hypotheses has one below 0.05 is at most 0.05.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for rank, place in enumerate(order):
        highest = max(highest, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, highest)
    return adjusted
