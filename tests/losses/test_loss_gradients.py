"""Gradients of every loss by gradcheck in float64, and what each does at its corners."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from geovr.losses.camera import camera_loss
from geovr.losses.depth import depth_loss, silog_loss
from geovr.losses.feature import feature_loss
from geovr.losses.language import language_loss
from geovr.losses.objectives import TERMS, Objectives
from geovr.losses.scale import scale_loss
from geovr.losses.total import LossSums

GENERATOR = torch.Generator().manual_seed(11)
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def draw(*shape: int, low: float = -1.0, high: float = 1.0) -> torch.Tensor:
    values = torch.rand(*shape, generator=GENERATOR, dtype=torch.float64)
    return low + (high - low) * values


LOSSES: dict[str, tuple[Loss, tuple[int, ...], float]] = {
    "camera": (camera_loss, (2, 3, 9), -1.0),
    "camera, weights": (
        lambda p, t: camera_loss(p, t, rotation_weight=3.0, fov_weight=0.2),
        (2, 3, 9),
        -1.0,
    ),
    "camera, one rotation": (lambda p, t: camera_loss(p, t, same_rotation=True), (2, 3, 9), -1.0),
    "depth, few pixels": (depth_loss, (2, 2, 6, 5), 0.1),
    "depth, trimmed": (depth_loss, (1, 1, 33, 35), 0.1),
    "silog": (silog_loss, (2, 2, 4, 5), 0.1),
    "scale": (scale_loss, (7,), 0.1),
    "features": (feature_loss, (2, 3, 4), -1.0),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_the_formula(name: str) -> None:
    loss, shape, low = LOSSES[name]
    predicted, target = draw(*shape, low=low).requires_grad_(), draw(*shape, low=low)
    assert torch.autograd.gradcheck(loss, (predicted, target), eps=1e-8, atol=1e-6)


def test_gradient_of_the_language_loss() -> None:
    logits, labels = draw(5, 7).requires_grad_(), torch.tensor([0, 6, 3, 3, 1])
    assert torch.autograd.gradcheck(lambda x: language_loss(x, labels), (logits,))
    nothing = language_loss(logits[:0], labels[:0])
    assert float(nothing.detach()) == 0


@pytest.mark.parametrize("rotation, fov", [(1.0, 0.5), (3.0, 0.2), (0.0, 0.0)])
def test_weights_of_the_camera_loss(rotation: float, fov: float) -> None:
    predicted, target = draw(2, 5, 9), draw(2, 5, 9)
    error = np.abs(predicted.numpy() - target.numpy())
    expected = (
        error[:, :, :3].mean((1, 2))
        + rotation * error[:, :, 3:7].mean((1, 2))
        + fov * error[:, :, 7:].mean((1, 2))
    )
    found = camera_loss(predicted, target, rotation_weight=rotation, fov_weight=fov)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_one_rotation_is_decided_frame_by_frame() -> None:
    """With only some frames' signs turned, the loss is that of the nearer sign of each."""
    target = draw(1, 4, 9)
    predicted = target + 0.01 * draw(1, 4, 9)
    turned = predicted.clone()
    turned[0, [1, 3], 3:7] *= -1
    torch.testing.assert_close(
        camera_loss(turned, target, same_rotation=True),
        camera_loss(predicted, target, same_rotation=True),
    )
    assert camera_loss(turned, target) > 10 * camera_loss(predicted, target)


def test_camera_loss_is_blind_to_runaway_translations_only() -> None:
    predicted = torch.zeros(1, 1, 9, dtype=torch.float64)
    predicted[..., 2], predicted[..., 4] = 1e6, 1e6
    predicted.requires_grad_()
    loss = camera_loss(predicted, torch.zeros_like(predicted))
    assert float(loss.detach()) == pytest.approx(100 / 3 + 1e6 / 4)
    loss.sum().backward()
    assert predicted.grad is not None
    assert predicted.grad[0, 0, 2] == 0 and float(predicted.grad[0, 0, 4]) == 0.25


@pytest.mark.parametrize("log_scale", [-1e4, -90.0, -5.0, 0.0, 3.0, 90.0, 1e4])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_scale_loss_is_right_where_exp_overflows(log_scale: float, scale: float) -> None:
    z = torch.tensor([log_scale], requires_grad=True)
    # log(1 + e^z) is z + log(1 + e^-z) for z > 0, of which the last part vanishes
    softplus = max(log_scale, 0.0) + math.log1p(math.exp(-abs(log_scale)))
    loss = scale_loss(z, torch.tensor([scale]))
    assert float(loss.detach()) == pytest.approx(
        abs(softplus - math.log1p(scale)), rel=1e-5, abs=1e-6
    )
    loss.sum().backward()
    assert z.grad is not None and z.grad.isfinite().all()


def test_feature_loss_ignores_lengths_and_survives_zeros() -> None:
    predicted, target = draw(2, 6, 8), draw(2, 6, 8)
    lengths = draw(2, 6, 1, low=0.1, high=9.0)
    torch.testing.assert_close(
        feature_loss(lengths * predicted, target / lengths), feature_loss(predicted, target)
    )
    torch.testing.assert_close(feature_loss(-target, target), torch.full((2,), 2.0).double())
    predicted.requires_grad_()
    nothing = feature_loss(predicted, torch.zeros_like(target))
    assert (nothing == 1).all()
    nothing.sum().backward()
    assert predicted.grad is not None and (predicted.grad == 0).all()


def test_the_total_is_the_weighted_sum_of_means() -> None:
    objectives = Objectives(camera_weight=2.5, depth_weight=0.5, features_weight=3.0, scale=False)
    sums, counts, expected = LossSums(), {}, 0.0
    for place, term in enumerate(TERMS):
        losses, weights = draw(4, low=0.0), torch.tensor([1.0, 0.0, 2.0, 5.0])
        for part in (slice(0, 2), slice(2, 4)):  # two groups of clips add up
            sums.add(term, losses[part], weights[part])
        counts[term] = 8.0 + place
        weight = (1.0, 2.5, 0.5, 0.0, 3.0)[place]
        expected += weight * float((losses * weights).sum()) / counts[term]
    assert float(sums.total(objectives, counts)) == pytest.approx(expected)


def test_an_unknown_depth_loss_is_refused() -> None:
    with pytest.raises(ValidationError, match="depth_loss"):
        Objectives(depth_loss="l2")  # type: ignore[arg-type]


def test_a_term_that_no_sample_has_adds_nothing() -> None:
    """A batch of stills has no camera loss; its count of 0 must not divide."""
    sums = LossSums()
    sums.add("camera", torch.tensor([torch.inf]), torch.zeros(1))
    assert float(sums.total(Objectives(), {"camera": 0.0})) == 0
