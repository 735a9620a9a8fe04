"""Questions about a rendered walk, answered from its ground truth.

A question whose answer hangs on a hair (a turn near the bracket's edge, a piece of which three
pixels are seen) is left out rather than answered wrongly.
Legend: N frames, H W pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geovr.simulation.furniture import COLOURS
from geovr.simulation.question import LETTERS, Question
from geovr.simulation.room import Room, piece_colour

FloatArray = npt.NDArray[np.float64]

KINDS = (
    "object_counting",
    "room_size_estimation",
    "path_length",
    "displacement",
    "farthest_surface",
    "nearest_surface",
    "turn",
    "dominant_colour",
)
TURN_DEG, TURN_MARGIN_DEG = 150, 12.0
TURN_OPTIONS = (
    f"left, over {TURN_DEG} degrees",
    f"left, under {TURN_DEG} degrees",
    f"right, under {TURN_DEG} degrees",
    f"right, over {TURN_DEG} degrees",
)
VISIBLE_SHARE = 0.003
"""A piece counts as clearly visible when it covers this share of some frame's pixels."""
MOST_COUNTED = 4
SMALLEST_DISPLACEMENT_M = 0.5
EXTREME_SHARE, EXTREME_TOLERANCE = 0.0005, 0.10
DOMINANT_MARGIN, DOMINANT_SHARE = 1.2, 0.01

# A colour always has the same letter, and the other three options are drawn from the colours of
# the other letters: the letters come out balanced, the question's text tells nothing about the
# answer, and a model too small to read its options can still learn what this control measures.
COLOUR_LETTER: dict[str, str] = {
    "red": "A",
    "orange": "A",
    "yellow": "B",
    "pink": "B",
    "blue": "C",
    "purple": "C",
    "green": "D",
    "cyan": "D",
}


@dataclass(frozen=True)
class Truth:
    """What the answers are computed from; metres, OpenCV camera-from-world poses."""

    room: Room
    camera_from_world_N44: FloatArray
    depth_NHW: npt.NDArray[np.float32]
    instance_NHW: npt.NDArray[np.uint8]


def _positions(camera_from_world_N44: FloatArray) -> FloatArray:
    rotation_N33 = camera_from_world_N44[:, :3, :3]
    centre_N3: FloatArray = -(rotation_N33 * camera_from_world_N44[:, :3, 3, None]).sum(axis=1)
    return centre_N3


def total_turn(camera_from_world_N44: FloatArray) -> float:
    """Sum of the signed heading changes between frames, degrees; positive is to the left.

    The heading is the viewing direction on the floor; a step is taken as less than half a turn.
    """
    forward_N3 = camera_from_world_N44[:, 2, :3]
    heading_N = np.arctan2(forward_N3[:, 1], forward_N3[:, 0])
    step = np.diff(heading_N)
    return float(np.degrees(((step + np.pi) % (2 * np.pi) - np.pi).sum()))


def hidden_categories(
    categories: Sequence[str], instance_NHW: npt.NDArray[np.uint8]
) -> frozenset[str]:
    """Categories of which some piece is never clearly visible.

    Args:
        categories: of the pieces, in the order of their instance ids.
        instance_NHW: 0 is the room, k is the piece k - 1.
    """
    most_seen = np.array(
        [np.bincount(frame.ravel(), minlength=len(categories) + 1) for frame in instance_NHW]
    ).max(axis=0)
    clear = most_seen[1:] >= VISIBLE_SHARE * instance_NHW[0].size
    return frozenset(c for c, seen in zip(categories, clear, strict=True) if not seen)


def _object_counting(truth: Truth, rng: np.random.Generator) -> Question | None:
    categories = [piece.category for piece in truth.room.pieces]
    counts = Counter(categories)
    hidden = hidden_categories(categories, truth.instance_NHW)
    by_count: dict[int, list[str]] = {}
    for category, count in sorted(counts.items()):
        if category not in hidden and count <= MOST_COUNTED:
            by_count.setdefault(count, []).append(category)
    if not by_count:
        return None
    # High counts are rarer among the categories, so a count is drawn first, then a category.
    count = int(rng.choice(sorted(by_count)))
    category = str(rng.choice(by_count[count]))
    question = f"How many {category}(s) are in this room?"
    return Question("object_counting", question, None, str(count))


