"""The official rules of VSI-Bench, with the values written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geovr.evaluation.mra import THRESHOLDS, mean_relative_accuracies, mean_relative_accuracy
from geovr.evaluation.scorers import merged_kind, score

OPTIONS = ["A. left", "B. right", "C. back"]


def test_there_are_ten_thresholds() -> None:
    assert len(THRESHOLDS) == 10
    np.testing.assert_allclose(THRESHOLDS, np.arange(50, 100, 5) / 100)


@pytest.mark.parametrize(
    "predicted, target, expected",
    [
        (9, 10, 0.9),
        (11, 10, 0.9),
        (3, 4, 0.6),
        (5, 4, 0.6),
        (3, 2, 0.1),
        (1, 2, 0.1),
        (6, 4, 0.1),
        (15, 10, 0.1),
        (8, 10, 0.6),
        (7, 10, 0.5),
        (9.5, 10, 1.0),
        (10, 10, 1.0),
        (21, 10, 0.0),
        (2.1, 2.4, 0.8),
    ],
)
def test_mean_relative_accuracy(predicted: float, target: float, expected: float) -> None:
    assert mean_relative_accuracy(predicted, target) == pytest.approx(expected)


def test_zero_and_negative_targets_are_defined() -> None:
    assert mean_relative_accuracy(0, 0) == 1.0
    assert mean_relative_accuracy(1, 0) == 0.0
    assert mean_relative_accuracy(5, -3) == 0.0


def test_the_table_of_pairs_is_the_single_score() -> None:
    said, true = np.asarray([1.0, 2.0, 9.5]), np.asarray([1.0, 2.5, 10.0])
    table = mean_relative_accuracies(said, true)
    expected = [[mean_relative_accuracy(p, t) for t in true] for p in said]
    np.testing.assert_array_equal(table, expected)


@pytest.mark.fault(43)
@pytest.mark.parametrize(
    "text, expected",
    [
        ("B", 1.0), ("b", 1.0), ("B.", 1.0), ("B. right", 1.0), ("B right", 1.0),
        ("(B)", 0.0), ("**B**", 0.0), ("Answer: B", 0.0), ("right", 0.0), ("", 0.0), ("   ", 0.0),
        ("A or B", 0.0),
    ],
)  # fmt: skip
def test_choices(text: str, expected: float) -> None:
    assert score(text, "B", OPTIONS) == expected


@pytest.mark.fault(43)
@pytest.mark.parametrize(
    "text, expected",
    [
        ("3", 1.0), ("3.", 1.0), ("3.0", 1.0), ("3 m", 1.0), ("+3", 1.0), ("3e0", 1.0),
        ("3m", 0.0), ("3,", 0.0), ("three", 0.0), ("about 3", 0.0), ("2-3", 0.0), ("3/1", 0.0),
        ("NaN", 0.0), ("inf", 0.0), ("1e999", 0.0), ("-3", 0.0), ("", 0.0), ("٣", 1.0),
    ],
)  # fmt: skip
def test_numbers(text: str, expected: float) -> None:
    assert score(text, "3", None) == expected


@pytest.mark.fault(43)
@given(st.text(max_size=30), st.text(max_size=8), st.sampled_from([None, [], OPTIONS]))
def test_scoring_never_raises_and_stays_between_0_and_1(
    text: str, answer: str, options: list[str] | None
) -> None:
    assert 0.0 <= score(text, answer, options) <= 1.0


@given(st.floats(0.1, 100), st.floats(0, 50), st.floats(0, 50))
def test_a_closer_number_never_scores_less(target: float, a: float, b: float) -> None:
    near, far = sorted([a, b])
    assert mean_relative_accuracy(target + near, target) >= mean_relative_accuracy(
        target + far, target
    )


def test_three_directions_are_reported_as_one() -> None:
    assert merged_kind("object_rel_direction_hard") == "object_rel_direction"
    assert merged_kind("turn") == "turn"
