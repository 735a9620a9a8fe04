"""What a clip lacks is masked, sample by sample, and counted; what is masked can't do harm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from geovr.data.batch import Batch, Targets
from geovr.losses.objectives import TERMS, Objectives
from geovr.model.forward import load_backbone
from geovr.model.geovr import GeoVR
from geovr.model.initialise import init_model
from tests.model.test_packing import SMALL_HEADS, clip, make_batch, random_targets

QUESTIONS = [[0, 1], [2], [3, 4], [1]]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    path: Path = tmp_path_factory.mktemp("model") / "tiny"
    init_model("tiny", path, seed=0)
    return load_backbone(path)


def single(targets: Targets) -> Targets:
    return replace(
        targets,
        pose_encoding_TK=targets.pose_encoding_TK.float(),
        depth_THW=targets.depth_THW.float(),
        metric_scale=targets.metric_scale.float(),
        features_NTHWC=targets.features_NTHWC.float(),
    )


def run(
    model: GeoVR, batch: Batch, counts: dict[str, float]
) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    model.zero_grad()
    sums = model(batch)
    sums.total(model.objectives, counts).backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return {term: float(value.detach()) for term, value in sums.items()}, grads


@pytest.mark.fault(39, 40)
@pytest.mark.parametrize("depth_loss", ["l1", "silog"])
@pytest.mark.parametrize("packed", [False, True])
def test_each_term_counts_the_samples_that_have_its_target(
    loaded: tuple[Any, Any], packed: bool, depth_loss: str
) -> None:
    """A whole clip, one of undefined scale, one that stands still, one without targets."""
    backbone, processor = loaded
    torch.manual_seed(0)
    model = GeoVR(backbone, SMALL_HEADS, Objectives(depth_loss=depth_loss), 16)  # type: ignore[arg-type]
    nan = torch.tensor(torch.nan)
    whole, undefined, still = (single(random_targets(3)) for _ in range(3))
    undefined = replace(undefined, metric_scale=nan, metric_scale_valid=False)
    still = replace(still, pose_encoding_TK=nan.expand(3, 9), moving=False)
    targets: list[Targets | None] = [whole, undefined, still, None]
    videos = [clip(3) for _ in targets]
    rows = list(zip(videos, QUESTIONS, targets, strict=True))

    batch = make_batch(processor, rows, packed=packed)
    counts = batch.counts()
    # questions of each row are samples: 2 whole, 1 undefined, 2 still, 1 without targets
    labels = counts.pop("text")
    assert counts == {"camera": 3.0, "scale": 4.0, "depth": 5.0, "features": 5.0}
    counts["text"] = labels
    terms, grads = run(model, batch, counts)
    assert all(value.isfinite().all() for value in grads.values())

    alone: dict[str, float] = dict.fromkeys(TERMS, 0.0)
    summed: dict[str, torch.Tensor] = {}
    for row in rows:
        one_terms, one_grads = run(model, make_batch(processor, [row], packed=packed), counts)
        for term, value in one_terms.items():
            alone[term] += value
        for name, grad in one_grads.items():
            summed[name] = summed[name] + grad if name in summed else grad
    assert terms == pytest.approx(alone, rel=1e-5)
    assert set(grads) == set(summed)
    for name, wanted in summed.items():
        torch.testing.assert_close(grads[name], wanted, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.fault(39)
def test_what_is_masked_has_no_say(loaded: tuple[Any, Any]) -> None:
    """Any number in a masked target gives the same losses and gradients, to the last bit."""
    backbone, processor = loaded
    torch.manual_seed(0)
    model = GeoVR(backbone, SMALL_HEADS, Objectives(), 16)
    video, targets = clip(3), single(random_targets(3))
    found = []
    for number in (0.5, -7.0, 1e30, torch.inf, torch.nan):
        masked = replace(
            targets,
            metric_scale=torch.tensor(number),
            metric_scale_valid=False,
            pose_encoding_TK=torch.full((3, 9), number),
            moving=False,
        )
        batch = make_batch(processor, [(video, [0, 1], masked)])
        found.append(run(model, batch, batch.counts()))
    for terms, grads in found[1:]:
        assert terms == found[0][0] and terms["camera"] == terms["scale"] == 0
        assert all(torch.equal(grads[name], wanted) for name, wanted in found[0][1].items())
