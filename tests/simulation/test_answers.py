"""Every answer is computed a second time, by other means, from the files that were written."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from tests.simulation.conftest import Rendered


def _centres(camera_from_world: np.ndarray) -> np.ndarray:
    return np.linalg.inv(camera_from_world.astype(np.float64))[:, :3, 3]


@pytest.fixture(scope="module")
def cases(rendered: Rendered) -> list[tuple]:
    answers = rendered.answers()
    return [(s, rendered.truth(s), answers[s["scene"]]) for s in rendered.scenes]


def test_every_scene_keeps_five_questions_and_nearly_all_have_eight(cases: list[tuple]) -> None:
    counts = [len(answers) for _, _, answers in cases]
    assert min(counts) >= 5
    assert sum(count == 8 for count in counts) >= 0.9 * len(counts)


def test_room_size_is_the_floor_between_the_walls(cases: list[tuple]) -> None:
    for scene, _, answers in cases:
        area = scene["room"]["width"] * scene["room"]["depth"]
        assert abs(float(answers["room_size_estimation"][1]) - area) <= 0.0501
        assert 3.5**2 <= area <= 9.0**2


def test_path_length_and_displacement_follow_from_the_poses(cases: list[tuple]) -> None:
    for _, truth, answers in cases:
        centres = _centres(truth["camera_from_world_N44"])
        length = sum(float(np.sqrt(((b - a) ** 2).sum())) for a, b in pairwise(centres))
        assert abs(float(answers["path_length"][1]) - length) < 0.0061
        if "displacement" in answers:
            straight = float(np.sqrt(((centres[-1] - centres[0]) ** 2).sum()))
            assert abs(float(answers["displacement"][1]) - straight) < 0.0061


def test_nearest_and_farthest_are_the_extremes_of_depth(cases: list[tuple]) -> None:
    seen = Counter()
    for _, truth, answers in cases:
        for kind, extreme in (("nearest_surface", np.min), ("farthest_surface", np.max)):
            if kind in answers:
                seen[kind] += 1
                assert abs(float(answers[kind][1]) - float(extreme(truth["depth_NHW"]))) < 0.0051
    assert min(seen.values()) >= 0.9 * len(cases)


def test_turn_names_the_side_and_the_bracket(cases: list[tuple]) -> None:
    for _, truth, answers in cases:
        if "turn" not in answers:
            continue
        _, letter, options = answers["turn"]
        # Camera z in the world, as complex numbers on the floor: their ratios are the turns.
        world_from_camera = np.linalg.inv(truth["camera_from_world_N44"].astype(np.float64))
        heading = world_from_camera[:, 0, 2] + 1j * world_from_camera[:, 1, 2]
        turn = np.degrees(np.angle(heading[1:] / heading[:-1]).sum())
        text = dict(option.split(". ") for option in options)[letter]
        assert text.startswith("left" if turn > 0 else "right")
        assert ("over 150" in text) == (abs(turn) > 150)
        assert abs(abs(turn) - 150) > 11.9


def test_counted_pieces_are_all_there_and_all_clearly_seen(cases: list[tuple]) -> None:
    for scene, truth, answers in cases:
        if "object_counting" not in answers:
            continue
        question, answer, _ = answers["object_counting"]
        category = question.split("How many ")[1].split("(s)")[0]
        ids = [i + 1 for i, o in enumerate(scene["objects"]) if o["category"] == category]
        assert int(answer) == len(ids) and 1 <= len(ids) <= 4
        for piece in ids:
            most = max(int((frame == piece).sum()) for frame in truth["instance_NHW"])
            assert most >= 9


def test_dominant_colour_wins_by_a_margin(cases: list[tuple]) -> None:
    for scene, truth, answers in cases:
        if "dominant_colour" not in answers:
            continue
        _, letter, options = answers["dominant_colour"]
        cover = Counter()
        for index, piece in enumerate(scene["objects"]):
            cover[piece["colour"]] += int((truth["instance_NHW"] == index + 1).sum())
        (winner, most), *rest = cover.most_common(2)
        assert dict(option.split(". ") for option in options)[letter] == winner
        assert not rest or most >= 1.2 * rest[0][1]


@pytest.mark.parametrize("kind", ["turn", "dominant_colour"])
def test_letters_are_balanced(cases: list[tuple], kind: str) -> None:
    letters = Counter(answers[kind][1] for _, _, answers in cases if kind in answers)
    asked = sum(letters.values())
    assert asked >= 180
    for letter in "ABCD":
        assert 0.15 * asked <= letters[letter] <= 0.35 * asked, letters


def test_answers_vary(cases: list[tuple]) -> None:
    counts = Counter(a["object_counting"][1] for _, _, a in cases if "object_counting" in a)
    assert len(counts) == 4 and max(counts.values()) <= 0.5 * sum(counts.values())
    for kind, spread in (("path_length", 2.5), ("displacement", 1.8), ("nearest_surface", 1.5)):
        values = [float(a[kind][1]) for _, _, a in cases if kind in a]
        low, high = np.quantile(values, [0.1, 0.9])
        assert high / low > spread, (kind, low, high)
