"""Questions of all ten raw types of VSI-Bench about a furnished room that a clip shows.

Definitions are the benchmark's, with its sentences told in our own words. A question is asked only
about things that the clip shows clearly and that a name alone tells apart, and only where the
answer is no matter of a hair; what is refused is counted by reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from geovr.simulation.question import Question
from geovr.simulation.rooms.questions.appearance import ask_order
from geovr.simulation.rooms.questions.directions import ask_directions
from geovr.simulation.rooms.questions.distances import ask_closest, ask_distances, distances
from geovr.simulation.rooms.questions.drafting import CAPS, KINDS, OPTIONS, Desk
from geovr.simulation.rooms.questions.measures import ask_counts, ask_room, ask_sizes
from geovr.simulation.rooms.questions.routes import ask_routes
from geovr.simulation.rooms.questions.shown import Shown
from geovr.simulation.rooms.world import FurnishedRoom, Seen

__all__ = ["CAPS", "KINDS", "Asked", "ask"]


@dataclass(frozen=True)
class Asked:
    """Questions about one room, and how many candidates were refused, by kind and reason."""

    questions: tuple[Question, ...]
    refused: dict[str, dict[str, int]]


def ask(
    room: FurnishedRoom,
    seen: Seen,
    rng: np.random.Generator,
    scene_index: int,
    caps: Mapping[str, int] = CAPS,
    options: int = OPTIONS,
    draw_others: bool = False,
) -> Asked:
    """Questions in the order of KINDS.

    Args:
        room: what stands where.
        seen: what the clip shows of it.
        rng: draws among the candidates, and the wrong options.
        scene_index: the scene's number in its split, with which right letters and answers go round.
        caps: most questions of each kind, out of KINDS; a kind without a cap is not looked for
            (the three directions go together).
        options: categories that a question chooses among, or puts in order.
        draw_others: see Desk.
    """
    shown, desk = Shown.of(room, seen), Desk(rng, scene_index, caps, options, draw_others)
    matrix = distances(shown, options)
    families: dict[str, Callable[[], None]] = {
        "object_counting": lambda: ask_counts(shown, desk),
        "object_abs_distance": lambda: ask_distances(shown, desk, matrix),
        "object_size_estimation": lambda: ask_sizes(shown, desk),
        "room_size_estimation": lambda: ask_room(shown, desk),
        "object_rel_distance": lambda: ask_closest(shown, desk, matrix),
        "object_rel_direction_easy": lambda: ask_directions(shown, desk),
        "obj_appearance_order": lambda: ask_order(shown, desk),
        "route_planning": lambda: ask_routes(shown, desk),
    }
    for kind, family in families.items():
        if kind in caps:
            family()
    refused = {
        kind: dict(sorted(desk.refused[kind].items())) for kind in KINDS if kind in desk.refused
    }
    return Asked(tuple(desk.questions), refused)
