"""Which clips' geometry is measured; free of heavy imports."""

from __future__ import annotations

from pydantic import Field

from geovr.config import Config


class GeometryConfig(Config):
    """What the heads say about the benchmark's clips, against ground truth."""

    ground_truth: str | None = Field(
        None,
        description="Directory or s3:// prefix with <scene>.safetensors of `geovr simulate`;"
        " dvc:PATH is below ingest.dvc.path, at the clips' own commit; null: geometry is not"
        " measured.",
    )
    clips: int = Field(
        0, ge=0, description="Most clips, evenly spread over the benchmark's; 0: all of them."
    )
