"""Edge cases of the depth losses, after formulas written out here in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geovr.losses.depth import depth_loss, silog_loss

RANDOM = np.random.default_rng(7)


def trimmed_l1(residual: np.ndarray) -> float:
    """Mean of |r| <= min(98th percentile, 100); the clamped mean of all if under 1,000 are left."""
    absolute = np.sort(np.abs(residual).ravel())
    if absolute.size > 1000:
        k = math.ceil(0.98 * (absolute.size - 1)) + 1
        left = absolute[absolute <= min(absolute[k - 1], 100.0)]
        if left.size >= 1000:
            return float(left.mean())
    return float(np.minimum(absolute, 100).mean())


def gradients(residual_THW: np.ndarray) -> float:
    scales = []
    for s in (1, 2, 4, 8):
        r = residual_THW[:, ::s, ::s]
        if min(r.shape[1:]) >= 2 and r.size >= 10:
            down, across = (np.minimum(np.abs(np.diff(r, axis=axis)), 100) for axis in (1, 2))
            scales.append(across.mean() + down.mean())
    return float(np.mean(scales)) if scales else 0.0


def loss_of(residual_THW: np.ndarray) -> float:
    predicted = torch.from_numpy(residual_THW)[None]
    return float(depth_loss(predicted, torch.zeros_like(predicted)))


@pytest.mark.parametrize("count", [999, 1000, 1001, 1010, 1019, 1020, 1021, 5000])
def test_trimming_starts_where_a_thousand_are_left(count: int) -> None:
    """1,020 is the first count of which 98 % are 1,000; below, outliers are clamped, not cut."""
    residual = RANDOM.uniform(-1, 1, (1, 1, count))
    residual[0, 0, RANDOM.choice(count, count // 100, replace=False)] = 1e5
    assert loss_of(residual) == pytest.approx(trimmed_l1(residual), rel=1e-12)
    assert (loss_of(residual) < 0.6) == (count >= 1020)


@pytest.mark.parametrize("far", [40 * 40, 40 * 40 - 900])
def test_a_prediction_that_is_off_everywhere_has_a_finite_loss(far: int) -> None:
    """Fewer than 1,000 residuals are at most 100: cutting the rest would leave few, or 0 / 0."""
    residual = RANDOM.uniform(-1, 1, 40 * 40)
    residual[:far] += 2e4
    predicted = torch.from_numpy(residual.reshape(1, 1, 40, 40)).requires_grad_()
    loss = depth_loss(predicted, torch.zeros_like(predicted))
    expected = trimmed_l1(residual) + gradients(residual.reshape(1, 40, 40))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-12)
    loss.sum().backward()
    assert predicted.grad is not None and predicted.grad.isfinite().all()


def test_the_percentile_of_more_than_ten_million_residuals_is_exact() -> None:
    count = 10_000_019
    residual = torch.randperm(count, generator=torch.Generator().manual_seed(0)) / count
    k = math.ceil(0.98 * (count - 1)) + 1
    found = depth_loss(residual.double().view(1, 1, 1, -1), torch.zeros(1, 1, 1, count))
    # 0 to k - 1 are left, whose mean is (k - 1) / 2; a sampled percentile is off by 1e-4
    assert float(found) == pytest.approx((k - 1) / 2 / count, rel=1e-6)


def test_the_percentile_itself_has_no_gradient() -> None:
    """Each of the n that are left pulls by 1 / n, those cut off by nothing."""
    residual = torch.from_numpy(RANDOM.uniform(0.1, 1, (1, 1, 1, 2000))).requires_grad_()
    depth_loss(residual, torch.zeros_like(residual)).sum().backward()
    k = math.ceil(0.98 * 1999) + 1
    left = residual.flatten() <= residual.detach().flatten().sort().values[k - 1]
    assert residual.grad is not None
    torch.testing.assert_close(residual.grad.flatten(), left.double() / k)


@pytest.mark.parametrize(
    "shape, strides",
    [
        ((1, 3, 3), 0),
        ((1, 5, 1), 0),
        ((1, 4, 4), 1),
        ((5, 2, 2), 1),
        ((2, 9, 9), 3),
        ((3, 9, 9), 4),
    ],
)
def test_strides_with_too_few_pixels_are_left_out(
    shape: tuple[int, int, int], strides: int
) -> None:
    """A stride needs ten pixels, and two in each direction; those left are averaged."""
    residual = np.ones(shape) * np.arange(shape[2])  # a step of 1 a column, so s at stride s
    expected = sum((1, 2, 4, 8)[:strides]) / max(strides, 1)
    assert loss_of(residual) - trimmed_l1(residual) == pytest.approx(expected)


def test_steps_between_neighbours_are_clamped() -> None:
    residual = np.zeros((1, 4, 4))
    residual[0, 1, 1] = 1e6
    # of 12 steps across and 12 down two each are clamped to 100; stride 2 has four pixels only
    assert loss_of(residual) - trimmed_l1(residual) == pytest.approx(2 * 100 * 2 / 12)


@pytest.mark.parametrize("side", [1, 40])
def test_what_is_not_a_number_is_not_trimmed_away(side: int) -> None:
    """A broken pixel or frame must stop the training, not shrink the loss."""
    predicted = torch.rand(1, 4, 40, 40)
    predicted[0, 0, :side, :side] = torch.nan
    target = torch.ones_like(predicted)
    assert depth_loss(predicted, target).isnan().all()
    assert silog_loss(predicted, target).isnan().all()


def test_silog_forgives_half_of_a_common_factor() -> None:
    """d is log(c) everywhere, so the loss is |log c| / sqrt(2); depth 0 counts as 1e-6."""
    target = torch.rand(2, 3, 5, 6, dtype=torch.float64) + 0.5
    for factor in (0.25, 1.0, 8.0):
        expected = math.sqrt(0.5 * math.log(factor) ** 2 + 1e-6)
        found = silog_loss(factor * target, target)
        torch.testing.assert_close(found, torch.full_like(found, expected))
    zero = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    one = torch.ones_like(zero)
    assert float(silog_loss(zero, one)) == pytest.approx(math.log(1e6) / math.sqrt(2), rel=1e-6)