def _room_size(truth: Truth) -> Question:
    question = "What is the size of this room (in square meters)?"
    area = truth.room.width * truth.room.depth
    return Question("room_size_estimation", question, None, f"{area:.1f}")


def _path_length(position_N3: FloatArray) -> Question:
    length = float(np.linalg.norm(np.diff(position_N3, axis=0), axis=1).sum())
    question = "How long is the camera's path, summed from frame to frame (in meters)?"
    return Question("path_length", question, None, f"{length:.2f}")


def _displacement(position_N3: FloatArray) -> Question | None:
    distance = float(np.linalg.norm(position_N3[-1] - position_N3[0]))
    if distance < SMALLEST_DISPLACEMENT_M:
        return None
    question = "How far is the camera's last position from its first (in meters)?"
    return Question("displacement", question, None, f"{distance:.2f}")


def _extreme(depth_NHW: npt.NDArray[np.float32], farthest: bool) -> Question | None:
    value = float(depth_NHW.max() if farthest else depth_NHW.min())
    share = 1.0 - EXTREME_SHARE if farthest else EXTREME_SHARE
    # A surface of which hardly a pixel is seen is not one that a viewer can be asked about.
    if abs(float(np.quantile(depth_NHW, share)) - value) > EXTREME_TOLERANCE * value:
        return None
    word = "farthest" if farthest else "nearest"
    question = f"How far along the view is the {word} visible surface (in meters)?"
    return Question(f"{word}_surface", question, None, f"{value:.2f}")


def _turn(truth: Truth) -> Question | None:
    turn = total_turn(truth.camera_from_world_N44)
    if abs(abs(turn) - TURN_DEG) < TURN_MARGIN_DEG or abs(turn) < TURN_MARGIN_DEG:
        return None
    large = abs(turn) > TURN_DEG
    index = (0 if large else 1) if turn > 0 else (3 if large else 2)
    question = "How does the camera turn in all, left against right?"
    options = tuple(f"{a}. {text}" for a, text in zip(LETTERS, TURN_OPTIONS, strict=True))
    return Question("turn", question, options, LETTERS[index])


def _dominant_colour(truth: Truth, rng: np.random.Generator) -> Question | None:
    pixels = np.bincount(truth.instance_NHW.ravel(), minlength=len(truth.room.pieces) + 1)
    cover: Counter[str] = Counter()
    for index, piece in enumerate(truth.room.pieces):
        cover[piece_colour(piece)] += int(pixels[index + 1])
    ranked = cover.most_common()
    if not ranked or ranked[0][1] < DOMINANT_SHARE * truth.instance_NHW.size:
        return None
    if len(ranked) > 1 and ranked[0][1] < DOMINANT_MARGIN * ranked[1][1]:
        return None
    winner = ranked[0][0]
    names = []
    for letter in LETTERS:
        colours = [colour for colour in COLOURS if COLOUR_LETTER[colour] == letter]
        names.append(winner if winner in colours else str(rng.choice(colours)))
    question = "Which furniture colour covers most of the video?"
    options = tuple(f"{a}. {name}" for a, name in zip(LETTERS, names, strict=True))
    return Question("dominant_colour", question, options, COLOUR_LETTER[winner])


def ask(truth: Truth, rng: np.random.Generator) -> tuple[Question, ...]:
    """At most one question of each kind, in the order of KINDS, without the ambiguous ones."""
    position_N3 = _positions(truth.camera_from_world_N44)
    found = (
        _object_counting(truth, rng),
        _room_size(truth),
        _path_length(position_N3),
        _displacement(position_N3),
        _extreme(truth.depth_NHW, farthest=True),
        _extreme(truth.depth_NHW, farthest=False),
        _turn(truth),
        _dominant_colour(truth, rng),
    )
    return tuple(question for question in found if question is not None)
