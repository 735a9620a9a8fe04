"""Taps: which states they hold, and that they hold nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geovr.data.batch import Batch
from geovr.data.frames import FrameGeometry
from geovr.data.prefix import PromptTokens
from geovr.data.samples import make_batch
from geovr.losses.objectives import Objectives
from geovr.model.forward import load_backbone, tap_layers, text_states, visual_features
from geovr.model.geovr import GeoVR
from geovr.model.initialise import init_model
from tests.model.test_media import SAMPLES, Shape, draw, our_sample
from tests.model.test_packing import SMALL_HEADS

WIDTH, LAYERS = 128, 4


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    path: Path = tmp_path_factory.mktemp("model") / "tiny"
    init_model("tiny", path, seed=0)
    return load_backbone(path)


def batch_of(processor: Any, samples: list[tuple[Shape, ...]], **options: Any) -> Batch:
    geometry = FrameGeometry.of(processor)
    made = [our_sample(processor, draw(shapes), geometry) for shapes in samples]
    return make_batch(made, PromptTokens(processor), geometry, **options)


def stock_states(backbone: Any, batch: Batch) -> tuple[torch.Tensor, ...]:
    """What transformers calls hidden_states, (B * L, D): embeddings, then one a layer."""
    visual_VD, deepstack = visual_features(backbone, batch)
    B, L = batch.input_ids_BL.shape
    flat = backbone.get_input_embeddings()(batch.input_ids_BL).reshape(B * L, -1)
    mask = torch.zeros(B * L, dtype=torch.bool)
    mask[batch.visual_V] = True
    output = backbone.model.language_model(
        inputs_embeds=flat.index_copy(0, batch.visual_V, visual_VD).view(B, L, -1),
        attention_mask=batch.attention_mask(),
        position_ids=batch.position_ids_3BL,
        visual_pos_masks=mask.view(B, L),
        deepstack_visual_embeds=deepstack,
        output_hidden_states=True,
        use_cache=False,
    )
    return tuple(states.reshape(B * L, -1) for states in output.hidden_states)


@pytest.mark.parametrize("last_tap", ["post_norm", "pre_norm"])
def test_a_tap_is_the_state_after_its_layer_with_deepstack(
    loaded: tuple[Any, Any], last_tap: str
) -> None:
    """transformers records a layer's output before DeepStack is added to it; the tap has it."""
    backbone, processor = loaded
    batch = batch_of(processor, [SAMPLES["video"], SAMPLES["mixed"]], packed=False)
    heads = SMALL_HEADS.model_copy(update={"last_tap": last_tap})
    model = GeoVR(backbone, heads, Objectives(), 16)
    with torch.no_grad():
        _, taps = model.states(batch)
        wanted = [states[batch.visual_V] for states in stock_states(backbone, batch)]
        _, deepstack = visual_features(backbone, batch)
    assert sorted(taps) == [1, 2, 3, 4] and len(deepstack) == 1
    assert float(deepstack[0].abs().max()) > 1e-2
    torch.testing.assert_close(taps[1], wanted[1] + deepstack[0], rtol=1e-5, atol=1e-5)
    for layer in (2, 3):
        torch.testing.assert_close(taps[layer], wanted[layer], rtol=1e-5, atol=1e-5)
    norm = backbone.model.language_model.norm
    last = taps[4] if last_tap == "post_norm" else norm(taps[4])
    torch.testing.assert_close(last, wanted[4], rtol=1e-5, atol=1e-5)
    if last_tap == "pre_norm":
        assert float((taps[4] - wanted[4]).detach().abs().max()) > 1e-2


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", ["readout", "visible"])
def test_taps_hold_visual_tokens_of_tapped_layers_and_no_more(
    loaded: tuple[Any, Any], layout: str, packed: bool
) -> None:
    backbone, processor = loaded
    batch = batch_of(
        processor,
        [SAMPLES["videos"], SAMPLES["text"], SAMPLES["image"]],
        layout=layout,
        camera=True,
        scale=True,
        packed=packed,
    )
    merged = processor.video_processor.merge_size**2
    visual = int(batch.grid_I3.prod(-1).sum()) // merged
    assert visual < batch.input_ids_BL.numel()
    for levels in ((0, 3), (1,)):
        heads = SMALL_HEADS.model_copy(update={"feature_levels": levels})
        model = GeoVR(backbone, heads, Objectives(depth=False), 16)
        _, taps = model.states(batch)
        assert sorted(taps) == [level + 1 for level in levels]
        for states in taps.values():
            assert states.shape == (visual, WIDTH) and states.requires_grad
            # a view would keep the whole sequence alive
            assert states.untyped_storage().nbytes() == visual * WIDTH * states.element_size()
    language = backbone.model.language_model
    assert not any(module._forward_pre_hooks for module in language.modules())


