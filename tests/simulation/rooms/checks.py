"""Every kind's answer computed a second time, by other means than the questions were.

A check takes a world and one of its questions and asserts the answer and that no other option is
right: from points sown over surfaces, from pixels, from a raster of the floor, by walking routes
in complex numbers, by signs of products instead of angles.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import combinations, pairwise

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from geovr.simulation.question import Question
from tests.simulation.rooms.worlds import Case

CLEAR = 0.003
"""Share of a frame's pixels from which on a thing is clear in it."""
SPACING = 0.05
"""Metres between sown points."""
Legs = list[tuple[complex, complex, bool]]
"""For every leg: where the robot looked, where it then went, and whether a turn is asked for."""


def only_right(question: Question, is_right: Callable[[str], bool]) -> None:
    """The answer's text is right, and no other option is; letters are A, B, and so on."""
    options = dict(option.split(". ", 1) for option in question.options or ())
    assert list(options) == list("ABCD"[: len(options)]) and len(options) >= 2
    assert len(set(options.values())) == len(options)
    assert [letter for letter, text in options.items() if is_right(text)] == [question.answer]


def groups(pattern: str, question: Question) -> tuple[str, ...]:
    found = re.search(pattern, question.question)
    assert found is not None, question.question
    return found.groups()


def check_count(world: Case, question: Question) -> None:
    """Instances that fill enough pixels of some frame."""
    (category,) = groups(r"^How many (.+)\(s\) are in this room\?$", question)
    most = np.zeros(256)
    for frame in world.seen.instance_NHW:
        numbers, pixels = np.unique(frame, return_counts=True)
        most[numbers] = np.maximum(most[numbers], pixels)
    shown = [
        number
        for number, thing in enumerate(world.room.things, start=1)
        if thing.category == category and most[number] >= CLEAR * frame.size
    ]
    assert int(question.answer) == len(shown) >= 2


def check_size(world: Case, question: Question) -> None:
    """The vertices' extent along the thing's own axes, in whole centimetres."""
    (name,) = groups(r"\) of the (.+), measured in centimeters", question)
    thing = world.thing(name)
    own = (thing.vertices_V3[:, 0] + 1j * thing.vertices_V3[:, 1]) * np.exp(-1j * thing.yaw)
    sides = [np.ptp(own.real), np.ptp(own.imag), np.ptp(thing.vertices_V3[:, 2])]
    assert re.fullmatch(r"\d+", question.answer)
    assert abs(int(question.answer) - 100 * max(sides)) <= 0.501


def raster_area(floor_P2: np.ndarray, step: float) -> float:
    """Cells whose middle is in the polygon: the corners' angles around it add up to a turn."""
    low, high = floor_P2.min(axis=0), floor_P2.max(axis=0)
    x, y = np.meshgrid(*(np.arange(a + step / 2, b, step) for a, b in zip(low, high, strict=True)))
    corners = (floor_P2[:, 0] + 1j * floor_P2[:, 1])[:, None]
    rays = corners - (x + 1j * y).ravel()
    winding = np.angle(np.roll(rays, -1, axis=0) / rays).sum(axis=0)
    return float((np.abs(winding) > np.pi).sum()) * step**2


def check_room(world: Case, question: Question) -> None:
    assert re.fullmatch(r"\d+\.\d", question.answer)
    area = raster_area(world.room.floor_P2, step=0.05)
    assert abs(float(question.answer) - area) <= 0.05 + 0.02 * area


def sown(vertices: np.ndarray, faces: np.ndarray, spacing: float) -> np.ndarray:
    """Points on every triangle, so that none of its points is farther than spacing from one."""
    points = []
    for corners in vertices[faces]:
        longest = max(np.linalg.norm(b - a) for a, b in pairwise([*corners, corners[0]]))
        steps = max(int(np.ceil(longest / spacing)), 1)
        i, j = np.mgrid[: steps + 1, : steps + 1]
        keep = i + j <= steps
        weights = np.stack([i[keep], j[keep], steps - i[keep] - j[keep]], axis=1) / steps
        points.append(weights @ corners)
    return np.concatenate(points)


@cache
def points_of(world: Case, number: int) -> np.ndarray:
    thing = world.room.things[number]
    return sown(thing.vertices_V3, thing.faces_F3, SPACING)


