"""What holds for all kinds: turned and mirrored worlds, letters, the blind solver, nothing lost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import product
from math import comb, perm

import numpy as np
import pytest

from geovr.simulation.blind import blind_share
from geovr.simulation.question import Question
from geovr.simulation.rooms.questions import KINDS, ask, drafting
from geovr.simulation.rooms.questions.appearance import ask_order
from geovr.simulation.rooms.questions.directions import ask_directions
from geovr.simulation.rooms.questions.distances import ask_closest, ask_distances, distances
from geovr.simulation.rooms.questions.drafting import Desk
from geovr.simulation.rooms.questions.routes import ask_routes
from geovr.simulation.rooms.questions.shown import Shown
from geovr.simulation.rooms.world import FurnishedRoom, Seen
from tests.simulation.rooms.worlds import cases, mirrored, rotated, texts


def asked(room: FurnishedRoom, seen: Seen, index: int) -> tuple[Question, ...]:
    return ask(room, seen, np.random.default_rng([7, index]), index).questions


@pytest.mark.parametrize("index", [1, 2, 3])
def test_turning_the_world_changes_nothing(index: int) -> None:
    world = cases()[index]
    for angle in (0.4, np.pi / 2, 3.0):
        assert asked(*rotated(world.room, world.seen, angle), index) == world.asked.questions


def everything(
    family: Callable[[Shown, Desk], None], room: FurnishedRoom, seen: Seen
) -> dict[str, str]:
    """Question to answer, as text, of all candidates of a family."""
    desk = Desk(np.random.default_rng(0), 0)
    family(Shown.of(room, seen), desk)
    return {q.question: texts(q)[q.answer] if q.options else q.answer for q in desk.questions}


def _distances(shown: Shown, desk: Desk) -> None:
    ask_distances(shown, desk, distances(shown))


def _closest(shown: Shown, desk: Desk) -> None:
    ask_closest(shown, desk, distances(shown))


def swapped(answer: str) -> str:
    sides = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return re.sub(r"[A-Za-z]+", lambda word: sides.get(word[0], word[0]), answer)


@pytest.mark.parametrize(
    "family", [ask_directions, ask_routes, ask_order, _distances, _closest],
    ids=["directions", "routes", "order", "distances", "closest"],
)  # fmt: skip
@pytest.mark.parametrize("index", [0, 4])
def test_in_a_mirror_left_is_right_and_all_else_stays(
    family: Callable[[Shown, Desk], None], index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in KINDS:
        monkeypatch.setitem(drafting.CAPS, kind, 10**6)
    world = cases()[index]
    here = everything(family, world.room, world.seen)
    there = everything(family, *mirrored(world.room, world.seen))
    assert here
    assert there == {question: swapped(answer) for question, answer in here.items()}


def test_every_candidate_is_asked_or_counted_as_refused() -> None:
    for world in cases():
        shown = Shown.of(world.room, world.seen)
        named, things = len(shown.named), len(world.room.things)
        candidates = {
            "object_counting": len(shown.instances),
            "object_abs_distance": comb(named, 2),
            "object_size_estimation": things,
            "room_size_estimation": 1,
            "object_rel_distance": named * comb(len(shown.groups) - 1, 4),
            **{
                f"object_rel_direction_{level}": perm(named, 3)
                for level in ("easy", "medium", "hard")
            },
        }
        kinds = Counter(question.kind for question in world.asked.questions)
        for kind, count in candidates.items():
            refused = sum(world.asked.refused.get(kind, {}).values())
            assert kinds[kind] + refused == count, kind


def test_letters_are_balanced() -> None:
    by_kind: dict[tuple[str, int], Counter[str]] = {}
    for world in cases():
        for question in world.asked.questions:
            if question.options:
                key = (question.kind, len(question.options))
                by_kind.setdefault(key, Counter())[question.answer] += 1
    assert len(by_kind) >= 6
    for (kind, options), letters in by_kind.items():
        share = sum(letters.values()) / options
        assert max(letters.values()) <= share * 1.35 + 2, (kind, letters)


def test_directions_are_balanced_as_texts_too() -> None:
    for level, size in (("easy", 2), ("medium", 3), ("hard", 4)):
        right = Counter(
            texts(question)[question.answer]
            for world in cases()
            for question in world.of_kind(f"object_rel_direction_{level}")
        )
        assert len(right) == size and max(right.values()) <= 1.2 * sum(right.values()) / size + 1


def test_a_blind_solver_stays_near_chance() -> None:
    blind = blind_share([question for world in cases() for question in world.asked.questions])
    assert blind is not None and blind.questions >= 350
    assert 0.28 < blind.chance < 0.35
    assert blind.share <= blind.chance + 0.05


def made_up(kind: str, right: str, options: list[str], letter: int) -> Question:
    others = [text for text in options if text != right]
    others.insert(letter, right)
    lettered = tuple(f"{a}. {text}" for a, text in zip("ABCD", others, strict=False))
    return Question(kind, "?", lettered, "ABCD"[letter])


def test_the_blind_solver_finds_letters_and_texts_that_give_the_answer_away() -> None:
    names = ["sofa", "lamp", "bed", "desk"]
    by_letter = [made_up("k", names[i % 4], names, 2) for i in range(40)]
    by_text = [made_up("k", "sofa", names, i % 4) for i in range(40)]
    neither = [made_up("k", a, names, b) for a, b in product(names, range(4)) for _ in range(4)]
    for given_away in (by_letter, by_text):
        blind = blind_share(given_away)
        assert blind is not None and blind.share == 1.0 and blind.chance == 0.25
    fair = blind_share([neither[i] for i in np.random.default_rng(0).permutation(len(neither))])
    assert fair is not None and fair.share <= 0.45
    assert blind_share([Question("object_counting", "?", None, "2")]) is None


def test_questions_are_a_function_of_world_seed_and_index() -> None:
    world = cases()[5]
    assert asked(world.room, world.seen, 5) == world.asked.questions
    assert asked(world.room, world.seen, 6) != world.asked.questions


def test_only_things_with_a_name_of_their_own_are_named() -> None:
    for world in cases():
        shown = Shown.of(world.room, world.seen)
        unclear = {
            thing.category
            for index, thing in enumerate(world.room.things)
            if index not in shown.named
        }
        for question in world.asked.questions:
            if question.kind in ("object_counting", "obj_appearance_order", "object_rel_distance"):
                continue
            text = " ".join([question.question, *(question.options or ())])
            assert not [name for name in unclear if f"the {name} " in text or f" {name}," in text]
