"""Tokens, taps, heads and adapters; free of torch, so that configs are read quickly."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from geovr.config import Config

NUM_LEVELS = 4


class HeadsConfig(Config):
    """Tokens, taps and heads; the sizes are the paper's, recipes for small models lower them."""

    layout: Literal["readout", "visible"] = Field(
        "readout",
        description="readout: the tokens are hidden from all others, so training and inference"
        " see the same prefix; visible: the paper's, later tokens attend to them.",
    )
    token_std: float | None = Field(
        None,
        gt=0,
        description="Deviation of the tokens at the start; null: that of the text embeddings.",
    )
    teacher_depth: int = Field(24, gt=0, description="Layers of the teacher (24 for VGGT).")
    depth_layers: tuple[int, int, int, int] = Field(
        (5, 12, 18, 24),
        description="Teacher layers, from 1, whose counterparts feed the depth head: layer g of G"
        " corresponds to round(g / G * L) of the student's L.",
    )
    feature_layers: tuple[int, int, int, int] = Field(
        (5, 12, 18, 24), description="Teacher layers that the targets hold features of."
    )
    feature_levels: tuple[int, ...] = Field(
        (0, 1, 2, 3),
        min_length=1,
        description="Which of the feature layers are learnt, by their places.",
    )
    last_tap: Literal["post_norm", "pre_norm"] = Field(
        "post_norm", description="State of the last layer: after or before the final norm."
    )
    camera_hidden: int = Field(1536, gt=0)
    scale_hidden: int = Field(512, gt=0)
    depth_head: Literal["dense", "dpt", "mlp"] = Field(
        "dense", description="The three of the paper's Table 5."
    )
    depth_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    depth_features: int = Field(
        256, gt=0, description="Channels of the fusion; values of a token with mlp."
    )
    depth_hidden: int = Field(1024, gt=0, description="Hidden layers of the mlp head.")
    depth_patch: int = Field(7, gt=0, description="Target pixels per output cell (7 for VGGT).")

    @model_validator(mode="after")
    def _fits(self) -> HeadsConfig:
        for name in ("depth_layers", "feature_layers"):
            layers = getattr(self, name)
            if min(layers) < 1 or max(layers) > self.teacher_depth:
                raise ValueError(
                    f"{name}: {layers} are not layers 1 to {self.teacher_depth} of the teacher;"
                    " set teacher_depth to its number of layers"
                )
        if sorted(set(self.feature_levels)) != list(self.feature_levels):
            raise ValueError(f"feature_levels: {self.feature_levels} must ascend, none twice")
        if self.feature_levels[0] < 0 or self.feature_levels[-1] >= NUM_LEVELS:
            raise ValueError(f"feature_levels: {self.feature_levels} are not among 0 to 3")
        if self.depth_head == "mlp" and math.isqrt(self.depth_features) ** 2 != self.depth_features:
            raise ValueError(f"depth_features: {self.depth_features} must be a square with mlp")
        return self


class LoraConfig(Config):
    """Low-rank adapters on the language model instead of training all of it (Hu et al. 2021).

    Tokens and heads stay trainable; the vision tower and its merger are frozen.
    """

    rank: int = Field(64, gt=0)
    alpha: float = Field(128, gt=0, description="The adapters' product is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1,
        description="Linear layers of every block that get one.",
    )
