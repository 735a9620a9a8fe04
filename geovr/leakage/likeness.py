"""Which clips of one set show the same video as a clip of another, by their fingerprints.

Two frames are alike when few of their bits differ; two clips, when enough frames of one have a like
frame in the other. So one video is found in another encoding, size, rate or sampling, and as a part
of a longer one. Rooms that merely resemble each other have no like frames: tests/bench/leakage.py
measures both, and the defaults are chosen by it.

Shape suffixes: N frames of one side, M of the other, W words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from geovr.config import Config
from geovr.data.fingerprint import BITS, words
from geovr.progress import tracked

_BLOCK = 1 << 20
"""Pairs of frames in work at once; what they need stays in the processor's cache."""
_SHOWN = 3
THREADS = 2


class LikenessConfig(Config):
    """When two clips show the same video."""

    bits: int = Field(
        26, ge=0, lt=BITS // 2, description="Of a frame's 128 bits, so many may differ."
    )
    share: float = Field(
        0.25, gt=0, le=1, description="Share of one clip's frames that must be found in the other."
    )
    frames: int = Field(
        3, gt=0, description="So many frames of each clip, at least; all where there are fewer."
    )
    allow: tuple[tuple[str, str], ...] = Field(
        (),
        description="Pairs of clips, [of training, of the benchmark], that were looked at and are"
        " not the same video.",
    )


@dataclass(frozen=True)
class Likeness:
    """Two clips that show the same video, as far as their fingerprints tell.

    Attributes:
        train: clip that is trained on.
        test: clip that is tested on.
        matched: frames of one that are found in the other; of the clip with the larger share.
        of: how many frames of that clip could be compared.
        distance: mean number of bits in which like frames differ.
        is_mirrored: one of them is the other in a mirror.
        frames: places of the most alike frames, (training, benchmark).
    """

    train: str
    test: str
    matched: int
    of: int
    distance: float
    is_mirrored: bool
    frames: tuple[tuple[int, int], ...]

    def told(self) -> str:
        """In words."""
        mirror = ", mirrored" if self.is_mirrored else ""
        return (
            f"{self.matched} of {self.of} frames are alike{mirror}, {self.distance:.1f} of {BITS}"
            " bits apart"
        )


class Fingerprints:
    """Those of many clips, side by side."""

    def __init__(self, clips: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Take clips by name; those without a frame that can be compared are left out."""
        taken = [(name, *words(list(texts))) for name, texts in clips]
        taken = [one for one in taken if len(one[1])]
        self.names = [name for name, _, _ in taken]
        self.counts = np.asarray([len(found) for _, found, _ in taken], dtype=np.int64)
        self.ends = np.cumsum(self.counts)
        self.owners_N = np.repeat(np.arange(len(taken)), self.counts)
        empty = np.zeros((0, BITS // 64), dtype=np.uint64)
        self.words_NW = np.concatenate([found for _, found, _ in taken] or [empty])
        self.places_N = np.concatenate(
            [places for _, _, places in taken] or [np.zeros(0, dtype=np.int64)]
        )

    def blocks(self, most: int) -> Iterator[slice]:
        """Frames of whole clips, about `most` of them at a time."""
        start = 0
        for n, end in enumerate(self.ends):
            following = self.ends[n + 1] if n + 1 < len(self.ends) else None
            if following is None or following - start > most:
                yield slice(start, int(end))
                start = int(end)


def likenesses(
    train: Fingerprints, test: Fingerprints, limits: LikenessConfig, what: str = "leakage"
) -> list[Likeness]:
    """All pairs of a training and a test clip that show the same video, the surest first."""
    if not train.names or not test.names:
        return []
    blocks = list(train.blocks(max(1, _BLOCK // len(test.words_NW))))

    def look(block: slice) -> list[Likeness]:
        return list(_block(train, block, test, limits))

    with ThreadPoolExecutor(THREADS) as pool:
        told = tracked(pool.map(look, blocks), f"{what}: comparing", len(blocks), "blocks")
        best: dict[tuple[str, str], Likeness] = {}
        for one in (found for block in told for found in block):
            pair = (one.train, one.test)
            if pair not in best or _sure(one) > _sure(best[pair]):
                best[pair] = one
    allowed = set(limits.allow)
    kept = [one for pair, one in best.items() if pair not in allowed]
    return sorted(kept, key=lambda one: (*(-x for x in _sure(one)), one.train, one.test))


def _sure(one: Likeness) -> tuple[float, float]:
    return one.matched / one.of, -one.distance


def _block(
    train: Fingerprints, block: slice, test: Fingerprints, limits: LikenessConfig
) -> Iterator[Likeness]:
    ours_NW, half = train.words_NW[block], BITS // 2
    # a pair must be alike in the word that a mirror leaves as it is, which few are
    same_NM = np.bitwise_count(ours_NW[:, 0, None] ^ test.words_NW[None, :, 0])
    ours, theirs = np.nonzero(same_NM <= limits.bits)
    same = same_NM[ours, theirs].astype(np.int64)
    turned = np.bitwise_count(ours_NW[ours, 1] ^ test.words_NW[theirs, 1]).astype(np.int64)
    ours = ours + block.start
    for bits, is_mirrored in ((same + turned, False), (same + half - turned, True)):
        near = np.flatnonzero(bits <= limits.bits)
        pair = train.owners_N[ours[near]] * len(test.names) + test.owners_N[theirs[near]]
        order = near[np.lexsort((bits[near], pair))]
        starts = np.flatnonzero(np.diff(np.sort(pair)))
        for members in np.split(order, starts + 1) if len(order) else ():
            first, second = ours[members], theirs[members]
            found = _judged(train, first, test, second, bits[members], is_mirrored, limits)
            if found is not None:
                yield found


def _judged(
    train: Fingerprints,
    ours: np.ndarray,
    test: Fingerprints,
    theirs: np.ndarray,
    bits: np.ndarray,
    is_mirrored: bool,
    limits: LikenessConfig,
) -> Likeness | None:
    """The like frames of two clips, nearest first, weighed."""
    mine, other = int(train.owners_N[ours[0]]), int(test.owners_N[theirs[0]])
    sides = []
    for frames, total in ((ours, train.counts[mine]), (theirs, test.counts[other])):
        # of each frame its nearest, as the nearest come first
        _, nearest = np.unique(frames, return_index=True)
        if len(nearest) < min(limits.frames, train.counts[mine], test.counts[other]):
            return None
        sides.append((len(nearest) / total, len(nearest), int(total), float(bits[nearest].mean())))
    share, matched, of, distance = max(sides)
    if share < limits.share:
        return None
    _, shown = np.unique(ours, return_index=True)
    shown = np.sort(shown)[:_SHOWN]
    places = zip(train.places_N[ours[shown]], test.places_N[theirs[shown]], strict=True)
    return Likeness(
        train.names[mine], test.names[other], matched, of, distance, is_mirrored,
        tuple((int(a), int(b)) for a, b in places),
    )  # fmt: skip
