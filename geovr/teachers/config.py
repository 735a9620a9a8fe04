"""Settings of the teachers; free of torch, so that configs are read quickly."""

from __future__ import annotations

from pydantic import Field

from geovr.config import Config


class OracleConfig(Config):
    """Where ground truth lies, and the shape of what is said about it."""

    ground_truth: str = Field(
        ..., description="Directory or s3:// prefix with <scene>.safetensors of `geovr simulate`."
    )
    feature_dim: int = Field(64, gt=0, description="Channels of each level.")
    feature_cell: int = Field(16, gt=0, description="Pixels a feature covers, down and across.")
