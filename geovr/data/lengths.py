"""Sample lengths, known before any frame is read: what is too long is refused or shortened.

A sample is a prefix, one question with its answer, and the camera and scale tokens; packing
questions into one row makes no sample longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from geovr.data.dataset import BatchMaker, medium_kind
from geovr.data.input import InputConfig
from geovr.data.order import RowSpec
from geovr.data.samples import medium_of
from geovr.errors import UserError
from geovr.progress import tracked


def frames_to_keep(
    maker: BatchMaker, by_clip: Mapping[str, Sequence[int]], config: InputConfig
) -> dict[str, np.ndarray]:
    """Clip -> places of the frames that fit, for each clip of which not all frames do.

    Fewer frames are spread evenly over the clip and keep its first one, which is the world of
    its poses; fewer frames may be shown larger, as the pixel budget is the video's.

    Args:
        maker: whose questions, tokens and camera and scale tokens count.
        by_clip: clip -> places of its questions.
        config: the limit, and what to do about it.

    Raises:
        UserError: naming the clips that are too long, when they are refused, or when one frame
            is too long already.
    """
    if config.max_tokens is None:
        return {}
    longest = _longest_branches(maker, by_clip)
    kept, refused = {}, []
    for clip_id in sorted(by_clip):
        row = maker.clip_rows[clip_id]
        frames = int(row.num_frames)
        fitting = frames
        length = first = sample_length(maker, row, np.arange(frames)) + longest[clip_id]
        while length > config.max_tokens and fitting > 1 and config.over_length == "drop_frames":
            fitting = min(fitting - 1, max(1, fitting * config.max_tokens // length))
            chosen = _spread(frames, fitting)
            length = sample_length(maker, row, chosen) + longest[clip_id]
        if length > config.max_tokens:
            refused.append(f"{clip_id} ({first} tokens, {frames} frames)")
        elif fitting < frames:
            kept[clip_id] = _spread(frames, fitting)
    if refused:
        remedy = (
            "shorten the question, or lower input.max_pixels"
            if config.over_length == "drop_frames"
            else "lower ingest.sampler.max_frames or input.max_pixels, or set input.over_length:"
            " drop_frames"
        )
        raise UserError(
            f"{len(refused)} of {len(by_clip)} clips are longer than input.max_tokens"
            f" {config.max_tokens}: {', '.join(refused[:5])}{' ..' if refused[5:] else ''};"
            f" raise it, {remedy}"
        )
    return kept


class RowLengths:
    """Tokens of rows, without reading a frame.

    Args:
        maker: whose clips, with the frames it keeps, and questions count.
        by_clip: clip -> places of its questions.
    """

    def __init__(self, maker: BatchMaker, by_clip: Mapping[str, Sequence[int]]) -> None:
        self.prefixes: dict[str, int] = {}
        self.branches = np.zeros(len(maker.questions), dtype=np.int32)
        counting = tracked(by_clip.items(), "counting tokens", len(by_clip), "clips")
        for clip_id, places in counting:
            row = maker.clip_rows[clip_id]
            kept = maker.kept_frames.get(clip_id, np.arange(int(row.num_frames)))
            self.prefixes[clip_id] = sample_length(maker, row, kept)
            for place in places:
                self.branches[place] = maker.branch_length(place)

    def of(self, row: RowSpec) -> int:
        """Tokens of a row."""
        return self.prefixes[row.clip_id] + int(self.branches[list(row.questions)].sum())

    def means(self) -> tuple[float, float]:
        """Of a clip's prefix and of a question with its answer."""
        asked = self.branches[self.branches > 0]
        return float(np.mean(list(self.prefixes.values()))), float(asked.mean())


def sample_length(maker: BatchMaker, row: Any, frames: np.ndarray) -> int:
    """Tokens of a clip's prefix and of its camera and scale tokens, when `frames` are shown."""
    kind = medium_kind(row)
    size = maker.geometry.resized(kind, len(frames), int(row.height), int(row.width))
    times = np.asarray(row.timestamps, dtype=np.float64)[frames]
    medium = medium_of(kind, times, size, maker.geometry)
    extra = maker.camera * len(medium.timestamps_T) + maker.scale if kind == "video" else 0
    return maker.tokens.prefix_length([medium]) + extra


def _spread(frames: int, kept: int) -> np.ndarray:
    return np.unique(np.linspace(0, frames - 1, kept).round().astype(np.int64))


def _longest_branches(maker: BatchMaker, by_clip: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Tokens of each clip's longest question with its answer."""
    reading = tracked(by_clip.items(), "reading questions", len(by_clip), "clips")
    return {clip_id: max(map(maker.branch_length, places)) for clip_id, places in reading}
