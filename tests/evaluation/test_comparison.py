"""Paired comparison: its mathematics against SciPy and hand-computed cases, and its lines."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from geovr.evaluation.comparison import FLOW, MEAN, Scored, by_profile, differences
from geovr.evaluation.profiles.profile import Group, Judged, Profile, Said, Total
from geovr.evaluation.statistics import EXACT_SCENES, SceneSignFlip, holm

RANDOM = np.random.default_rng(11)


def flips(
    values: Sequence[float], scenes: Sequence[Any], draws: int = 9999, seed: int = 0
) -> float:
    every = np.ones(len(values), dtype=bool)
    test = SceneSignFlip(np.asarray(list(scenes)), draws, seed)
    return test.p_value(np.asarray(values, dtype=float), [every])


@pytest.mark.parametrize("count", [2, 7, 12])
def test_one_item_a_scene_is_the_permutation_test_of_scipy(count: int) -> None:
    values = RANDOM.normal(0.4, 1, count)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert flips(values, range(count)) == pytest.approx(expected, rel=1e-12)


def test_by_hand() -> None:
    # of the 8 ways to sign 1, 2, 3 two are as far from zero as 6
    assert flips([1, 2, 3], "abc") == 2 / 8
    # |1 + 2 - 3| = 0 is the least of all
    assert flips([1, 2, -3], "abc") == 1.0
    # 0.1 + 0.2 and 0.3 differ in the last bit; they are equal for the test: 0.6, 0, 0, 0, and back
    assert flips([0.1, 0.2, -0.3], "abc") == 1.0
    # a scene without a difference says nothing, and no difference at all is no evidence
    assert flips([1, 2, 3, 0], "abcd") == 2 / 8
    assert flips([0, 0], "ab") == 1.0
    assert flips([5], "a") == 1.0


def test_scenes_are_flipped_as_wholes_and_groups_weigh_what_they_should() -> None:
    scenes = np.asarray([0, 0, 1, 1, 2, 2, 2, 3])
    values = RANDOM.normal(0.5, 1, 8)
    first = np.asarray([True, False, True, True, False, False, True, False])
    masks, weights = [first, ~first], [0.25, 0.75]

    def statistic(signs: Sequence[int]) -> float:
        flipped = values * np.asarray(signs)[scenes]
        means = [flipped[mask].mean() for mask in masks]
        return abs(float(np.dot(weights, means)))

    observed = statistic([1, 1, 1, 1])
    every = [statistic(signs) for signs in itertools.product([1, -1], repeat=4)]
    expected = np.mean([value >= observed - 1e-12 for value in every])
    assert SceneSignFlip(scenes, 99, 0).p_value(values, masks, weights) == expected
    # ten copies of a question tell no more than one
    many = np.repeat(values, 10)
    assert flips(many, np.repeat(range(8), 10)) == flips(values, range(8))
    assert flips(many, range(80)) < flips(values, range(8))


def test_many_scenes_are_drawn_with_a_seed_and_come_close_to_the_exact_value() -> None:
    count = EXACT_SCENES + 2
    values = RANDOM.normal(0.35, 1, count)
    exact = stats.permutation_test(
        (values,), lambda x, axis=-1: x.mean(axis=axis), permutation_type="samples",
        n_resamples=np.inf, vectorized=True,
    ).pvalue  # fmt: skip
    drawn = flips(values, range(count))
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9999) + 2e-4)
    assert drawn == flips(values, range(count)) != flips(values, range(count), seed=1)
    # never zero: the answers themselves are one of the ways to sign them
    assert flips(np.ones(60), range(60), draws=199) == 1 / 200


def test_p_values_are_uniform_where_nothing_differs() -> None:
    """At most a share alpha of null cases is below alpha, two questions a scene."""
    found = [flips(np.repeat(RANDOM.normal(size=9), 2), np.repeat(range(9), 2)) for _ in range(400)]
    for alpha in (0.05, 0.2, 0.5):
        assert np.mean(np.asarray(found) <= alpha) <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / 400)
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2] and holm([]) == []
    # each is at least itself, at most m times itself, and the order stays
    values = list(RANDOM.uniform(0, 0.3, 8))
    adjusted = holm(values)
    assert all(p <= a <= min(1, 8 * p) + 1e-12 for p, a in zip(values, adjusted, strict=True))
    assert [adjusted[i] for i in np.argsort(values)] == sorted(adjusted)


def row(number: int, kind: str, right: bool, **more: Any) -> dict[str, Any]:
    """A question about a number, answered rightly or not, in a scene of its own."""
    return {
        "id": f"{kind}{number}", "scene": f"s{number}", "kind": kind, "options": None,
        "answer": "10", "text": "10" if right else "99", **more,
    }  # fmt: skip


def answers(**right: int) -> list[dict[str, Any]]:
    """30 questions of each kind, so many answered rightly."""
    return [row(n, kind, n < count) for kind, count in right.items() for n in range(30)]


def test_a_comparison_has_a_line_for_the_mean_and_each_kind() -> None:
    ours = Scored(answers(turn=28, path_length=15, dominant_colour=10))
    theirs = Scored(list(reversed(answers(turn=10, path_length=13, dominant_colour=10))))
    mean, turn, length, colour = differences(ours, theirs)
    assert [line.kind for line in (mean, turn, length, colour)] == [
        MEAN, "turn", "path_length", "dominant_colour",
    ]  # fmt: skip
    assert (mean.items, turn.items, mean.scenes) == (60, 30, 30)
    assert turn.ours == pytest.approx(28 / 30) and turn.theirs == pytest.approx(10 / 30)
    assert turn.difference.mean == pytest.approx(18 / 30)
    assert mean.difference.mean == pytest.approx((18 + 2) / 60)
    assert mean.verdict == turn.verdict == "above" and length.verdict == "not distinguishable"
    # two scenes differ, both in our favour: 2 of 4 ways to sign them
    assert length.p == 0.5
    assert colour.p == colour.p_adjusted == 1.0
    assert turn.p_adjusted == pytest.approx(3 * turn.p) and mean.p_adjusted == mean.p
    back = {line.kind: line for line in differences(theirs, ours)}
    for line in (mean, turn, length, colour):
        assert back[line.kind].difference.mean == pytest.approx(-line.difference.mean)
    assert back["turn"].verdict == "below"
    assert back["turn"].p == pytest.approx(turn.p, abs=1e-3)


def test_kinds_are_judged_after_adjustment_for_their_number() -> None:
    """5 scenes of 5 better is p = 1/16 for a kind; 6 of 6 is 1/32, no longer below 0.05 for two."""
    ours, theirs = answers(turn=6, path_length=3), answers(turn=0, path_length=3)
    mean, turn, _ = differences(Scored(ours), Scored(theirs))
    assert turn.p == 1 / 32 and turn.p_adjusted == 1 / 16
    assert turn.difference.low > 0 and turn.verdict == "not distinguishable"
    assert mean.p == 1 / 32 and mean.verdict == "above"


def test_other_questions_and_double_answers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1 questions were answered by one .*turn29"):
        differences(Scored(answers(turn=3)), Scored(answers(turn=3)[:-1]))
    with pytest.raises(ValueError, match=r"1 questions were answered twice: \['turn0'\]"):
        Scored([*answers(turn=3), row(0, "turn", True)])


def test_floors() -> None:
    scored = Scored(answers(turn=15, path_length=30))
    assert scored.below({"turn": 0.5, MEAN: 0.75}) == ""
    assert scored.below({"turn": 0.6, "route_planning": 0}) == (
        "turn 50.0 < 60.0, route_planning (not asked)"
    )


def test_no_answer_is_a_wrong_one() -> None:
    assert FLOW.score(row(0, "turn", True) | {"text": None}) == 0.0


def reversed_profile() -> Profile:
    """Wrong is right; two groups of which one only is told of."""

    def judge(said: Said) -> Judged:
        return Judged(float(said.text != said.answer), said.text)

    def groups(every: Sequence[Said]) -> list[Group]:
        kinds = np.asarray([said.kind for said in every])
        return [
            Group("Turns", kinds == "turn", 2.0), Group("Lengths", kinds == "path_length", 6.0),
            Group("Told", kinds == "dominant_colour", 0.0), Group("None", kinds == "none", 1.0),
        ]  # fmt: skip

    def total(said: Sequence[Said], judged: Sequence[Judged]) -> Total:
        raise AssertionError("a comparison is made of groups")

    return Profile("reversed", ("bench",), "here", judge, total, groups)


def test_a_profile_scores_and_groups_by_its_own_rules() -> None:
    scoring = by_profile(reversed_profile())
    ours = Scored(answers(turn=28, path_length=15, dominant_colour=10), scoring)
    theirs = Scored(answers(turn=10, path_length=15, dominant_colour=10), scoring)
    lines: Mapping[str, Any] = {line.kind: line for line in differences(ours, theirs)}
    assert list(lines) == [MEAN, "Turns", "Lengths", "Told"]
    assert lines["Turns"].difference.mean == pytest.approx(-18 / 30)
    assert lines[MEAN].difference.mean == pytest.approx(0.25 * -18 / 30)
    assert lines["Turns"].verdict == "below"
