"""Heads in bfloat16: what must stay exact is, and nothing overflows.

Two ways of training in bfloat16 are meant: autocast over float32 weights, and bfloat16 weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from geovr.data.batch import Batch
from geovr.geometry.errors import rotation_error_deg
from geovr.losses.camera import camera_loss
from geovr.losses.depth import depth_loss, silog_loss
from geovr.losses.feature import feature_loss
from geovr.losses.objectives import Objectives
from geovr.losses.scale import scale_loss
from geovr.model.config import HeadsConfig
from geovr.model.forward import load_backbone
from geovr.model.geovr import GeoVR
from geovr.model.heads import (
    CameraHead,
    FeatureHead,
    ScaleHead,
    make_depth_head,
    scale_from_log,
)
from geovr.model.heads.depth import MAX_LOG_DEPTH, depth_from_log
from geovr.model.initialise import init_model
from tests.model.test_packing import SMALL_HEADS, clip, make_batch, random_targets

WIDTH, GRID, SIZE = 32, (3, 4), (24, 32)
KINDS = ["dense", "dpt", "mlp"]
WAYS = ["autocast", "weights"]


def depth_head(kind: str) -> nn.Module:
    config = HeadsConfig(
        depth_head=kind,  # type: ignore[arg-type]
        depth_channels=(8, 8, 8, 8),
        depth_features=16,
        depth_hidden=8,
        depth_patch=4,
    )
    return make_depth_head(config, WIDTH)


def states(*shape: int, size: float = 1.0) -> torch.Tensor:
    return (size * torch.randn(*shape)).bfloat16()


def loud(head: nn.Module, by: float) -> nn.Module:
    """The head with all its weights that much larger, as after a step that went astray."""
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(by)
    return head


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_poses_and_scales_keep_float32_under_autocast() -> None:
    camera, scale = CameraHead(WIDTH, 64), ScaleHead(WIDTH, 64)
    hidden = states(50, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        pose, log_scale = camera(hidden), scale(hidden)
    assert torch.equal(pose, camera(hidden.float()))
    assert torch.equal(log_scale, scale(hidden.float()))
    assert pose.dtype == log_scale.dtype == torch.float32


def test_a_pose_in_bfloat16_would_be_turned() -> None:
    """Why: rounding to bfloat16 alone turns a rotation by up to a third of a degree."""
    pose = torch.zeros(2000, 9)
    pose[:, 3:7] = nn.functional.normalize(torch.randn(2000, 4), dim=-1)
    pose[0, 3:7] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    assert 0.25 < float(rotation_error_deg(pose.bfloat16().float(), pose).max()) < 0.35


def test_the_field_of_view_starts_open_and_learns() -> None:
    """Neither angle starts shut by its ReLU for all tokens, whatever the seed."""
    for seed in range(20):
        torch.manual_seed(seed)
        head = CameraHead(128, 128)
        pose = head(torch.randn(1, 128) + 0.3 * torch.randn(16, 128))
        assert (pose[:, 7:] > 0.3).all() and (pose[:, 7:] < 2).all()
        pose[:, 7:].sum().backward()
        assert head.fov.weight.grad is not None
        assert (head.fov.weight.grad.abs().sum(-1) > 0).all()


@pytest.mark.parametrize("logs", [[-1e30, -300.0, 0.0, 300.0, 1e30]])
def test_exponentials_are_exact_inside_and_bounded_outside(logs: list[float]) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        depth = depth_from_log(torch.tensor(logs, dtype=dtype).view(-1, 1, 1, 1), (1, 1))
        scale = scale_from_log(torch.tensor(logs, dtype=dtype))
        for found in (depth.flatten(), scale):
            assert found.dtype == torch.float32 and found.isfinite().all() and (found > 0).all()
            assert float(found[2]) == 1
    inside = torch.linspace(-MAX_LOG_DEPTH, MAX_LOG_DEPTH, 99)
    exact = inside.double().exp().float()
    torch.testing.assert_close(depth_from_log(inside.view(1, 1, 9, 11), (9, 11)).flatten(), exact)
    torch.testing.assert_close(scale_from_log(inside), exact)
    # the exponent of a bfloat16 log is taken in float32: 1.0078125 has no neighbour's value
    log = torch.tensor(1.0078125).bfloat16()
    assert float(scale_from_log(log)) == pytest.approx(2.7396026, rel=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_depth_is_near_that_of_float32(kind: str, way: str) -> None:
    head = depth_head(kind)
    levels = [states(2, WIDTH, *GRID) for _ in range(4)]
    exact = head([level.float() for level in levels], SIZE)
    if way == "weights":
        head = head.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
        found = head(levels, SIZE)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.05, atol=0)


HEADS: dict[str, tuple[Callable[[], nn.Module], Callable[[Any, torch.Tensor], torch.Tensor]]] = {
    **{
        f"depth, {kind}, {name}": (
            lambda kind=kind: depth_head(kind),
            lambda head, x, loss=loss: loss(
                head([x.view(2, WIDTH, *GRID)] * 4, SIZE)[None], torch.ones(1, 2, *SIZE)
            ),
        )
        for kind in KINDS
        for name, loss in (("l1", depth_loss), ("silog", silog_loss))
    },
    "camera": (
        lambda: CameraHead(WIDTH, 64),
        lambda head, x: camera_loss(head(x.view(1, -1, WIDTH)), torch.ones(1, 24, 9)),
    ),
    "scale": (
        lambda: ScaleHead(WIDTH, 64),
        lambda head, x: scale_loss(head(x.view(-1, WIDTH)), torch.ones(24)),
    ),
    "features": (
        lambda: FeatureHead(WIDTH, 48),
        lambda head, x: feature_loss(
            head(x.view(2, WIDTH, *GRID), (2, 5)).flatten(1, 2), torch.ones(2, 10, 48)
        ),
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size, weights", [(1e4, 1.0), (1e9, 1.0), (1e4, 100.0), (1e4, 0.0)])
@pytest.mark.parametrize("name", HEADS)
def test_huge_states_and_weights_give_finite_losses_and_gradients(
    name: str, size: float, weights: float, way: str
) -> None:
    """Hidden states of large models reach 1e4 in single channels; a head may say e^100000."""
    make, loss_of = HEADS[name]
    head = loud(make(), weights)
    if way == "weights":
        head = head.bfloat16()
    hidden = states(24, WIDTH, size=size).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
        loss = loss_of(head, hidden)
    assert loss.dtype == torch.float32 and loss.isfinite().all()
    loss.sum().backward()
    assert hidden.grad is not None and hidden.grad.isfinite().all()
    for parameter in head.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[GeoVR, Batch]:
    init_model("tiny", tmp_path / "tiny", seed=0)
    backbone, processor = load_backbone(tmp_path / "tiny")
    rows = [(clip(3), [0, 1], random_targets(3)), (clip(2), [2], random_targets(2))]
    return GeoVR(backbone, SMALL_HEADS, Objectives(), 16), make_batch(processor, rows)


@pytest.mark.parametrize("way", WAYS)
def test_all_losses_of_a_bfloat16_model_are_near_those_of_float32(
    tiny: tuple[GeoVR, Batch], way: str
) -> None:
    model, batch = tiny
    with torch.no_grad():
        exact = model(batch)
    if way == "weights":
        model = model.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
        found = model(batch)
    for term, wanted in exact.items():
        assert found[term].dtype in (torch.float32, torch.float64)
        assert float(found[term].detach()) == pytest.approx(float(wanted), rel=0.02), term
    found.total(model.objectives, batch.counts()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@torch.no_grad()
def test_a_bfloat16_model_counts_samples_exactly(tiny: tuple[GeoVR, Batch]) -> None:
    """259 questions of a row are 260 in bfloat16, and the loss would be divided by 259."""
    model, batch = tiny[0].bfloat16(), tiny[1]

    def losses(*questions: int) -> dict[str, float]:
        sums = model(replace(batch, questions_R=torch.tensor(questions)))
        return {term: float(value) for term, value in sums.items() if term != "text"}

    first, second, both = losses(1, 0), losses(0, 1), losses(259, 1)
    wanted = {term: 259 * first[term] + second[term] for term in both}
    assert both == pytest.approx(wanted, rel=1e-5)