def apart(world: Case, only: str, other: str) -> float:
    """Metres between the only thing of one name and any of the other.

    Never below the true distance, and at most 2 SPACING above it.
    """
    numbers: dict[str, list[int]] = {only: [], other: []}
    for number, thing in enumerate(world.room.things):
        if thing.category in numbers:
            numbers[thing.category].append(number)
    (single,) = numbers[only]
    tree = cKDTree(points_of(world, single))
    return min(float(tree.query(points_of(world, n))[0].min()) for n in numbers[other])


DISTANCE = r"how far apart are the (.+) and the (.+) \(in meters\)\?"


def check_distance(world: Case, question: Question) -> None:
    first, second = groups(DISTANCE, question)
    world.thing(second)
    sampled = apart(world, first, second)
    assert re.fullmatch(r"\d+\.\d", question.answer) and sampled >= 0.3
    assert sampled - 2 * SPACING - 0.0501 <= float(question.answer) <= sampled + 0.0501


def check_closest(world: Case, question: Question) -> None:
    listed, reference = groups(r"these objects \((.+)\) is the closest to the (.+?)\?", question)
    away = {name: apart(world, reference, name) for name in listed.split(", ")}
    nearest, second = sorted(away.values())[:2]
    assert second - nearest > 0.2 - 2 * SPACING
    assert sorted(option.split(". ")[1] for option in question.options or ()) == sorted(away)
    only_right(question, lambda text: away[text] == nearest)


STANDING = r"If I am standing by the (.+) and facing the (.+), is the (.+?) to "


def check_direction(world: Case, question: Question) -> None:
    """By signs, for who looks along the positive real axis: left is positive imaginary."""
    stand, face, target = (world.middle(name) for name in groups(STANDING, question))
    seen = (target - stand) / (face - stand)
    ahead, left = seen.real, seen.imag
    aside = abs(left) > abs(ahead)
    level = question.kind.rsplit("_", 1)[1]
    right = {
        "easy": {"left": left > 0, "right": left < 0},
        "medium": {
            "left": aside and left > 0,
            "right": aside and left < 0,
            "back": not aside and ahead < 0,
        },
        "hard": {
            "front-left": ahead > 0 and left > 0,
            "front-right": ahead > 0 and left < 0,
            "back-left": ahead < 0 and left > 0,
            "back-right": ahead < 0 and left < 0,
        },
    }[level]
    only_right(question, right.__getitem__)
    assert len(question.options or ()) == len(right)
    borders = {
        "easy": (1, -1),
        "medium": (1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j),
        "hard": (1, 1j, -1, -1j),
    }
    for border in borders[level]:  # sin 15 degrees is 0.2588
        along = seen / border
        assert along.real < 0 or abs(along.imag) > 0.2587 * abs(along)


def first_frame(world: Case, category: str, least: float) -> int:
    numbers = [k for k, thing in enumerate(world.room.things, 1) if thing.category == category]
    for index, frame in enumerate(world.seen.instance_NHW):
        if any(int((frame == number).sum()) >= least for number in numbers):
            return index
    raise AssertionError(f"{category} never appears")


def check_order(world: Case, question: Question) -> None:
    least = CLEAR * world.seen.instance_NHW[0].size
    listed = groups(r"in the video: (.+)\?", question)[0].split(", ")
    assert len(listed) == len(question.options or ()) >= 2
    frame = {name: first_frame(world, name, least) for name in listed}
    glimpse = {name: first_frame(world, name, least / 4) for name in listed}
    for pair in combinations(listed, 2):
        first, second = sorted(pair, key=frame.__getitem__)
        assert frame[first] < glimpse[second]

    def is_right(text: str) -> bool:
        order = [frame[name] for name in text.split(", ")]
        return order == sorted(order) and len(order) == len(listed)

    only_right(question, is_right)


@cache
def outline(world: Case, number: int) -> tuple[np.ndarray, cKDTree]:
    """A thing's convex hull seen from above: half-planes, and points sown along its border."""
    points = world.room.things[number].vertices_V3[:, :2]
    hull = ConvexHull(points)
    corners = points[hull.vertices]
    shares = np.linspace(0, 1, 200)[:, None]
    sides = zip(corners, np.roll(corners, -1, axis=0), strict=True)
    return hull.equations, cKDTree(np.concatenate([a + shares * (b - a) for a, b in sides]))


def away(world: Case, number: int, points: np.ndarray) -> np.ndarray:
    """Metres from points of the floor to a thing's outline, 0 inside."""
    planes, border = outline(world, number)
    plane = np.stack([points.real, points.imag], axis=1)
    outside = (plane @ planes[:, :2].T + planes[:, 2]).max(axis=1) > 0
    return np.where(outside, border.query(plane)[0], 0.0)


