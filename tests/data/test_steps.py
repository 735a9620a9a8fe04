"""Rows dealt to ranks and put into forward passes: nothing lost, nothing twice, none too large."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geovr.data.order import RowOrder, RowSpec, questions_that_pay
from geovr.data.steps import Budget, StepReader, deal, split_rows

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=24)


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 500), min_size=1, max_size=8), ranks=st.integers(1, 5))
def test_ranks_get_equally_many_rows_and_about_as_many_tokens(
    lengths: list[int], ranks: int
) -> None:
    rows = lengths * ranks
    deals = deal(rows, ranks)
    assert sorted(place for own in deals for place in own) == list(range(len(rows)))
    assert {len(own) for own in deals} == {len(lengths)}
    tokens = [sum(rows[place] for place in own) for own in deals]
    assert max(tokens) - min(tokens) <= max(rows)


@settings(max_examples=200, deadline=None)
@given(
    lengths=LENGTHS,
    most_rows=st.integers(1, 9),
    most_tokens=st.none() | st.integers(1, 900),
    least=st.integers(1, 30),
)
def test_groups_hold_all_rows_in_order_within_the_budget(
    lengths: list[int], most_rows: int, most_tokens: int | None, least: int
) -> None:
    groups = split_rows(lengths, most_rows, most_tokens, least)
    assert [place for group in groups for place in group] == list(range(len(lengths)))
    assert all(groups) and len(groups) >= min(least, len(lengths))
    for group in groups:
        assert len(group) <= most_rows
        tokens = sum(lengths[place] for place in group)
        assert most_tokens is None or tokens <= most_tokens or len(group) == 1
    if least == 1:
        # no two neighbours would have fitted into one
        for one, other in itertools.pairwise(groups):
            joined = [*one, other[0]]
            over = most_tokens is not None and sum(lengths[p] for p in joined) > most_tokens
            assert len(joined) > most_rows or over


class Lengths:
    """As RowLengths: the first clip's prefix is ten times the others'."""

    def of(self, row: RowSpec) -> int:
        return (100 if row.clip_id == "clip0" else 10) + 5 * len(row.questions)


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_ranks_share_an_epoch_and_make_equally_many_passes(world: int) -> None:
    by_clip = {f"clip{n}": list(range(7 * n, 7 * n + 7)) for n in range(9)}
    order = RowOrder(by_clip, 3, seed=4)
    budget = Budget(clips_per_batch=6, clips_per_forward=4, tokens_per_forward=80)
    readers = [
        StepReader(None, order, Lengths(), budget, rank, world)  # type: ignore[arg-type]
        for rank in range(world)
    ]
    asked: Counter[int] = Counter()
    steps = 2 * order.rows_per_epoch // 6
    for step in range(steps):
        specs = [reader.specs(step) for reader in readers]
        assert len({len(passes) for passes in specs}) == 1
        rows = [row for passes in specs for group in passes for row in group]
        assert Counter(rows) == Counter(readers[0].rows(step))
        asked.update(question for row in rows for question in row.questions)
    assert steps * 6 == 2 * order.rows_per_epoch
    assert asked == dict.fromkeys(range(63), 2)


def test_a_batch_holds_a_clip_once_where_there_are_enough_clips() -> None:
    by_clip = {f"clip{n:02}": list(range(8 * n, 8 * n + 8)) for n in range(40)}
    order = RowOrder(by_clip, 2, seed=0)
    for step in range(10):  # an epoch is 160 rows, four of every clip
        rows = [order.row(16 * step + place) for place in range(16)]
        assert len({row.clip_id for row in rows}) == 16
    # and another epoch is in another order
    assert order.epoch(0) != order.epoch(1)


@pytest.mark.parametrize(
    "prefix, branch, questions", [(10_000, 120, 16), (600, 120, 5), (601, 120, 6), (50, 120, 1)]
)
def test_auto_shares_until_questions_cost_what_they_share(
    prefix: float, branch: float, questions: int
) -> None:
    assert questions_that_pay(prefix, branch) == questions
