"""Arithmetic of a training step, counted by torch on tensors without values.

The language model and the depth head run forward and backward on the meta device under torch's
FLOP counter; the vision towers are sums over their layers. A multiplication and an addition are
two. Attention counts whole squares, as the counter's formulas do, also where a causal kernel skips
half: the same on both sides of every ratio.

Shape suffixes: D model width, L tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from geovr.model.attention import PackedRow
from geovr.model.config import HeadsConfig
from geovr.model.heads import CameraHead, FeatureHead, ScaleHead, make_depth_head


@dataclass(frozen=True)
class SampleShape:
    """Sizes of a clip and of the questions about it.

    Attributes:
        slots: time slots of the clip.
        grid: merged tokens of a slot, down and across.
        prefix: tokens that the questions share.
        branch: tokens of one question with its answer.
        labels: tokens of one answer.
        depth_size: height and width of the teacher's depth.
        feature_grid: rows and columns of the teacher's features.
        feature_dim: channels of the teacher's features.
    """

    slots: int
    grid: tuple[int, int]
    prefix: int
    branch: int
    labels: int
    depth_size: tuple[int, int]
    feature_grid: tuple[int, int]
    feature_dim: int


@dataclass(frozen=True)
class StepFlops:
    """Of one clip with k questions, forward and backward."""

    vision: float
    language: float
    logits: float
    heads: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.vision + self.language + self.logits + self.heads


def step_flops(
    model: Any,
    heads: HeadsConfig,
    shape: SampleShape,
    k: int,
    *,
    every_logit: bool = False,
    train_vision: bool = False,
    geometry: bool = True,
) -> StepFlops:
    """Arithmetic of one clip with k questions.

    Args:
        model: a prepared Qwen3-VL on the meta device.
        heads: sizes of the heads.
        shape: of clip and questions.
        k: questions that share the prefix.
        every_logit: logits at all positions, as the reference has them.
        train_vision: also the vision tower's backward pass.
        geometry: with camera and scale tokens and all heads.
    """
    tokens = shape.slots + 1 if geometry else 0
    row = shape.prefix + k * shape.branch + tokens
    vocabulary, width = model.get_output_embeddings().weight.shape
    places = row if every_logit else k * shape.labels
    return StepFlops(
        vision=vision_flops(model.config.vision_config, shape) * (3 if train_vision else 1),
        language=language_flops(model.model.language_model, row, shape.prefix),
        logits=3 * 2.0 * places * vocabulary * width,
        heads=head_flops(heads, width, shape) if geometry else 0.0,
    )


def answer_flops(model: Any, shape: SampleShape, k: int) -> float:
    """Forward arithmetic of k answers about one clip, its prefix computed once.

    Args:
        model: a prepared Qwen3-VL on the meta device.
        shape: of clip and questions; `branch` counts what is asked and said.
        k: questions that share the prefix; one by one is k times the value for k = 1.
    """
    vocabulary, width = model.get_output_embeddings().weight.shape
    row = shape.prefix + k * shape.branch
    language = language_flops(model.model.language_model, row, shape.prefix, backward=False)
    logits = 2.0 * k * shape.labels * vocabulary * width
    return float(vision_flops(model.config.vision_config, shape) + language + logits)


def language_flops(
    language_model: Any, length: int, prefix: int, *, backward: bool = True
) -> float:
    """Forward, and backward, of one row through a language model on the meta device."""
    width = language_model.config.hidden_size
    embeds = torch.empty(1, length, width, device="meta", requires_grad=True)
    mask = torch.empty(length - prefix, length, dtype=torch.bool, device="meta")
    with FlopCounterMode(display=False) as counter:
        states = language_model(
            inputs_embeds=embeds,
            position_ids=torch.empty(3, 1, length, dtype=torch.long, device="meta"),
            attention_mask=None,
            rows=(PackedRow(0, prefix, length, mask),),
            use_cache=False,
        ).last_hidden_state
        if backward:
            states.sum().backward()
    language_model.zero_grad(set_to_none=True)
    return float(counter.get_total_flops())


def head_flops(heads: HeadsConfig, width: int, shape: SampleShape) -> float:
    """Forward and backward of all heads on one clip."""
    with torch.device("meta"):
        camera, scale = CameraHead(width, heads.camera_hidden), ScaleHead(width, heads.scale_hidden)
        depth = make_depth_head(heads, width)
        features = [FeatureHead(width, shape.feature_dim) for _ in heads.feature_levels]
        slots = torch.empty(shape.slots, width, requires_grad=True)
        maps = [torch.empty(shape.slots, width, *shape.grid, requires_grad=True) for _ in range(4)]
        with FlopCounterMode(display=False) as counter:
            said = camera(slots).sum() + scale(slots[:1]).sum()
            said = said + depth(maps, shape.depth_size).sum()
            for head, level in zip(features, maps, strict=False):
                said = said + head(level, shape.feature_grid).sum()
            said.backward()
    return float(counter.get_total_flops())


def vision_flops(config: Any, shape: SampleShape) -> float:
    """Forward of Qwen3-VL's vision tower and mergers; each slot attends to itself."""
    merge = config.spatial_merge_size**2
    patches = shape.grid[0] * shape.grid[1] * merge
    D, hidden = config.hidden_size, config.intermediate_size
    block = 2.0 * patches * (4 * D * D + 2 * D * hidden) + 4.0 * patches**2 * D
    merged = patches // merge * 2.0 * (D * merge) * (D * merge + config.out_hidden_size)
    embed = 2.0 * patches * D * config.in_channels * config.patch_size**2
    mergers = 1 + len(config.deepstack_visual_indexes)
    return float(shape.slots * (config.depth * block + mergers * merged + embed))


def teacher_flops(frames: int, size: tuple[int, int], *, metric: bool = True) -> float:
    """Forward of VGGT-1B on a clip, and of the metric ViT-L; without their convolutional heads.

    24 blocks of DINOv2-L, 24 over each frame and 24 over all frames, 1,024 wide, patches of 14
    pixels, five special tokens a frame (arXiv 2503.11651).
    """
    width, depth, patch = 1024, 24, 14
    patches = (size[0] // patch) * (size[1] // patch)
    per_frame = patches + 5
    everything = frames * per_frame
    linear = 2.0 * 12 * width**2 * everything * depth
    local = 4.0 * frames * per_frame**2 * width * depth
    everywhere = 4.0 * everything**2 * width * depth
    relative = 3 * linear + 2 * local + everywhere
    return relative + (linear + local if metric else 0.0)
