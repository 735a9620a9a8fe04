"""Intervals over scenes and seeds: both were drawn, and other draws would give other numbers.

All arms answer the same questions with the same seeds, so differences are taken question by
question and seed by seed. Scenes and seeds are crossed (every seed answers about every scene), and
resampled so: both with replacement, independently, each combination counted as often as its scene
times as often as its seed was drawn. This is the pigeonhole bootstrap (Owen 2007, The pigeonhole
bootstrap, Annals of Applied Statistics 1(2)), whose variance is right up to terms that vanish with
growing numbers of scenes and seeds. With one seed only scenes are resampled: nothing is known then
of what another seed would give.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geovr.evaluation.comparison import Mean
from geovr.evaluation.statistics import Interval, SceneBootstrap

RESAMPLES, SEED = 2000, 0


class CrossedBootstrap:
    """One set of resampled scenes for every statistic of a study, so that they are comparable.

    Args:
        scenes: scene of each question.
        resamples: how many.
        seed: of the draws.
    """

    def __init__(self, scenes: np.ndarray, resamples: int = RESAMPLES, seed: int = SEED) -> None:
        self._scenes = SceneBootstrap(scenes, resamples, seed)
        self._drawn_BC = self._scenes.weights.astype(np.float64)
        self._seed = seed

    def interval(self, values_SQ: np.ndarray, mean: Mean) -> Interval:
        """A mean over seeds of a mean over groups of questions, with its 95 % interval.

        Args:
            values_SQ: one per seed and question.
            mean: the groups and their weights.

        Returns:
            Interval, of NaN where no resample has questions of every group.
        """
        seeds, of_scene = len(values_SQ), self._scenes.scene_of
        count = len(self._scenes.names)
        shares_SB = np.zeros((seeds, len(self._drawn_BC)))
        for mask, weight in zip(mean.masks, mean.weights, strict=True):
            inside = of_scene[mask]
            items_B = self._drawn_BC @ np.bincount(inside, minlength=count).astype(np.float64)
            sums_SC = np.stack([np.bincount(inside, row[mask], count) for row in values_SQ])
            # a resample without any question of the group says nothing about it
            with np.errstate(invalid="ignore"):
                shares_SB += weight * np.where(
                    items_B > 0, (sums_SC @ self._drawn_BC.T) / items_B, np.nan
                )
        # a question's weight is the same for all seeds, so the mean over seeds can come last
        spread_B = (self._seeds(seeds) * shares_SB.T).sum(1)
        spread_B = spread_B[~np.isnan(spread_B)]
        low, high = np.percentile(spread_B, [2.5, 97.5]) if len(spread_B) else (np.nan, np.nan)
        scenes = len(np.unique(of_scene[mean.inside]))
        return Interval(mean.of(values_SQ.mean(0)), float(low), float(high), scenes)

    def _seeds(self, count: int) -> np.ndarray:
        """Share of each seed in each resample, (resamples, seeds)."""
        # draws of their own, so that those of the scenes stay the same with any number of seeds
        random = np.random.default_rng([self._seed, count])
        draws = random.integers(0, count, (len(self._drawn_BC), count))
        return np.stack([np.bincount(draw, minlength=count) for draw in draws]) / count


def spread(values: Sequence[float]) -> float | None:
    """Standard deviation of what was drawn from more; None of a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
