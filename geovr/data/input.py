"""How clips are put before the model; free of torch, so that configs are read quickly."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from geovr.config import Config


class InputConfig(Config):
    """Frames per time slot, pixels per video, tokens per sample."""

    frame_pairing: Literal["doubled", "pairs"] = Field(
        "doubled",
        description="doubled: each frame fills a time slot of its own, so that a slot and a"
        " teacher's frame are the same; pairs: two frames share one, as stock inference does, with"
        " half the tokens, and the targets of a slot are those of its first frame.",
    )
    min_pixels: int | None = Field(
        None, gt=0, description="Least pixels of all frames of a video; null: the processor's own."
    )
    max_pixels: int | None = Field(
        None, gt=0, description="Most pixels of all frames of a video; null: the processor's own."
    )
    max_tokens: int | None = Field(
        16_384, gt=0, description="Longest sample: prefix, one question, its answer; null: none."
    )
    over_length: Literal["refuse", "drop_frames"] = Field(
        "refuse",
        description="A sample over max_tokens: refuse stops before the first step and names it;"
        " drop_frames spreads fewer whole frames over the same clip.",
    )
