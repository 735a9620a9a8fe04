"""Where something is for a person who stands and faces: object_rel_direction, easy to hard.

The person stands at the centre of one thing and faces the centre of another; the turn to a third
thing's centre is positive to the left. Centres are those of oriented boxes, seen from above.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import atan2, degrees, hypot

from geovr.simulation.rooms.questions.drafting import Choice, Desk
from geovr.simulation.rooms.questions.shown import Shown
from geovr.simulation.rooms.world import FloatArray

MARGIN_DEG = 15.0
LEAST_DISTANCE = 0.8
"""Metres from the person to what is faced or asked for: nearer by, a step changes the answer."""
BACK_DEG = 135.0
SIDES = ("left", "right")
WAYS = ("left", "right", "back")
QUADRANTS = ("front-left", "front-right", "back-left", "back-right")


def turn_to(stand_2: FloatArray, face_2: FloatArray, target_2: FloatArray) -> float:
    """Degrees from the direction faced to the target's, in (-180, 180], positive to the left."""
    ahead, wanted = face_2 - stand_2, target_2 - stand_2
    cross = float(ahead[0] * wanted[1] - ahead[1] * wanted[0])
    return degrees(atan2(cross, float(ahead[0] * wanted[0] + ahead[1] * wanted[1])))


def easy(turn: float) -> str | None:
    """Left or right, None near straight ahead and near behind."""
    if not MARGIN_DEG <= abs(turn) <= 180 - MARGIN_DEG:
        return None
    return "left" if turn > 0 else "right"


def medium(turn: float) -> str | None:
    """Left, right or back, each a quarter of a circle; None for the front and near the borders.

    VSI-Bench says from where on something is at the back (135 degrees) but not until where it is
    in front; what lies less than 45 degrees from straight ahead is not asked, so that an answer
    holds for either reading.
    """
    if abs(turn) >= BACK_DEG + MARGIN_DEG:
        return "back"
    if not 180 - BACK_DEG + MARGIN_DEG <= abs(turn) <= BACK_DEG - MARGIN_DEG:
        return None
    return "left" if turn > 0 else "right"


def hard(turn: float) -> str | None:
    """The quadrant, None near the axes."""
    if not MARGIN_DEG <= abs(turn) % 90 <= 90 - MARGIN_DEG:
        return None
    return ("front" if abs(turn) < 90 else "back") + ("-left" if turn > 0 else "-right")


def ask_directions(shown: Shown, desk: Desk) -> None:
    """All three difficulties."""
    _ask(shown, desk, "easy", easy, SIDES, "is the {c} to the left or the right of the {b}?")
    _ask(
        shown, desk, "medium", medium, WAYS,
        "is the {c} to my left, right, or back? Something is to my back if I would have to turn "
        f"by {BACK_DEG:.0f} degrees or more to face it.",
    )  # fmt: skip
    _ask(
        shown, desk, "hard", hard, QUADRANTS,
        "is the {c} to my front-left, front-right, back-left, or back-right? These are the "
        "quadrants of a plane in which I am at the origin and face along the positive y-axis.",
    )  # fmt: skip


def _ask(
    shown: Shown,
    desk: Desk,
    level: str,
    classify: Callable[[float], str | None],
    answers: tuple[str, ...],
    asked: str,
) -> None:
    kind = f"object_rel_direction_{level}"
    candidates = []
    for a, b, c in permutations(shown.named, 3):
        stand, face, target = (shown.room.things[index].centre_3[:2] for index in (a, b, c))
        if min(hypot(*(face - stand)), hypot(*(target - stand))) < LEAST_DISTANCE:
            desk.refuse(kind, f"nearer than {LEAST_DISTANCE} m to where one stands")
            continue
        right = classify(turn_to(stand, face, target))
        if right is None:
            desk.refuse(kind, "near a border between directions")
            continue
        question = f"If I am standing by the {shown.name(a)} and facing the {shown.name(b)}, "
        question += asked.format(b=shown.name(b), c=shown.name(c))
        candidates.append(Choice(question, right, tuple(w for w in answers if w != right)))
    desk.ask_choices(kind, candidates, [answers])
