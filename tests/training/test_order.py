"""The order of rows: every question once an epoch, the same on any number of processes."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geovr.data.order import RowOrder
from geovr.errors import UserError

CLIPS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4), st.integers(1, 9), min_size=1, max_size=12
)


def by_clip(sizes: dict[str, int]) -> dict[str, list[int]]:
    places = iter(range(sum(sizes.values())))
    return {clip: [next(places) for _ in range(size)] for clip, size in sizes.items()}


@settings(max_examples=60, deadline=None)
@given(sizes=CLIPS, per_row=st.integers(1, 5), seed=st.integers(0, 9))
def test_an_epoch_visits_every_question_exactly_once(
    sizes: dict[str, int], per_row: int, seed: int
) -> None:
    clips = by_clip(sizes)
    order = RowOrder(clips, per_row, seed)
    for epoch in range(2):
        start = epoch * order.rows_per_epoch
        rows = [order.row(start + place) for place in range(order.rows_per_epoch)]
        asked = Counter(question for row in rows for question in row.questions)
        assert asked == Counter(question for places in clips.values() for question in places)
        assert all(len(row.questions) <= per_row for row in rows)
        assert all(set(row.questions) <= set(clips[row.clip_id]) for row in rows)


def test_order_is_a_pure_function_of_seed_and_epoch() -> None:
    clips = by_clip({f"clip{n}": 3 for n in range(20)})
    first, again = RowOrder(clips, 2, seed=1), RowOrder(dict(reversed(clips.items())), 2, seed=1)
    assert [first.row(n) for n in range(90)] == [again.row(n) for n in range(90)]
    other = RowOrder(clips, 2, seed=2)
    assert [first.row(n) for n in range(40)] != [other.row(n) for n in range(40)]
    assert first.epoch(0) != first.epoch(1)


def test_no_training_question_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="split of the questions"):
        RowOrder({}, 8, seed=0)
