"""How targets are stored; free of numpy, so that configs are read quickly."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from geovr.config import Config


class TargetFormat(Config):
    """What is a choice in a target's object; docs/decisions/0007 has the reasons."""

    feature_group: Literal[64, 32] = Field(
        64,
        description="Channels that share a scale; 32 costs 2 % more bytes, and keeps features in"
        " which a few channels are over 100 times the others within 1e-4 of the cosine too.",
    )
    depth: Literal["f16", "log_u16"] = Field(
        "f16",
        description="f16: within 4.9e-4 of each depth, up to 65,504 units; log_u16: as many bytes,"
        " several times closer, and no limit, but codes that only this package reads.",
    )
