"""Each loss against a formula written out here in NumPy, and its gradient against differences."""

import math

import numpy as np
import pytest
import torch

from geovr.losses.camera import camera_loss
from geovr.losses.depth import depth_loss, silog_loss
from geovr.losses.feature import feature_loss
from geovr.losses.language import language_loss
from geovr.losses.objectives import Objectives
from geovr.losses.scale import scale_loss
from geovr.losses.total import LossSums

RANDOM = np.random.default_rng(0)


def tensor(*shape: int, low: float = -1.0, high: float = 1.0) -> torch.Tensor:
    return torch.from_numpy(RANDOM.uniform(low, high, shape))


def test_camera_loss_is_weighted_mean_l1() -> None:
    predicted, target = tensor(3, 4, 9), tensor(3, 4, 9)
    p, t = predicted.numpy(), target.numpy()
    expected = [
        np.mean(
            [
                np.abs(p[b, k, :3] - t[b, k, :3]).sum() / 3
                + np.abs(p[b, k, 3:7] - t[b, k, 3:7]).sum() / 4
                + 0.5 * np.abs(p[b, k, 7:] - t[b, k, 7:]).sum() / 2
                for k in range(4)
            ]
        )
        for b in range(3)
    ]
    np.testing.assert_allclose(camera_loss(predicted, target), expected, rtol=1e-12)


def test_camera_loss_clamps_runaway_translations() -> None:
    predicted = torch.zeros(1, 1, 9)
    predicted[..., 0] = 1e9
    assert camera_loss(predicted, torch.zeros(1, 1, 9)).item() == pytest.approx(100 / 3)


def test_opposite_quaternions_are_one_rotation_only_when_asked() -> None:
    target = tensor(2, 3, 9)
    negated = target.clone()
    negated[..., 3:7] *= -1
    assert camera_loss(negated, target).min() > 0.01
    torch.testing.assert_close(
        camera_loss(negated, target, same_rotation=True), torch.zeros(2, dtype=torch.float64)
    )


def reference_gradient(r: np.ndarray) -> float:
    scales = []
    for s in (1, 2, 4, 8):
        small = r[:, ::s, ::s]
        if min(small.shape[1:]) < 2:
            continue
        across = np.minimum(np.abs(np.diff(small, axis=2)), 100).mean()
        scales.append(across + np.minimum(np.abs(np.diff(small, axis=1)), 100).mean())
    return float(np.mean(scales))


@pytest.mark.parametrize("height, width", [(5, 7), (9, 16), (24, 32)])
def test_depth_loss_is_trimmed_l1_plus_gradients(height: int, width: int) -> None:
    predicted = tensor(2, 3, height, width, low=0, high=5)
    target = tensor(2, 3, height, width, low=0, high=5)
    expected = []
    for p, t in zip(predicted.numpy(), target.numpy(), strict=True):
        residual = np.abs(p - t).ravel()
        if residual.size > 1000:
            k = math.ceil(0.98 * (residual.size - 1)) + 1
            residual = np.sort(residual)[:k]
        expected.append(residual.mean() + reference_gradient(p - t))
    np.testing.assert_allclose(depth_loss(predicted, target), expected, rtol=1e-10)


def test_depth_loss_trims_outliers() -> None:
    target = torch.ones(1, 2, 32, 32, dtype=torch.float64)
    predicted = target.clone()
    predicted[0, 0, 0, :10] = 1e6  # 10 of 2,048 pixels, under the trimmed 2 %
    trimmed = depth_loss(predicted, target).item() - reference_gradient(
        (predicted - target)[0].numpy()
    )
    assert trimmed == pytest.approx(0.0, abs=1e-9)


def test_silog_loss_formula() -> None:
    predicted, target = tensor(2, 3, 4, 5, low=0.5, high=4), tensor(2, 3, 4, 5, low=0.5, high=4)
    d = np.log(predicted.numpy()) - np.log(target.numpy())
    expected = [math.sqrt((x**2).mean() - 0.5 * x.mean() ** 2 + 1e-6) for x in d]
    np.testing.assert_allclose(silog_loss(predicted, target), expected, rtol=1e-9)


def test_scale_loss_compares_log1p_and_does_not_overflow() -> None:
    z = torch.tensor([-3.0, 0.0, 2.0])
    target = torch.tensor([0.1, 1.0, 9.0])
    expected = [
        abs(math.log1p(s) - math.log1p(math.exp(x))) for x, s in zip(z, target, strict=True)
    ]
    np.testing.assert_allclose(scale_loss(z, target), expected, rtol=1e-5)
    assert torch.isfinite(scale_loss(torch.tensor([500.0]), torch.tensor([1.0]))).all()


def test_feature_loss_is_mean_cosine_distance() -> None:
    predicted, target = tensor(2, 6, 8), tensor(2, 6, 8)
    p, t = predicted.numpy(), target.numpy()
    cosine = (p * t).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(t, axis=-1)
    np.testing.assert_allclose(feature_loss(predicted, target), (1 - cosine).mean(-1), rtol=1e-9)
    torch.testing.assert_close(
        feature_loss(3 * target, target), torch.zeros(2, dtype=torch.float64)
    )


def test_language_loss_sums_negative_log_likelihoods() -> None:
    logits, labels = tensor(5, 11), torch.tensor([0, 3, 10, 3, 7])
    x = logits.numpy()
    nll = [np.log(np.exp(row).sum()) - row[j] for row, j in zip(x, labels.tolist(), strict=True)]
    assert language_loss(logits, labels).item() == pytest.approx(sum(nll), rel=1e-6)


@pytest.mark.parametrize(
    "loss, shape",
    [
        (lambda p, t: camera_loss(p, t).sum(), (2, 3, 9)),
        (lambda p, t: depth_loss(p, t).sum(), (2, 2, 4, 5)),
        (lambda p, t: silog_loss(p + 3, t + 3).sum(), (2, 2, 4, 5)),
        (lambda p, t: feature_loss(p, t).sum(), (2, 3, 4)),
    ],
)
def test_gradients_are_those_of_the_formula(loss: object, shape: tuple[int, ...]) -> None:
    predicted, target = tensor(*shape).requires_grad_(), tensor(*shape)
    assert torch.autograd.gradcheck(loss, (predicted, target), eps=1e-7, atol=1e-5)


@pytest.mark.fault(39)
def test_masked_samples_add_nothing_even_when_not_a_number() -> None:
    sums = LossSums()
    losses = torch.tensor([1.0, float("nan"), 3.0], requires_grad=True)
    sums.add("depth", losses, torch.tensor([2.0, 0.0, 1.0]))
    total = sums.total(Objectives(depth_weight=0.5), {"depth": 3.0})
    assert total.item() == pytest.approx(0.5 * (2 * 1 + 3) / 3)
    total.backward()
    assert losses.grad is not None and losses.grad[1] == 0
