"""The arithmetic that MFU is made from, against torch's own counter and against counting pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from geovr.data.frames import FrameGeometry
from geovr.data.prefix import PromptTokens
from geovr.data.samples import Sample, make_batch
from geovr.losses.objectives import Objectives
from geovr.model.geovr import GeoVR
from geovr.model.lora import add_adapters
from geovr.training.throughput import FlopModel, peak_flops, seen_pairs
from tests.bench.training import HEADS, random_clip
from tests.model.test_media import loaded  # noqa: F401 - a fixture


def made(backbone: Any, processor: Any, questions: list[int], layout: Any = "readout") -> Any:
    geometry, prompt = FrameGeometry.of(processor), PromptTokens(processor)
    samples = [
        Sample(
            (random_clip(seed, geometry),),
            tuple(prompt.branch(f"How far is it, number {n}?", f"{n}.5") for n in range(count)),
        )
        for seed, count in enumerate(questions)
    ]
    return make_batch(samples, prompt, geometry, layout=layout, camera=True, scale=True)


@pytest.mark.parametrize("layout", ["readout", "visible"])
def test_pairs_are_those_of_the_mask(loaded: tuple[Any, Any], layout: str) -> None:  # noqa: F811
    batch = made(*loaded, [3, 1], layout)
    wanted = 0
    for row, (prefix, _) in enumerate(zip(batch.prefixes_R, batch.lengths_R, strict=True)):
        wanted += prefix * (prefix + 1) // 2 + int(batch.tail_mask(row).sum())
    assert seen_pairs(batch) == wanted


@pytest.mark.parametrize("train_vision", [False, True])
def test_arithmetic_is_what_torch_counts(loaded: tuple[Any, Any], train_vision: bool) -> None:  # noqa: F811
    """Up to attention, of which torch counts whole squares, also where a kernel skips half."""
    backbone, processor = loaded
    model = GeoVR(backbone, HEADS, Objectives(), 64)
    backbone.requires_grad_(True)
    backbone.model.visual.requires_grad_(train_vision)
    batch = made(backbone, processor, [2, 4])
    counted = FlopModel(model)([batch])

    def forward(q: Any, k: Any, v: Any, *rest: Any, **more: Any) -> int:
        return int(sdpa_flop_count(q, k, v))

    def backward(grad: Any, q: Any, k: Any, v: Any, *rest: Any, **more: Any) -> int:
        # torch's own formula counts the scores again, which flash kernels recompute
        return int(2 * sdpa_flop_count(q, k, v))

    aten = torch.ops.aten
    cpu_kernels = {
        aten._scaled_dot_product_flash_attention_for_cpu: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }
    with FlopCounterMode(display=False, custom_mapping=cpu_kernels) as counter:
        model(batch).total(model.objectives, batch.counts()).backward()
    text = backbone.config.text_config
    squares = sum(
        p * p + (n - p) * n for p, n in zip(batch.prefixes_R, batch.lengths_R, strict=True)
    )
    width = text.num_attention_heads * text.head_dim
    more = 3 * 4.0 * width * (squares - seen_pairs(batch)) * text.num_hidden_layers
    np.testing.assert_allclose(counted + more, counter.get_total_flops(), rtol=0.03)


def test_weights_without_gradients_cost_a_pass_less(loaded: tuple[Any, Any]) -> None:  # noqa: F811
    from geovr.model.config import LoraConfig

    backbone, _ = loaded
    backbone.requires_grad_(True)
    model = GeoVR(backbone, HEADS, Objectives(), 64)
    whole = FlopModel(model)
    add_adapters(backbone, LoraConfig())
    adapted = FlopModel(model)
    assert 2.0 < adapted.language_passes < 2.5 < whole.language_passes == 3.0


def test_the_peak_is_not_guessed() -> None:
    assert peak_flops(torch.device("cpu"), "bfloat16") is None
