"""What is trained and how; free of torch, so that configs are read quickly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from geovr.config import Config, StageConfig
from geovr.data.input import InputConfig
from geovr.launch_config import LaunchConfig
from geovr.losses.objectives import Objectives
from geovr.model.config import HeadsConfig, LoraConfig


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


class ParallelConfig(Config):
    """How processes share the model; losses are the same within rounding."""

    sharding: Literal["none", "full", "hybrid"] = Field(
        "none",
        description="none: a whole model on every process; full: the backbone's parameters,"
        " gradients and optimiser states spread over all processes (FSDP2); hybrid: over those of"
        " a node, nodes hold replicas.",
    )
    activation_checkpointing: Literal["none", "selective", "full"] = Field(
        "none",
        description="What the backward pass computes again to save memory: selective keeps"
        " attention and narrow products, full keeps layers' inputs only.",
    )
    compile: bool = Field(False, description="torch.compile MLPs and norms of the language model.")


NOT_IN_KEY = {
    "store", "experiment", "launch", "checkpoint_every", "keep_checkpoints", "cache_mb",
    "data_workers", "disk_cache_gb", "tracking_patience_s", "base_model_license", "parallel",
    "step_timeout_s", "keep_best", "async_checkpoints", "resume_changed", "parent_run",
}  # fmt: skip
"""Fields that decide where and how, not what."""


class TrainConfig(StageConfig):
    """What is trained, on what, how long."""

    base_model: str = Field(..., description="Directory of a Qwen3-VL model.")
    base_model_license: str | None = Field(
        None, description="Its licence, such as apache-2.0, where its README.md doesn't say."
    )
    steps: int = Field(..., gt=0, description="Optimiser steps.")
    clips_per_batch: int = Field(32, gt=0, description="Clips (rows) of the global batch.")
    clips_per_forward: int = Field(
        1024, gt=0, description="Most clips in one forward pass of a process; more accumulate."
    )
    tokens_per_forward: int | None = Field(
        32_768,
        gt=0,
        description="Most tokens in one forward pass of a process; a longer row goes alone.",
    )
    questions_per_clip: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        8,
        description="Most questions of one clip that share a row; 1 is the paper's way, auto as"
        " many as cost what they share, at most 16.",
    )
    numeric_answers: Literal["text", "binned"] = Field(
        "text", description="binned: numbers become the nearest of 121 one-token values."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16 is autocast; losses stay float32."
    )
    parallel: ParallelConfig = ParallelConfig()
    nonfinite: Literal["stop", "skip"] = Field(
        "stop",
        description="At a loss or gradient that isn't finite: stop and keep the batch's ids, or"
        " leave the step out and count it.",
    )
    step_timeout_s: float = Field(
        1800.0, gt=0, description="A step that takes longer hangs: its job is stopped, to restart."
    )
    seed: int = Field(42, ge=0, description="Of the order, the heads and the tokens.")
    input: InputConfig = InputConfig()
    optim: OptimConfig = OptimConfig()
    lora: LoraConfig | None = Field(None, description="Adapters; null: the whole language model.")
    heads: HeadsConfig = HeadsConfig()
    objectives: Objectives = Objectives()
    checkpoint_every: int = Field(100, gt=0, description="Steps between checkpoints.")
    keep_checkpoints: int = Field(2, gt=0, description="Newest checkpoints that stay.")
    keep_best: bool = Field(
        True,
        description="The checkpoint with the lowest mean loss since the one before stays too.",
    )
    async_checkpoints: bool = Field(True, description="Write checkpoints beside training.")
    resume_from: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{24}$",
        description="Key of another training in the same store, from whose newest sound checkpoint"
        " this one goes on; its Checkpoint's manifest.json has it under details.",
    )
    resume_changed: bool = Field(
        False, description="Go on though config or inputs differ from what was recorded."
    )
    cache_mb: int = Field(
        1024, ge=0, description="Clips and targets that a rank keeps in memory, with its readers."
    )
    data_workers: int | None = Field(
        None,
        ge=0,
        description="Processes of each rank that read ahead of the step; 0: a thread; null: as"
        " many as the node has cores to spare, and 0 without a GPU.",
    )
    disk_cache_gb: float = Field(
        16.0,
        ge=0,
        description="Objects of an s3:// store that a node keeps on its disk, below GEOVR_HOME, as"
        " 10^9 bytes; 0: none.",
    )
    parent_run: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{32}$",
        description="MLflow run that this one is nested in, such as a sweep's; null: the one that"
        " GEOVR_PARENT_RUN names, if it does.",
    )
    tracking_patience_s: float = Field(
        120.0, ge=0, description="Seconds to wait at the end for a tracking server that is away."
    )
    launch: LaunchConfig = LaunchConfig()
