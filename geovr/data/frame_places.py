"""Which frames of a video each upstream's own formula chooses, to the last frame.

Three harnesses that all say "32 frames" show different ones, and a score moves with them. Every
function takes the number of a video's frames and gives ascending places from zero; each says whose
code it follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

PlacesName = Literal[
    "linspace_floor", "linspace_round", "uniform_tail", "chunk_center", "inner_steps", "interval",
    "fps_floor", "fps_tail",
]  # fmt: skip


def linspace_floor(total: int, count: int) -> np.ndarray:
    """lmms-eval and with it the official VSI-Bench: evenly from first to last, rounded down.

    A video with fewer frames than asked for gives each once.
    """
    return np.linspace(0, total - 1, min(count, total), dtype=int)


def linspace_round(total: int, count: int) -> np.ndarray:
    """Transformers' Qwen3-VL processor, and so GeoVR: evenly, to the nearest (halves to even).

    A video with fewer frames than asked for gives some several times.
    """
    places: np.ndarray = np.linspace(0, total - 1, count).round().astype(int)
    return places


def uniform_tail(total: int, count: int) -> np.ndarray:
    """VLMEvalKit's default: rounded down, and the last frame added where it is lacking.

    The end of an even spread is the last frame itself, so only `count` of one adds a second.
    """
    places = np.linspace(0, total - 1, count, dtype=int)
    return places if places[-1] == total - 1 else np.append(places, total - 1)


def chunk_center(total: int, count: int) -> np.ndarray:
    """VLMEvalKit: the middle of each of `count` equal parts."""
    size = float(total) / count
    places = [int(size / 2 + np.round(size * number)) for number in range(count)]
    return np.clip(places, 0, total - 1)


def inner_steps(total: int, count: int) -> np.ndarray:
    """VLMEvalKit's ReVSI: evenly inside, neither the first nor the last frame."""
    step = total / (count + 1)
    return np.asarray([int(number * step) for number in range(1, count + 1)])


def interval(total: int, count: int) -> np.ndarray:
    """STI-Bench's openai_test.py: every n-th frame from the first, at most `count` of them.

    The step is rounded down, so that of a long video the end may never be seen.
    """
    return np.arange(0, total, max(1, total // count))[:count]


def by_fps(total: int, video_fps: float, fps: float, *, tail: bool) -> np.ndarray:
    """VLMEvalKit: so many frames a second, rounded down; with `tail` the last frame as well."""
    step = video_fps / fps
    places = np.asarray([int(number * step) for number in range(int(total / video_fps * fps))], int)
    if tail and (not len(places) or places[-1] != total - 1):
        places = np.append(places, total - 1)
    return places


BY_RATE = ("fps_floor", "fps_tail")
"""Samplers that want a rate; the others want a number of frames."""

_BY_COUNT: dict[str, Callable[[int, int], np.ndarray]] = {
    "linspace_floor": linspace_floor,
    "linspace_round": linspace_round,
    "uniform_tail": uniform_tail,
    "chunk_center": chunk_center,
    "inner_steps": inner_steps,
    "interval": interval,
}


def frame_places(
    sampler: PlacesName,
    total: int,
    *,
    count: int | None = None,
    video_fps: float | None = None,
    fps: float | None = None,
) -> np.ndarray:
    """The frames that a sampler chooses.

    Args:
        sampler: by name.
        total: frames of the video.
        count: wanted, for samplers by number.
        video_fps: of the video, for samplers by rate.
        fps: wanted, for samplers by rate.

    Raises:
        ValueError: when the sampler lacks what it needs, or the video has no frame.
    """
    if total < 1:
        raise ValueError(f"{sampler}: the video has no frame")
    if sampler in BY_RATE:
        if not video_fps or not fps:
            raise ValueError(f"{sampler} needs the video's rate and the one that is wanted")
        return by_fps(total, video_fps, fps, tail=sampler == "fps_tail")
    if sampler not in _BY_COUNT or not count:
        raise ValueError(f"{sampler}: no sampler by number of frames, or no number given")
    return _BY_COUNT[sampler](total, count)
