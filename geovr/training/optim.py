"""AdamW with one rate for the model and one for the new parts, on a cosine with warm-up."""

from __future__ import annotations

import math
from typing import Any

import torch

from geovr.model.geovr import GeoVR
from geovr.training.config import OptimConfig


def rate_share(step: int, steps: int, config: OptimConfig) -> float:
    """Share of the peak rate at a step (from 0): linear warm-up, then cosine to the final share."""
    warmup = max(1, round(config.warmup_share * steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.final_share + (1 - config.final_share) * cosine


def freeze(backbone: Any, config: OptimConfig) -> None:
    """Freeze the vision tower but its merger, unless the config trains it all."""
    for name, parameter in backbone.model.visual.named_parameters():
        parameter.requires_grad_(config.train_vision or name.startswith("merger."))


def make_optimizer(model: GeoVR, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over two groups, which are disjoint and complete.

    Raises:
        RuntimeError: when a trainable parameter is in no group or in two.
    """
    heads = [p for p in model.head_parameters().values() if p.requires_grad]
    backbone = [p for p in model.backbone.parameters() if p.requires_grad]
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    grouped = [id(p) for p in heads + backbone]
    if len(grouped) != len(set(grouped)) or set(grouped) != trainable:
        raise RuntimeError("parameter groups are not disjoint and complete")
    groups = [
        {"params": backbone, "peak": config.learning_rate},
        {"params": heads, "peak": config.head_learning_rate},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay,
    )


def set_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set every group's rate to a share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
