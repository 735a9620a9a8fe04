"""The optimiser's config; free of torch, so that configs are read quickly."""

from __future__ import annotations

from pydantic import Field

from geovr.config import Config


class OptimConfig(Config):
    """The optimiser; defaults are those of the paper's run."""

    learning_rate: float = Field(2e-5, gt=0, description="Of the backbone.")
    head_learning_rate: float = Field(1e-4, gt=0, description="Of tokens and heads.")
    weight_decay: float = Field(0.0, ge=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    warmup_share: float = Field(0.03, ge=0, lt=1, description="Share of the steps.")
    final_share: float = Field(0.0, ge=0, le=1, description="Rate at the end, as a share.")
    max_grad_norm: float = Field(1.0, gt=0)
    train_vision: bool = Field(
        False, description="Train the whole vision tower; else only its merger, as the paper."
    )
