"""Between nearest points: object_abs_distance and object_rel_distance."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from geovr.simulation.rooms.questions.drafting import OPTIONS, Choice, Desk
from geovr.simulation.rooms.questions.shown import Shown
from geovr.simulation.rooms.questions.surfaces import Surface, box_gap, surface_distance
from geovr.simulation.rooms.world import FloatArray

LEAST_DISTANCE = 0.3
"""Metres: nearer things touch or all but touch, and one decimal would be a guess."""
LEAST_LEAD, LEAST_LEAD_SHARE = 0.2, 0.2
"""The closest option must lead the second by so many metres, and by this share of its distance."""


def distances(shown: Shown, options: int = OPTIONS) -> FloatArray:
    """Metres between the nearest points of two things, (K, K); NaN where nothing asks for it.

    Questions are about a thing with a name of its own and either another such, or the nearest of a
    group. Of a group those that their boxes show to be no nearer than another are infinitely far.

    Args:
        shown: what the clip shows of the room.
        options: groups that a question chooses among; with fewer no group's distance is asked for.
    """
    asked = [index for group in shown.groups.values() for index in group]
    surfaces = {
        index: Surface.of(shown.room.things[index].vertices_V3, shown.room.things[index].faces_F3)
        for index in asked
    }
    matrix = np.full((len(shown.room.things),) * 2, np.nan)
    for reference in shown.named:
        for group in shown.groups.values():
            if reference in group or (len(group) > 1 and len(shown.groups) <= options):
                continue
            gap = {index: box_gap(surfaces[reference], surfaces[index]) for index in group}
            best = np.inf
            for index in sorted(group, key=lambda index: gap[index]):
                if np.isnan(matrix[reference, index]):
                    first, second = sorted((reference, index), key=asked.index)
                    near = gap[index] < best or len(group) == 1
                    away = surface_distance(surfaces[first], surfaces[second]) if near else np.inf
                    matrix[reference, index] = matrix[index, reference] = away
                best = min(best, matrix[reference, index])
    return matrix


def ask_distances(shown: Shown, desk: Desk, matrix: FloatArray) -> None:
    """Metres between two things."""
    kind = "object_abs_distance"
    candidates = []
    for pair in combinations(shown.named, 2):
        if matrix[pair] < LEAST_DISTANCE:
            desk.refuse(kind, f"nearer than {LEAST_DISTANCE} m")
            continue
        # Named in either order, so that the order tells nothing.
        first, second = (shown.name(int(index)) for index in desk.rng.permutation(pair))
        question = (
            f"Measuring from the closest point of each object, how far apart are the {first} and "
            f"the {second} (in meters)?"
        )
        candidates.append((question, f"{matrix[pair]:.1f}"))
    desk.ask_numbers(kind, candidates)


def ask_closest(shown: Shown, desk: Desk, matrix: FloatArray) -> None:
    """Which of some categories has the thing closest to that of another, which has only one."""
    kind = "object_rel_distance"
    candidates = []
    for reference in shown.named:
        name = shown.name(reference)
        away = {
            category: float(min(matrix[reference, index] for index in group))
            for category, group in shown.groups.items()
            if category != name
        }
        for options in combinations(away, desk.options):
            first, second, *others = sorted(options, key=lambda category: away[category])
            if away[second] - away[first] < max(LEAST_LEAD, LEAST_LEAD_SHARE * away[first]):
                desk.refuse(kind, "two are about as close")
                continue
            listed = ", ".join(str(option) for option in desk.rng.permutation(options))
            question = (
                f"Measuring from the closest point of each object, which of these objects "
                f"({listed}) is the closest to the {name}? Of several objects of a category, the "
                "closest one counts."
            )
            candidates.append(Choice(question, first, (second, *others)))
    desk.ask_choices(kind, candidates)
