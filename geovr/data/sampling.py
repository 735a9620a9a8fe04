"""Which frames of a video become its clip: chosen by time, so variable frame rates are right."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from geovr.config import Config


class SamplerConfig(Config):
    """How many frames, spread evenly over the video's time."""

    kind: Literal["fps", "uniform"] = Field(
        "fps", description="fps: so many a second, within bounds; uniform: a fixed number."
    )
    fps: float = Field(2.0, gt=0, description="Frames a second (kind fps).")
    min_frames: int = Field(4, ge=1, description="At least so many (kind fps).")
    max_frames: int = Field(32, ge=1, description="At most so many (kind fps).")
    num_frames: int = Field(32, ge=1, description="Exactly so many (kind uniform).")


def choose_frames(times_N: np.ndarray, duration: float, config: SamplerConfig) -> np.ndarray:
    """Places of the frames to keep, ascending, none twice.

    The wanted times lie evenly between the first and the last frame; each takes the nearest
    frame. A video with fewer frames than wanted gives all of its frames.

    Args:
        times_N: presentation times in seconds, ascending.
        duration: of the video in seconds.
        config: how many.
    """
    if config.kind == "uniform":
        wanted = config.num_frames
    else:
        wanted = round(duration * config.fps)
        wanted = min(max(wanted, config.min_frames), config.max_frames)
    if len(times_N) <= wanted:
        return np.arange(len(times_N))
    targets = np.linspace(times_N[0], times_N[-1], wanted)
    right = np.clip(np.searchsorted(times_N, targets), 1, len(times_N) - 1)
    nearer_left = targets - times_N[right - 1] <= times_N[right] - targets
    return np.unique(np.where(nearer_left, right - 1, right))
