"""Intervals over scenes and seeds, against loops and against studies of known gain."""

from __future__ import annotations

import numpy as np
import pytest

from geovr.evaluation.comparison import Mean
from geovr.evaluation.statistics import SceneBootstrap
from geovr.study.statistics import CrossedBootstrap, spread

RANDOM = np.random.default_rng(3)


def slow_interval(
    values_SQ: np.ndarray, scenes: np.ndarray, mean: Mean, resamples: int
) -> tuple[float, float]:
    """The crossed bootstrap by going through the drawn seeds and scenes one by one."""
    random = np.random.default_rng(99)
    names = np.unique(scenes)
    found = []
    for _ in range(resamples):
        drawn_scenes = random.choice(names, len(names))
        drawn_seeds = random.integers(0, len(values_SQ), len(values_SQ))
        total = 0.0
        for mask, weight in zip(mean.masks, mean.weights, strict=True):
            told = [
                values_SQ[seed][mask & (scenes == scene)]
                for seed in drawn_seeds
                for scene in drawn_scenes
            ]
            total += weight * np.concatenate(told).mean()
        found.append(total)
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def test_the_interval_is_that_of_loops() -> None:
    scenes = np.repeat(np.arange(12), 5).astype(str)
    kinds = np.tile([0, 0, 0, 1, 1], 12)
    kinds[:10] = 0  # two scenes without the second kind
    values_SQ = RANDOM.normal(size=(4, 60)) + RANDOM.normal(size=(4, 1)) + (kinds == 1)
    values_SQ += np.repeat(RANDOM.normal(size=12), 5)
    mean = Mean([kinds == 0, kinds == 1], [0.3, 0.7])
    found = CrossedBootstrap(scenes, 4000).interval(values_SQ, mean)
    low, high = slow_interval(values_SQ, scenes, mean, 1000)
    assert found.low == pytest.approx(low, abs=0.1 * (high - low))
    assert found.high == pytest.approx(high, abs=0.1 * (high - low))
    by_hand = [0.3 * row[kinds == 0].mean() + 0.7 * row[kinds == 1].mean() for row in values_SQ]
    assert found.mean == pytest.approx(np.mean(by_hand))
    assert found.scenes == 12


def test_with_one_seed_it_is_the_bootstrap_over_scenes() -> None:
    scenes = np.repeat(np.arange(20), 3).astype(str)
    values = RANDOM.normal(size=60)
    mean = Mean([np.tile([True, False, False], 20), np.tile([False, True, True], 20)], [0.5, 0.5])
    ours = CrossedBootstrap(scenes, 500, 4).interval(values[None], mean)
    theirs = SceneBootstrap(scenes, 500, 4).groups_mean(values, mean.masks, mean.weights)
    assert (ours.mean, ours.scenes) == (pytest.approx(theirs.mean), theirs.scenes)
    assert (ours.low, ours.high) == (pytest.approx(theirs.low), pytest.approx(theirs.high))


def test_equal_seeds_add_nothing_and_different_ones_widen() -> None:
    scenes = np.arange(50).astype(str)
    values = RANDOM.normal(size=50)
    every = Mean([np.ones(50, bool)], [1.0])
    bootstrap = CrossedBootstrap(scenes, 500)
    one = bootstrap.interval(values[None], every)
    same = bootstrap.interval(np.tile(values, (5, 1)), every)
    assert (same.low, same.high) == (pytest.approx(one.low), pytest.approx(one.high))
    apart = bootstrap.interval(values + np.asarray([-2.0, -1, 0, 1, 2])[:, None], every)
    assert apart.high - apart.low > 2 * (one.high - one.low)


def coverage(seeds: int, of_seeds: float, studies: int = 200) -> float:
    """Share of made-up studies whose interval holds the gain that they were made with."""
    random = np.random.default_rng(1)
    count, kinds, gain = 100, 3, 0.05
    scenes = np.repeat(np.arange(count), kinds).astype(str)
    masks = [np.tile(np.arange(kinds) == kind, count) for kind in range(kinds)]
    held = 0
    for study in range(studies):
        values = (
            gain
            + random.normal(0, of_seeds, (seeds, 1, 1))
            + random.normal(0, 0.1, (1, count, 1))  # scenes
            + random.normal(0, 0.05, (seeds, count, 1))
            + random.normal(0, 0.1, (seeds, count, kinds))
        )
        found = CrossedBootstrap(scenes, 300, study).interval(
            values.reshape(seeds, -1), Mean(masks, [1 / kinds] * kinds)
        )
        held += found.low <= gain <= found.high
    return held / studies


@pytest.mark.parametrize("seeds, of_seeds", [(1, 0.0), (3, 0.005), (5, 0.01)])
def test_intervals_hold_the_gain_that_a_study_was_made_with(seeds: int, of_seeds: float) -> None:
    # 200 studies tell a share of 95 % to within three standard errors of 1.5 points; the crossed
    # bootstrap errs on the wide side where single answers vary most
    assert 0.905 <= coverage(seeds, of_seeds) <= 0.995


def test_scenes_alone_would_promise_too_much_where_seeds_differ() -> None:
    """What resampling seeds is for: of gains that differ by seed, scenes alone know nothing."""
    assert coverage(1, 0.05) < 0.5
    assert coverage(5, 0.05) > 0.75


def test_the_spread_of_one_seed_is_unknown() -> None:
    assert spread([0.4]) is None
    assert spread([1.0, 2.0, 4.0]) == pytest.approx((7 / 3) ** 0.5)


def test_a_study_of_the_real_size_takes_seconds() -> None:
    import time

    scenes = np.repeat(np.arange(800), 8).astype(str)
    values_SQ = RANDOM.normal(size=(5, 6400))
    masks = [np.tile(np.arange(8) == kind, 800) for kind in range(8)]
    began = time.process_time()
    bootstrap = CrossedBootstrap(scenes)
    bootstrap.interval(values_SQ, Mean(masks, [1 / 8] * 8))
    assert time.process_time() - began < 3
