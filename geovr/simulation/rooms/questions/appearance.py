"""What a clip shows first: obj_appearance_order.

A category appears in the first frame in which one of its things fills enough pixels. Between the
first glimpse of a thing and that frame one may argue, so what comes next must not be glimpsed
before. Legend: N frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise, permutations

from geovr.simulation.rooms.questions.drafting import Choice, Desk
from geovr.simulation.rooms.questions.shown import Shown

GLIMPSE_SHARE = 0.25
"""Share of the pixels of an appearance from which on a category may have been noticed."""
LEAST_GAP = 1
"""Frames from one category's appearance to the next one's first glimpse."""


@dataclass(frozen=True)
class Appearance:
    """When a category is first glimpsed and when it has appeared, as frames' numbers."""

    category: str
    glimpse: int
    appeared: int


def appearances(shown: Shown) -> list[Appearance]:
    """Of all categories of which the clip shows some thing clearly, in order of appearance."""
    found = []
    for category in sorted(shown.instances):
        things = [i for i, thing in enumerate(shown.room.things) if thing.category == category]
        if not any(shown.clear_K[index] for index in things):
            continue
        most_N = shown.pixels_NK[:, things].max(axis=1)
        glimpse = int((most_N >= GLIMPSE_SHARE * shown.least_pixels).argmax())
        found.append(Appearance(category, glimpse, int((most_N >= shown.least_pixels).argmax())))
    return sorted(found, key=lambda appearance: appearance.appeared)


def ask_order(shown: Shown, desk: Desk) -> None:
    """The order of some categories; the wrong options are drawn from all other orders."""
    kind = "obj_appearance_order"
    candidates = []
    for group in combinations(appearances(shown), desk.options):
        if any(after.glimpse - before.appeared < LEAST_GAP for before, after in pairwise(group)):
            desk.refuse(kind, "two appear at about the same time")
            continue
        right = tuple(appearance.category for appearance in group)
        others = [order for order in permutations(right) if order != right]
        wrong = [others[i] for i in desk.rng.choice(len(others), desk.options - 1, replace=False)]
        listed = ", ".join(str(name) for name in desk.rng.permutation(sorted(right)))
        question = f"In which order do these categories first appear in the video: {listed}?"
        candidates.append(
            Choice(question, ", ".join(right), tuple(", ".join(order) for order in wrong))
        )
    desk.ask_choices(kind, candidates)
