"""The tower's attention over all frames at once is the stock one, frame by frame."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import Qwen3VLConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionAttention

from geovr.model.vision import FrameAttention


def stock_attention() -> Qwen3VLVisionAttention:
    torch.manual_seed(0)
    config = Qwen3VLConfig(vision_config={"hidden_size": 48, "num_heads": 3}).vision_config
    config._attn_implementation = "sdpa"
    return Qwen3VLVisionAttention(config).double()


@pytest.mark.parametrize(
    "lengths", [[16] * 5, [16, 16, 4], [4, 16, 16, 4, 4], [8]], ids=lambda x: "-".join(map(str, x))
)
def test_outputs_and_gradients_are_those_of_stock(lengths: list[int]) -> None:
    stock = stock_attention()
    ours = FrameAttention(copy.deepcopy(stock))
    assert set(ours.state_dict()) == set(stock.state_dict())
    patches = sum(lengths)
    ends = torch.tensor([0, *lengths]).cumsum(0)
    angle = torch.randn(patches, 8, dtype=torch.float64).repeat(1, 2)
    rotation = angle.cos(), angle.sin()
    states = torch.randn(patches, 48, dtype=torch.float64)
    weights = torch.randn(patches, 48, dtype=torch.float64)
    results = []
    for attention in (stock, ours):
        given = states.clone().requires_grad_()
        output = attention(given, cu_seqlens=ends, position_embeddings=rotation)
        (output * weights).sum().backward()
        results.append([output, given.grad, *(p.grad for p in attention.parameters())])
    # rotary embeddings are float32 inside both
    for theirs, mine in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_a_patch_sees_nothing_of_other_frames() -> None:
    ours = FrameAttention(stock_attention())
    ends = torch.tensor([0, 16, 32, 36])
    rotation = torch.ones(36, 16, dtype=torch.float64), torch.zeros(36, 16, dtype=torch.float64)
    states = torch.randn(36, 48, dtype=torch.float64)
    changed = states.clone()
    changed[16:32] += 1
    before, after = (
        ours(x, cu_seqlens=ends, position_embeddings=rotation) for x in (states, changed)
    )
    assert torch.equal(before[:16], after[:16])
    assert torch.equal(before[32:], after[32:])
    assert not torch.allclose(before[16:32], after[16:32])
