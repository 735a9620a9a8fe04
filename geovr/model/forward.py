"""A batch through the stock Qwen3-VL classes, used by training and by evaluation alike.

Shape suffixes: B rows, L tokens, D model width, V visual tokens, R rows and Q tokens of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geovr.data.batch import Batch
from geovr.errors import UserError
from geovr.model import attention
from geovr.model.attention import PackedRow, group_tails
from geovr.model.memory import PrefixMemory
from geovr.model.patches import SlotPatchEmbed
from geovr.model.vision import FrameAttention


def load_backbone(directory: Path, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Any]:
    """A Qwen3-VL model and its processor from a local directory.

    Raises:
        UserError: when the directory is missing or holds something else.
    """
    from transformers import AutoConfig, AutoProcessor, Qwen3VLForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()

    if not (directory / "config.json").is_file():
        raise UserError(
            f"{directory}: no config.json, so no model; `geovr init-model --preset study"
            f" --output {directory}` makes a tiny one, or give that of a downloaded Qwen3-VL"
        )
    if not any(directory.glob("*.safetensors")):
        raise UserError(f"{directory}: no safetensors file of weights; other kinds are not opened")
    # the directory is a stranger's: neither a pickle nor code in it is ever run
    offline = {"local_files_only": True, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(directory, **offline)
    if config.model_type != "qwen3_vl":
        raise UserError(
            f"{directory}: this is a {config.model_type} model; GeoVR trains Qwen3-VL"
            " (model_type qwen3_vl)"
        )
    model = Qwen3VLForConditionalGeneration.from_pretrained(
        directory, dtype=dtype, attn_implementation="sdpa", use_safetensors=True, **offline
    )
    processor = AutoProcessor.from_pretrained(directory, **offline)
    return prepare_backbone(model), processor


def prepare_backbone(backbone: Any) -> Any:
    """The same Qwen3-VL, able to take our batches; ordinary calls give what they gave.

    Its patch embedding takes patches of single frames (model/patches.py), its vision tower attends
    within all frames at once (model/vision.py), and its language model takes rows that share a
    prefix (model/attention.py).
    """
    attention.register()
    backbone.set_attn_implementation({"text_config": attention.NAME})
    visual = backbone.model.visual
    visual.patch_embed = SlotPatchEmbed(visual.patch_embed)
    for block in visual.blocks:
        block.attn = FrameAttention(block.attn)
    return backbone


def visual_features(backbone: Any, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Visual tokens (V, D) and the DeepStack features of the same tokens; empty without clips."""
    visual = backbone.model.visual
    if len(batch.grid_I3) == 0:
        width = backbone.config.text_config.hidden_size
        return torch.empty(0, width, dtype=visual.dtype, device=batch.row_I.device), []
    if not isinstance(visual.patch_embed, SlotPatchEmbed):
        raise TypeError("the backbone was not prepared (see prepare_backbone)")
    output = visual(batch.patches_PE.to(visual.dtype), grid_thw=batch.grid_I3, return_dict=True)
    return output.pooler_output, list(output.deepstack_features)


def text_states(
    backbone: Any,
    batch: Batch,
    visual_VD: torch.Tensor,
    deepstack: Sequence[torch.Tensor],
    place_tokens: Callable[[torch.Tensor], torch.Tensor] | None = None,
    memory: PrefixMemory | None = None,
) -> torch.Tensor:
    """Last hidden states (B, L, D), after the final norm.

    Args:
        backbone: Qwen3VLForConditionalGeneration.
        batch: rows.
        visual_VD: visual tokens in row order.
        deepstack: features added to visual tokens after the first layers.
        place_tokens: puts camera and scale tokens into flattened (B * L, D) embeddings.
        memory: takes in the rows' prefixes; of packed rows only.
    """
    B, L = batch.input_ids_BL.shape
    embeds_BLD = backbone.get_input_embeddings()(batch.input_ids_BL)
    flat = embeds_BLD.reshape(B * L, -1).index_copy(
        0, batch.visual_V, visual_VD.to(embeds_BLD.dtype)
    )
    if place_tokens is not None:
        flat = place_tokens(flat)
    visual_mask = None
    if deepstack:
        visual_mask = torch.zeros(B * L, dtype=torch.bool, device=flat.device)
        visual_mask[batch.visual_V] = True
    output = backbone.model.language_model(
        inputs_embeds=flat.view(B, L, -1),
        position_ids=batch.position_ids_3BL,
        **attention_arguments(batch),
        **({} if memory is None else {"memory": memory}),
        visual_pos_masks=None if visual_mask is None else visual_mask.view(B, L),
        deepstack_visual_embeds=list(deepstack) or None,
        use_cache=False,
    )
    states: torch.Tensor = output.last_hidden_state
    return states


def branch_states(
    backbone: Any,
    memory: PrefixMemory,
    ids_RQ: torch.Tensor,
    positions_RQ: torch.Tensor,
    segment_RQ: torch.Tensor,
) -> torch.Tensor:
    """Last hidden states (R, Q, D) of a step's tokens behind the prefixes in a memory.

    Args:
        backbone: Qwen3VLForConditionalGeneration.
        memory: of the rows; it takes in the step.
        ids_RQ: the tokens, text alone.
        positions_RQ: of each, which all three axes share.
        segment_RQ: the branch that each belongs to (see PrefixMemory).
    """
    memory.begin(segment_RQ)
    output = backbone.model.language_model(
        inputs_embeds=backbone.get_input_embeddings()(ids_RQ),
        position_ids=positions_RQ[None].expand(3, -1, -1),
        attention_mask=None,
        memory=memory,
        use_cache=False,
    )
    memory.end()
    states: torch.Tensor = output.last_hidden_state
    return states


def attention_arguments(batch: Batch) -> dict[str, Any]:
    """How the language model is told who sees whom."""
    if not batch.packed:
        return {"attention_mask": batch.attention_mask()}
    rows = zip(batch.starts_R, batch.prefixes_R, batch.lengths_R, strict=True)
    packed = [
        PackedRow(start, prefix, length, batch.tail_mask(row))
        for row, (start, prefix, length) in enumerate(rows)
    ]
    return {"attention_mask": None, "rows": tuple(packed), "tails": group_tails(packed)}


@contextmanager
def tap_layers(
    backbone: Any, layers: Sequence[int], places: torch.Tensor
) -> Iterator[dict[int, torch.Tensor]]:
    """Keep the hidden states of some places after some layers while the block runs.

    Layer l (1-based) is read where layer l + 1 takes it in, so that it holds the DeepStack
    addition of its own layer; the last one is what the final norm takes in.
    Only the tapped places are kept, not whole sequences.
    """
    model = backbone.model.language_model
    kept: dict[int, torch.Tensor] = {}
    handles = []
    for layer in layers:

        def keep(module: nn.Module, args: Any, kwargs: Any, layer: int = layer) -> None:
            states = args[0] if args else kwargs["hidden_states"]
            kept[layer] = states.reshape(-1, states.shape[-1])[places]

        taker = model.norm if layer == len(model.layers) else model.layers[layer]
        handles.append(taker.register_forward_pre_hook(keep, with_kwargs=True))
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()
