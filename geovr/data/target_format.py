"""How targets are stored; free of numpy, so that configs are read quickly."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from geovr.config import Config


class TargetFormat(Config):
    """What is a choice in a target's object; docs/decisions/0007 has the reasons."""

    depth: Literal["f16", "log_u16"] = Field(
        "f16",
        description="f16: within 4.9e-4 of each depth, up to 65,504 units; log_u16: as many bytes,"
        " several times closer, and no limit, but codes that only this package reads.",
    )
