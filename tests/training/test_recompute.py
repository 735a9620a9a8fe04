"""Recomputation and compilation change memory and time, not the mathematics."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch

from geovr.errors import UserError
from geovr.losses.objectives import Objectives
from geovr.model.forward import load_backbone
from geovr.model.geovr import GeoVR
from geovr.model.initialise import init_model
from geovr.training.config import ParallelConfig
from geovr.training.loop import seed_step
from geovr.training.parallel import compile_blocks, parameter_groups, prepare, recompute
from tests.training.golden import CHANNELS, HEADS, Drawn


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("model") / "tiny"
    init_model("tiny", path, seed=0)
    return path


def made(directory: Any) -> tuple[GeoVR, Any]:
    torch.manual_seed(0)
    backbone, processor = load_backbone(directory)
    backbone.model.visual.requires_grad_(False)
    model = GeoVR(backbone, HEADS, Objectives(), CHANNELS)
    return model.train(), Drawn(processor)(0)[0]


def kept_bytes(model: GeoVR, batch: Any) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients, and the bytes that the forward pass keeps for the backward pass."""
    held: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(batch).total(model.objectives, batch.counts())
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return gradients, sum(size for place, size in held.items() if place not in own)


@pytest.mark.parametrize("everything", [False, True], ids=["selective", "full"])
def test_recomputation_gives_the_same_bits(directory: Any, everything: bool) -> None:
    model, batch = made(directory)
    expected = kept_bytes(model, batch)[0]
    again, _ = made(directory)
    recompute(again.backbone, everything=everything)
    found = kept_bytes(again, batch)[0]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_less_is_kept_the_more_is_recomputed(directory: Any) -> None:
    """What is kept inside the checkpointed layers is counted by torch's own bookkeeping."""
    sizes = {}
    for mode in ("none", "selective", "full"):
        model, batch = made(directory)
        config = ParallelConfig(activation_checkpointing=mode)  # type: ignore[arg-type]
        prepare(model, config, "float32", torch.device("cpu"))
        sizes[mode] = kept_bytes(model, batch)[1]
    assert sizes["full"] < sizes["none"] and sizes["selective"] < sizes["none"]


@pytest.mark.parametrize(
    "backend",
    [
        "aot_eager",
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(shutil.which("g++") is None, reason="NO C++ COMPILER here"),
            ],
        ),
    ],
)
def test_compiled_blocks_compute_the_same(directory: Any, backend: str) -> None:
    model, batch = made(directory)
    expected = kept_bytes(model, batch)[0]
    again, _ = made(directory)
    compile_blocks(again.backbone, backend)
    found = kept_bytes(again, batch)[0]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_sharding_needs_processes(directory: Any) -> None:
    model, _ = made(directory)
    config = ParallelConfig(sharding="full")
    with pytest.raises(UserError, match="sharding: full needs several processes"):
        prepare(model, config, "float32", torch.device("cpu"))


def test_groups_hold_all_that_learns_by_part(directory: Any) -> None:
    model, _ = made(directory)
    groups = parameter_groups(model)
    assert set(groups) == {
        "language", "camera_tokens", "camera_head", "scale_token", "scale_head", "depth_head",
        "feature_heads",
    }  # fmt: skip
    learnt = {id(p) for p in model.parameters() if p.requires_grad}
    assert sorted(id(p) for group in groups.values() for p in group) == sorted(learnt)


def test_random_numbers_are_a_function_of_seed_step_and_rank() -> None:
    drawn = {}
    for key in [(1, 2, 0), (1, 2, 1), (1, 3, 0), (2, 2, 0)]:
        seed_step(*key)
        drawn[key] = torch.rand(3).tolist()
    assert len({tuple(v) for v in drawn.values()}) == 4
    torch.rand(10)
    seed_step(1, 2, 0)
    assert torch.rand(3).tolist() == drawn[1, 2, 0]