def test_hooks_are_gone_after_a_failure(loaded: tuple[Any, Any]) -> None:
    backbone, processor = loaded
    batch = batch_of(processor, [SAMPLES["video"]])
    broken = replace(batch, position_ids_3BL=batch.position_ids_3BL[:, :, :-1])
    visual, deepstack = visual_features(backbone, batch)
    with pytest.raises(RuntimeError), tap_layers(backbone, (1, 4), batch.visual_V):
        text_states(backbone, broken, visual, deepstack)
    language = backbone.model.language_model
    assert not any(module._forward_pre_hooks for module in language.modules())


def saved_bytes(model: GeoVR, batch: Batch) -> tuple[int, int]:
    """Bytes that the forward pass keeps for the backward pass, and those of its taps."""
    kept: dict[int, tuple[int, Any]] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), storage)  # held, so that none is reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _, taps = model.states(batch)
    return sum(size for size, _ in kept.values()), sum(t.nbytes for t in taps.values())


@pytest.mark.parametrize("checkpointed", [False, True])
def test_taps_add_nothing_to_what_the_backward_pass_keeps(
    loaded: tuple[Any, Any], checkpointed: bool
) -> None:
    """Beside the taps themselves: with checkpointed layers, no layer's states come back by them."""
    backbone, processor = loaded
    batch = batch_of(processor, [SAMPLES["videos"]])
    silent = Objectives(camera=False, depth=False, scale=False, features=False)
    tapped = Objectives(camera=False, scale=False)
    if checkpointed:
        backbone.gradient_checkpointing_enable({"use_reentrant": False})
    backbone.train()
    try:
        bare, nothing = saved_bytes(GeoVR(backbone, SMALL_HEADS, silent, 16), batch)
        full, taps = saved_bytes(GeoVR(backbone, SMALL_HEADS, tapped, 16), batch)
    finally:
        backbone.gradient_checkpointing_disable()
        backbone.eval()
    assert nothing == 0 and taps == LAYERS * len(batch.visual_V) * WIDTH * 4
    assert 0 <= full - bare <= batch.visual_V.nbytes


def test_gradients_pass_through_checkpointed_taps(loaded: tuple[Any, Any]) -> None:
    """Also through a tap alone, when no later layer takes part in the loss."""
    backbone, processor = loaded
    batch = batch_of(processor, [SAMPLES["video"]])
    model = GeoVR(backbone, SMALL_HEADS, Objectives(camera=False, scale=False), 16)
    layers = backbone.model.language_model.layers
    norms = []
    for checkpointed in (False, True):
        if checkpointed:
            backbone.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
        model.zero_grad()
        _, taps = model.states(batch)
        taps[2].square().sum().backward()
        backbone.gradient_checkpointing_disable()
        assert all(p.grad is None for p in layers[2].parameters())
        norms.append([float(p.grad.norm()) for p in layers[1].parameters() if p.grad is not None])
    model.eval()
    model.zero_grad()
    assert len(norms[0]) == len(list(layers[1].parameters())) and min(norms[0]) > 0
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-5)