def from_walls(floor_P2: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Metres to the nearest wall, negative outside."""
    corners = (floor_P2[:, 0] + 1j * floor_P2[:, 1])[:, None]
    ends = np.roll(corners, -1, axis=0)
    length = np.abs(ends - corners)
    own = (points - corners) / (ends - corners) * length
    past = np.maximum(np.maximum(-own.real, own.real - length), 0)
    turns = np.angle((ends - points) / (corners - points)).sum(axis=0)
    return np.hypot(past, own.imag).min(axis=0) * np.where(turns > np.pi, 1, -1)


ROUTE = r"begins at the (.+), facing the (.+), and wants to navigate to the (.+?)\. You"


def parse(question: Question) -> tuple[str, str, list[tuple[bool, str]]]:
    """Start, faced thing, and for every stop whether a turn comes before it."""
    start, facing, end = groups(ROUTE, question)
    actions = re.findall(r"\d\. (.+?)\.(?= )", question.question.split("turn right'): ")[1])
    legs, blank = [], False
    for action in actions:
        if action == "[please fill in]":
            blank = True
        else:
            legs.append((blank, action.removeprefix("Go forward until the ")))
            blank = False
    assert legs[-1][1] == end
    return start, facing, legs


def walk(world: Case, question: Question) -> Legs:
    """In steps of a centimetre, which keep clear of walls and of things in the way."""
    start, facing, legs = parse(question)
    number = {thing.category: index for index, thing in enumerate(world.room.things)}
    in_the_way = [
        index
        for index, thing in enumerate(world.room.things)
        if thing.vertices_V3[:, 2].max() > 0.05 and thing.vertices_V3[:, 2].min() < 0.6
    ]
    at, heading = world.middle(start), world.middle(facing) - world.middle(start)
    heading /= abs(heading)
    steps = 0.01 * np.arange(1500)
    at += heading * steps[(away(world, number[start], at + heading * steps) >= 0.35).argmax()]
    walked = []
    for blank, stop in legs:
        direction = world.middle(stop) - at
        direction /= abs(direction)
        walked.append((heading, direction, blank))
        ahead = at + direction * steps
        ahead = ahead[: (away(world, number[stop], ahead) < 0.35).argmax()]
        assert from_walls(world.room.floor_P2, ahead).min() > 0.2
        assert min(away(world, index, ahead).min() for index in in_the_way) > 0.2
        at, heading = ahead[-1], direction
    return walked


def pictured(world: Case, question: Question) -> Legs:
    """The same between the middles of the things."""
    start, facing, legs = parse(question)
    at, heading = world.middle(start), world.middle(facing) - world.middle(start)
    found = []
    for blank, stop in legs:
        found.append((heading, world.middle(stop) - at, blank))
        at, heading = world.middle(stop), world.middle(stop) - at
    return found


QUARTERS = {"Turn Left": 1j, "Turn Right": -1j, "Turn Back": -1}


def leads_there(legs: Legs, text: str) -> bool:
    """Whether each turn brings the next stop to less than 45 degrees from straight ahead."""
    turns = iter(text.split(", "))
    for heading, direction, blank in legs:
        ahead = direction / (heading * QUARTERS[next(turns)] if blank else heading)
        if ahead.real <= abs(ahead.imag):
            return False
    assert next(turns, None) is None
    return True


def check_route(world: Case, question: Question) -> None:
    for legs in (walk(world, question), pictured(world, question)):
        only_right(question, lambda text, legs=legs: leads_there(legs, text))
        for heading, direction, blank in legs:
            ahead = direction / heading
            # How far from a diagonal: 13 degrees, whose sine is 0.225.
            off = min(abs((ahead / diagonal).imag) for diagonal in (1 + 1j, 1 - 1j)) * np.sqrt(2)
            assert not blank or off > 0.225 * abs(ahead)


CHECKS: dict[str, Callable[[Case, Question], None]] = {
    "object_counting": check_count,
    "object_abs_distance": check_distance,
    "object_size_estimation": check_size,
    "room_size_estimation": check_room,
    "object_rel_distance": check_closest,
    "object_rel_direction_easy": check_direction,
    "object_rel_direction_medium": check_direction,
    "object_rel_direction_hard": check_direction,
    "obj_appearance_order": check_order,
    "route_planning": check_route,
}
