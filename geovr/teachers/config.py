"""Settings of the teachers; free of torch, so that configs are read quickly."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from geovr.config import Config


class OracleConfig(Config):
    """Where ground truth lies, and the shape of what is said about it."""

    ground_truth: str = Field(
        ...,
        description="Directory or s3:// prefix with <scene>.safetensors of `geovr simulate`;"
        " dvc:PATH is below ingest.dvc.path, at the clips' own commit.",
    )
    feature_dim: int = Field(64, gt=0, description="Channels of each level.")
    feature_cell: int = Field(16, gt=0, description="Pixels a feature covers, down and across.")


class WeightsConfig(Config):
    """Where a network's weights are: exactly one of path, hub and random_init."""

    path: str | None = Field(None, description="A weights file, or a directory that holds `file`.")
    hub: str | None = Field(None, description="Hub repository, as organisation/name.")
    revision: str | None = Field(None, description="Commit of `hub`; branches and tags can move.")
    file: str = Field("model.safetensors", description="The file in `hub`, or in a directory.")
    sha256: str | None = Field(
        None,
        description="Of the file. Needed for a hub file and for all that isn't safetensors;"
        " otherwise computed and recorded.",
    )
    random_init: int | None = Field(
        None, description="Seed of random weights instead, for tests and dry runs."
    )

    @model_validator(mode="after")
    def _one_source(self) -> WeightsConfig:
        given = [n for n in ("path", "hub", "random_init") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                "give exactly one of path, hub and random_init; this has"
                f" {' and '.join(given) or 'none'}"
            )
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError("sha256 must be 64 hexadecimal digits in lower case")
        if self.hub is not None:
            if not re.fullmatch("[0-9a-f]{40}", self.revision or ""):
                raise ValueError("hub needs `revision`, a commit of 40 hexadecimal digits")
            if self.sha256 is None:
                raise ValueError("hub needs the file's `sha256`; the hub shows it beside the file")
        return self


class MetricConfig(Config):
    """The metric teacher: canonical depth and sky of single frames."""

    checkpoint: Literal["DA3METRIC-LARGE"] = "DA3METRIC-LARGE"
    weights: WeightsConfig
    size: Literal["large", "tiny"] = Field("large", description="tiny: for tests and dry runs.")

    @model_validator(mode="after")
    def _tiny_is_random(self) -> MetricConfig:
        _refuse_trained(self.size, self.weights)
        return self


class FoundationConfig(Config):
    """What all real teachers have."""

    weights: WeightsConfig
    metric: MetricConfig | None = Field(
        None, description="Teacher of the metric scale; without one no clip has a scale."
    )
    scale_estimator: Literal["least_squares", "median"] = Field(
        "least_squares",
        description="least_squares: the paper's, far pixels count most; median: of the pixels' own"
        " ratios, robust.",
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto",
        description="Of the trunk; heads are always float32. auto: bf16 on CUDA, else float32.",
    )
    clips_per_call: int = Field(
        1, ge=1, description="Clips of one shape that go through together; decides no result."
    )


class VggtConfig(FoundationConfig):
    """VGGT-1B or VGGT-1B-Commercial."""

    checkpoint: Literal["VGGT-1B", "VGGT-1B-Commercial"] = "VGGT-1B-Commercial"
    size: Literal["1b", "tiny"] = Field("1b", description="tiny: for tests and dry runs.")
    longer_side: int = Field(504, gt=0, multiple_of=28, description="Of the frames, in pixels.")

    @model_validator(mode="after")
    def _tiny_is_random(self) -> VggtConfig:
        _refuse_trained(self.size, self.weights)
        return self


class VggtOmegaConfig(FoundationConfig):
    """VGGT-Omega at 512 pixels."""

    checkpoint: Literal["VGGT-Omega-1B-512"] = "VGGT-Omega-1B-512"
    size: Literal["1b", "tiny"] = Field("1b", description="tiny: for tests and dry runs.")
    longer_side: int = Field(512, gt=0, multiple_of=32, description="Of the frames, in pixels.")

    @model_validator(mode="after")
    def _tiny_is_random(self) -> VggtOmegaConfig:
        _refuse_trained(self.size, self.weights)
        return self


class DepthAnything3Config(FoundationConfig):
    """A Depth Anything 3 network with poses."""

    checkpoint: Literal[
        "DA3-GIANT-1.1", "DA3-GIANT", "DA3-LARGE-1.1", "DA3-LARGE", "DA3-BASE", "DA3-SMALL"
    ] = "DA3-GIANT-1.1"
    feature_layers: tuple[int, int, int, int] | None = Field(
        None,
        description="Layers (0-based) whose features are kept; left out, those one below the"
        " network's own depth layers: 18, 26, 32, 38 of the giant, as in the paper.",
    )
    longer_side: int = Field(504, gt=0, multiple_of=28, description="Of the frames, in pixels.")

    @property
    def architecture(self) -> str:
        """Name of the network in the upstream package: da3-giant for DA3-GIANT-1.1."""
        return "-".join(self.checkpoint.lower().split("-")[:2])


TeacherConfig = OracleConfig | VggtConfig | VggtOmegaConfig | DepthAnything3Config


def _refuse_trained(size: str, weights: WeightsConfig) -> None:
    if size == "tiny" and weights.random_init is None:
        raise ValueError("size: tiny has no trained weights; give weights: {random_init: SEED}")
