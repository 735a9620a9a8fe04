"""Ridge from sums alone, against numpy on the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geovr.probing.ridge import Moments, add_up, cross_fit, fit

RANDOM = np.random.default_rng(0)


def moments(x: np.ndarray, y: np.ndarray) -> Moments:
    """In uneven pieces, as clips come."""
    sums = Moments.zero(x.shape[1], y.shape[1])
    for rows in np.array_split(np.arange(len(x)), 3):
        sums.add(torch.from_numpy(x[rows]), torch.from_numpy(y[rows]))
    return sums


def by_rows(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and intercept by least squares on rows, with the penalty as further rows."""
    mean, std = x.mean(0), x.std(0)
    z, n = (x - mean) / std, len(x)
    more = np.sqrt(n * penalty) * np.eye(x.shape[1])
    target = np.concatenate([y - y.mean(0), np.zeros((x.shape[1], y.shape[1]))])
    slopes = np.linalg.lstsq(np.concatenate([z, more]), target, rcond=None)[0] / std[:, None]
    return slopes, y.mean(0) - mean @ slopes


def rows_of(count: int, inputs: int = 6, outputs: int = 2) -> tuple[np.ndarray, np.ndarray]:
    x = RANDOM.normal(size=(count, inputs)) * np.logspace(-1, 3, inputs) + 40
    y = x @ (RANDOM.normal(size=(inputs, outputs)) / np.logspace(-1, 3, inputs)[:, None])
    return x, y + RANDOM.normal(size=y.shape) - 7


@pytest.mark.parametrize("penalty", [1e-6, 0.1, 10.0])
def test_the_fit_is_least_squares_with_penalty_rows(penalty: float) -> None:
    x, y = rows_of(50)
    (linear,) = fit(moments(x, y), [penalty])
    slopes, intercept = by_rows(x, y, penalty)
    np.testing.assert_allclose(linear.weight_DQ, slopes, rtol=1e-6)
    np.testing.assert_allclose(linear.bias_Q, intercept, rtol=1e-6)


def test_errors_come_from_sums_alone() -> None:
    (linear,) = fit(moments(*rows_of(50)), [0.3])
    x, y = rows_of(30)
    direct = ((linear(torch.from_numpy(x)).numpy() - y) ** 2).sum(0)
    np.testing.assert_allclose(linear.squared_error(moments(x, y)), direct, rtol=1e-8)


def test_an_input_that_never_varies_says_nothing() -> None:
    x, y = rows_of(50)
    x[:, 2] = 3e4
    (linear,) = fit(moments(x, y), [1e-6])
    assert bool(linear.weight_DQ.isfinite().all()) and not linear.weight_DQ[2].any()
    kept = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(linear.weight_DQ[kept], by_rows(x[:, kept], y, 1e-6)[0], rtol=1e-5)


def test_cross_fit_is_nested_cross_validation() -> None:
    """Each fold's fit and penalty, against loops over rows that never touch that fold."""
    penalties = [1e-4, 1e-2, 1.0, 100.0]
    folds = [rows_of(n, inputs=12) for n in (25, 18, 21, 30)]
    # one output that inputs explain and one they don't want different penalties
    for _, y in folds:
        y[:, 1] = RANDOM.normal(size=len(y))
    found = cross_fit(
        [moments(*fold) for fold in folds], {"a": slice(0, 1), "b": slice(1, 2)}, penalties
    )
    assert found.penalties["a"] != found.penalties["b"]
    for k in range(4):
        others = [fold for place, fold in enumerate(folds) if place != k]
        x, y = (np.concatenate(parts) for parts in zip(*others, strict=True))
        np.testing.assert_allclose(found.mean_KQ[k], y.mean(0))
        for column, name in enumerate("ab"):
            errors = []
            for penalty in penalties:
                error = 0.0
                for j in range(3):
                    rest = [fold for place, fold in enumerate(others) if place != j]
                    slopes, intercept = by_rows(
                        *(np.concatenate(parts) for parts in zip(*rest, strict=True)), penalty
                    )
                    held_x, held_y = others[j]
                    error += ((held_x @ slopes + intercept - held_y)[:, column] ** 2).sum()
                errors.append(error)
            best = penalties[int(np.argmin(errors))]
            assert found.penalties[name][k] == best
            slopes, intercept = by_rows(x, y, best)
            linear = found.linear_K[k]
            np.testing.assert_allclose(linear.weight_DQ[:, column], slopes[:, column], rtol=1e-6)
            np.testing.assert_allclose(linear.bias_Q[column], intercept[column], rtol=1e-6)


def test_sums_of_folds_add_up_and_folds_stay() -> None:
    x, y = rows_of(40)
    parts = [moments(x[:15], y[:15]), moments(x[15:], y[15:])]
    whole, total = moments(x, y), add_up(parts)
    assert total.count == 40 and parts[0].count == 15
    np.testing.assert_allclose(total.xx_DD, whole.xx_DD)
    np.testing.assert_allclose(parts[0].xx_DD, x[:15].T @ x[:15])
