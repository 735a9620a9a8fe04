"""Kinds of questions, and which of them a benchmark's mean is taken over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from geovr.evaluation.scorers import DIRECTION, merged_kind

CLIP_LEVEL = ("path_length", "displacement", "farthest_surface", "nearest_surface", "turn")
"""Kinds about the whole clip, which VSI-Bench doesn't have."""
GEOMETRIC = ("room_size_estimation", *CLIP_LEVEL)
"""Kinds that the geometric objectives should move, without reference to an object."""
VSI_BENCH = (
    "object_counting",
    "object_abs_distance",
    "object_size_estimation",
    "room_size_estimation",
    "object_rel_distance",
    DIRECTION,
    "route_planning",
    "obj_appearance_order",
)
"""The eight kinds whose unweighted mean is VSI-Bench's score (arXiv 2412.14171)."""
CONTROL = ("dominant_colour", "category_counting")
"""Kinds that need no geometry; they stand apart from every mean."""


@dataclass(frozen=True)
class Headline:
    """The kinds of a benchmark's mean, directions as one, and what they are called together."""

    kinds: tuple[str, ...]
    name: str


def headline(raw_kinds: Iterable[str]) -> Headline:
    """What the mean of a benchmark is taken over.

    The clip-level kinds mark a benchmark of ours: its mean is that of the geometric kinds. One
    without them is read as VSI-Bench. Kinds of neither count when there is nothing else.

    Args:
        raw_kinds: of the benchmark's questions.
    """
    present = dict.fromkeys(merged_kind(kind) for kind in raw_kinds)
    if any(kind in present for kind in CLIP_LEVEL):
        return Headline(tuple(kind for kind in GEOMETRIC if kind in present), "geometric kinds")
    if any(kind in present for kind in VSI_BENCH):
        return Headline(tuple(kind for kind in VSI_BENCH if kind in present), "VSI-Bench kinds")
    others = tuple(kind for kind in present if kind not in CONTROL)
    return Headline(others or tuple(present), "kinds")


def groups(
    raw_kinds: Sequence[str] | np.ndarray, kinds: Sequence[str]
) -> tuple[list[np.ndarray], list[float]]:
    """A mask over the items for each raw type of some kinds, and each mask's weight.

    A kind counts as much as any other, and its raw types share that, as VSI-Bench's scorer has it:
    the three difficulties of a direction weigh a third each.

    Args:
        raw_kinds: of each item.
        kinds: merged, each with at least one item.

    Returns:
        masks, weights that add up to one.
    """
    raw = np.asarray(raw_kinds)
    masks, weights = [], []
    for kind in kinds:
        types = [r for r in dict.fromkeys(raw.tolist()) if merged_kind(r) == kind]
        masks += [raw == r for r in types]
        weights += [1 / (len(types) * len(kinds))] * len(types)
    return masks, weights
