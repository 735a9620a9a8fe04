"""Between nearest points: object_abs_distance and object_rel_distance."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from geovr.simulation.rooms.questions.drafting import Choice, Desk
from geovr.simulation.rooms.questions.shown import Shown
from geovr.simulation.rooms.questions.surfaces import Surface, surface_distance
from geovr.simulation.rooms.world import FloatArray

LEAST_DISTANCE = 0.3
"""Metres: nearer things touch or all but touch, and one decimal would be a guess."""
LEAST_LEAD, LEAST_LEAD_SHARE = 0.2, 0.2
"""The closest option must lead the second by so many metres, and by this share of its distance."""
OPTIONS = 4


def distances(shown: Shown) -> FloatArray:
    """Metres between the nearest points of things with a name of their own, in that order."""
    things = [shown.room.things[index] for index in shown.named]
    surfaces = [Surface.of(thing.vertices_V3, thing.faces_F3) for thing in things]
    matrix = np.zeros((len(things), len(things)))
    for i, j in combinations(range(len(things)), 2):
        matrix[i, j] = matrix[j, i] = surface_distance(surfaces[i], surfaces[j])
    return matrix


def ask_distances(shown: Shown, desk: Desk, matrix: FloatArray) -> None:
    """Metres between two things."""
    kind = "object_abs_distance"
    names = [shown.name(index) for index in shown.named]
    candidates = []
    for i, j in combinations(range(len(names)), 2):
        if matrix[i, j] < LEAST_DISTANCE:
            desk.refuse(kind, f"nearer than {LEAST_DISTANCE} m")
            continue
        # Named in either order, so that the order tells nothing.
        first, second = (i, j) if desk.rng.random() < 0.5 else (j, i)
        question = (
            "Measuring from the closest point of each object, how far apart are the "
            f"{names[first]} and the {names[second]} (in meters)?"
        )
        candidates.append((question, f"{matrix[i, j]:.1f}"))
    desk.ask_numbers(kind, candidates)


def ask_closest(shown: Shown, desk: Desk, matrix: FloatArray) -> None:
    """Which of four things is closest to a fifth."""
    kind = "object_rel_distance"
    names = [shown.name(index) for index in shown.named]
    candidates = []
    for reference in range(len(names)):
        others = [index for index in range(len(names)) if index != reference]
        for group in combinations(others, OPTIONS):
            ranked = sorted(group, key=lambda index: matrix[reference, index])
            first, second = (float(matrix[reference, index]) for index in ranked[:2])
            if second - first < max(LEAST_LEAD, LEAST_LEAD_SHARE * first):
                desk.refuse(kind, "two are about as close")
                continue
            shuffled = [names[index] for index in desk.rng.permutation(group)]
            question = (
                "Measuring from the closest point of each object, which of these objects "
                f"({', '.join(shuffled)}) is the closest to the {names[reference]}?"
            )
            wrong = tuple(names[index] for index in ranked[1:])
            candidates.append(Choice(question, names[ranked[0]], wrong))
    desk.ask_choices(kind, candidates)
