"""Pictures for a gate's page: frames of clips that show the same video, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geovr.errors import StoreError

if TYPE_CHECKING:
    from geovr.artifacts import ClipSet
    from geovr.leakage.likeness import Likeness
    from geovr.leakage.overlap import Overlap
    from geovr.leakage.sources import BenchmarkSource

MOST_PAIRS = 12


@dataclass(frozen=True)
class Picture:
    """Images as data URIs, in pairs, and what they show."""

    caption: str
    pairs: tuple[tuple[str, str], ...]


def pictures(
    clips: ClipSet, inside: Overlap, benchmarks: list[tuple[BenchmarkSource, Overlap]]
) -> list[Picture]:
    """Of each pair that was found its most alike frames; of the first pairs only."""
    from geovr.artifacts import ClipSet

    found = [_picture(clips, clips, one) for one in inside.likenesses[:MOST_PAIRS]]
    for source, overlap in benchmarks:
        left = overlap.likenesses[: MOST_PAIRS - len(found)]
        if left and source.clips is not None:
            theirs = ClipSet.load(source.clips)
            found += [_picture(clips, theirs, one) for one in left]
    return found


def _picture(train: ClipSet, test: ClipSet, one: Likeness) -> Picture:
    from geovr.data.clips import read_clip
    from geovr.data.objects import BrokenObject
    from geovr.report.images import photo

    caption = f"{one.train} and {one.test}: {one.told()}"
    frames = []
    try:
        for clips, name in ((train, one.train), (test, one.test)):
            row = next(clips.index[clips.index["clip_id"] == name].itertuples(index=False))
            frames.append(read_clip(clips.store, row).frames_THWC)
    except (StoreError, BrokenObject) as error:
        return Picture(f"{caption} (no pictures: {error})", ())
    return Picture(
        caption, tuple((photo(frames[0][a]), photo(frames[1][b])) for a, b in one.frames)
    )
