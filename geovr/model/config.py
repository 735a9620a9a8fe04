"""Sizes of tokens, taps and heads; free of torch, so that configs are read quickly."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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
    depths: tuple[float, ...] = Field(
        (5 / 24, 12 / 24, 18 / 24, 24 / 24),
        min_length=NUM_LEVELS,
        max_length=NUM_LEVELS,
        description="Teacher layers as shares of its depth; round(share * layers) is tapped.",
    )
    last_tap: Literal["post_norm", "pre_norm"] = Field(
        "post_norm", description="State of the last layer: after or before the final norm."
    )
    camera_hidden: int = Field(1536, gt=0)
    scale_hidden: int = Field(512, gt=0)
    depth_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    depth_features: int = Field(256, gt=0)
    depth_patch: int = Field(7, gt=0, description="Target pixels per output cell (7 for VGGT).")
