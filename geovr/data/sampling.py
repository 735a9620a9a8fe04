"""Which frames of a video become its clip.

The flow's own kinds choose by time, so that variable frame rates are right. The others are those of
published evaluations, which count frames (data/frame_places.py).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from pydantic import Field

from geovr.config import Config
from geovr.data.frame_places import BY_RATE, PlacesName, frame_places


class SamplerConfig(Config):
    """How many frames, and which."""

    kind: Literal["fps", "uniform"] | PlacesName = Field(
        "fps",
        description="fps: so many a second, within bounds, spread evenly over the video's time;"
        " uniform: a fixed number of them; the others as published evaluations choose"
        " (docs/benchmarks.md).",
    )
    fps: float = Field(2.0, gt=0, description="Frames a second (kinds fps, fps_floor, fps_tail).")
    min_frames: int = Field(4, ge=1, description="At least so many (kind fps).")
    max_frames: int = Field(32, ge=1, description="At most so many (kind fps).")
    num_frames: int = Field(
        32, ge=1, description="Exactly so many (kind uniform), or about so many (published kinds)."
    )

    @property
    def published(self) -> bool:
        """Whether frames are counted as a published evaluation does."""
        return self.kind in get_args(PlacesName)

    def identity(self) -> dict[str, Any]:
        """The values that decide which frames are chosen, for keys and comparisons."""
        if not self.published:
            return self.model_dump()
        wanted = "fps" if self.kind in BY_RATE else "num_frames"
        return {"kind": self.kind, wanted: getattr(self, wanted)}


def choose_frames(times_N: np.ndarray, duration: float, config: SamplerConfig) -> np.ndarray:
    """Places of the frames to keep, ascending; of the flow's own kinds none comes twice.

    For those the wanted times lie evenly between the first and the last frame; each takes the
    nearest frame, and a video with fewer frames than wanted gives all of its frames. Some of the
    published kinds give frames of a short video several times, and so does this.

    Args:
        times_N: presentation times in seconds, ascending.
        duration: of the video in seconds.
        config: how many.
    """
    if config.kind == "uniform":
        wanted = config.num_frames
    elif config.kind == "fps":
        wanted = round(duration * config.fps)
        wanted = min(max(wanted, config.min_frames), config.max_frames)
    else:
        return frame_places(
            config.kind,
            len(times_N),
            count=config.num_frames,
            video_fps=len(times_N) / duration if duration > 0 else None,
            fps=config.fps,
        )
    if len(times_N) <= wanted:
        return np.arange(len(times_N))
    targets = np.linspace(times_N[0], times_N[-1], wanted)
    right = np.clip(np.searchsorted(times_N, targets), 1, len(times_N) - 1)
    nearer_left = targets - times_N[right - 1] <= times_N[right] - targets
    return np.unique(np.where(nearer_left, right - 1, right))
