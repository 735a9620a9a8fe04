"""What the report shows; free of heavy imports."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from geovr.config import Config


class ReportConfig(Config):
    """What the run's report shows, and what it may cost."""

    panels: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Clips with the model's own depth and camera path. auto: where there is a GPU,"
        " or the weights are no larger than `panels_cpu_mb`.",
    )
    panels_cpu_mb: int = Field(
        1000, ge=0, description="Weights up to so many megabytes are run on a CPU by panels: auto."
    )
    clips: int = Field(
        4, ge=0, le=24, description="Clips shown, half of them of the split that was evaluated."
    )
    frames: int = Field(4, ge=2, le=12, description="Frames shown of each clip.")
    worst: int = Field(8, ge=0, le=100, description="Worst answers shown.")
    worst_per_kind: int = Field(2, ge=1, description="Most of them that are of one kind.")
    worst_clips: int = Field(
        3, ge=0, le=24, description="Clips of lowest score shown, with all their questions."
    )
    smoothing: int = Field(
        21, ge=1, description="Steps over which the loss curves' thick line is a mean."
    )
    quarantine: int = Field(50, ge=0, description="Inputs put aside that are listed by name.")
