"""Losses of bfloat16 predictions are computed in float32, under autocast as without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from geovr.losses.camera import camera_loss
from geovr.losses.depth import depth_loss, silog_loss
from geovr.losses.feature import feature_loss
from geovr.losses.language import language_loss
from geovr.losses.scale import scale_loss

GENERATOR = torch.Generator().manual_seed(5)
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
LOSSES: dict[str, tuple[Loss, tuple[int, ...]]] = {
    "camera": (camera_loss, (2, 32, 9)),
    "depth": (depth_loss, (2, 4, 96, 128)),
    "silog": (silog_loss, (2, 4, 96, 128)),
    "scale": (scale_loss, (6,)),
    "features": (feature_loss, (2, 200, 64)),
}


def values(*shape: int) -> torch.Tensor:
    """Positive numbers that bfloat16 holds exactly."""
    drawn = torch.rand(*shape, generator=GENERATOR) + 0.5
    return drawn.bfloat16().float()


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_predictions_lose_nothing_in_the_loss(name: str, autocast: bool) -> None:
    loss, shape = LOSSES[name]
    predicted, target = values(*shape), values(*shape)
    exact = loss(predicted.double(), target.double())
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for given in (target, target.bfloat16()):
            found = loss(predicted.bfloat16(), given)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_logits_lose_nothing_in_the_loss(autocast: bool) -> None:
    logits, labels = values(50, 300), torch.arange(50)
    exact = float(language_loss(logits.double(), labels))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = language_loss(logits.bfloat16(), labels)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_huge_predictions_have_finite_losses_and_gradients(name: str, dtype: torch.dtype) -> None:
    """As large as the heads can say (depth to e^10) or, where nothing bounds them, far larger."""
    loss, shape = LOSSES[name]
    size = 22026.0 if name in ("depth", "silog") else 1e6
    predicted = (size * values(*shape)).to(dtype).requires_grad_()
    found = loss(predicted, values(*shape))
    assert found.isfinite().all()
    found.sum().backward()
    assert predicted.grad is not None and predicted.grad.isfinite().all()
