"""What holds for every scorer of VSI-Bench, whatever a model says."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geovr.evaluation.kinds import VSI_BENCH
from geovr.evaluation.profiles.profile import Said
from geovr.evaluation.profiles.table import profiles_of
from geovr.evaluation.profiles.vsi_kinds import KINDS
from tests.vsi_cases import CHOICES, NUMBERS, PROFILES

PIECES = (*"ABCDEFG[]{}()", "<answer>", "</answer>", "</think>", "\n")
SHAPES = sorted({case[0] for case in (*NUMBERS, *CHOICES) if case[0] is not None})
TEXTS = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.sampled_from(SHAPES),
    st.lists(st.sampled_from([*SHAPES, *PIECES]), max_size=6).map("".join),
    st.floats(allow_nan=True).map(repr),
)
ANSWERS = st.one_of(
    st.sampled_from([*"ABCDG", "0", "-3", "nan", "3", "2.5", ""]), st.text(max_size=5)
)
KIND_NAMES = st.sampled_from([*sorted(KINDS), "path_length", ""])


@st.composite
def item(draw: st.DrawFn) -> Said:
    options = draw(st.sampled_from([None, (), ("A. left", "B. right"), ("left", "right")]))
    return Said("q", draw(KIND_NAMES), "", options, draw(ANSWERS), draw(TEXTS), "s")


@pytest.mark.fault(43)
@pytest.mark.parametrize("name", PROFILES)
@given(saids=st.lists(item(), max_size=20))
@settings(max_examples=150, deadline=None)
def test_never_raises_and_stays_between_0_and_1(name: str, saids: list[Said]) -> None:
    profile = profiles_of("vsi-bench")[name]
    judged = [profile.judge(said) for said in saids]
    assert all(0.0 <= one.score <= 1.0 for one in judged)
    assert all(one.score == 0.0 for one in judged if one.stops)
    total = profile.total(saids, judged)
    assert (total.overall is None) == (total.stops is not None)
    assert total.overall is None or 0.0 <= total.overall <= 1.0
    assert all(0.0 <= line <= 1.0 for line in total.lines.values())


@pytest.mark.parametrize("name", PROFILES)
@given(
    target=st.floats(0.05, 500).map(lambda value: round(value, 2)),
    a=st.integers(0, 4000),
    b=st.integers(0, 4000),
    above=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_a_closer_number_never_scores_less(
    name: str, target: float, a: int, b: int, above: bool
) -> None:
    profile = profiles_of("vsi-bench")[name]

    def score(off: int) -> float:
        guess = target + off / 100 if above else target - off / 100
        return profile.judge(
            Said("q", "object_abs_distance", "", None, repr(target), f"{guess:.6f}", "s")
        ).score

    assert score(min(a, b)) >= score(max(a, b))
    assert score(0) == 1.0


@given(
    guess=st.integers(1, 99), target=st.integers(1, 99), unit=st.sampled_from(["0", "00", "e-2"])
)
def test_strict_gives_the_same_in_any_unit(guess: int, target: int, unit: str) -> None:
    judge = profiles_of("vsi-bench")["strict"].judge
    metres = judge(Said("q", "object_abs_distance", "", None, str(target), str(guess), "s"))
    other = Said("q", "object_abs_distance", "", None, f"{target}{unit}", f"{guess}{unit}", "s")
    assert judge(other).score == metres.score


@pytest.mark.parametrize("name", PROFILES)
def test_the_order_of_answers_decides_nothing(name: str) -> None:
    rng = random.Random(0)
    kinds = sorted(KINDS)
    saids = [
        Said(str(n), kinds[n % len(kinds)], "", ("A. x", "B. y"),
             "AB"[n % 2] if kinds[n % len(kinds)].startswith(("object_rel", "route", "obj_app"))
             else str(1 + n % 9), rng.choice(["A", "B", "1", "2", "3.5", "4 m", "seven"]), "s")
        for n in range(600)
    ]  # fmt: skip
    profile = profiles_of("vsi-bench")[name]
    first = profile.total(saids, [profile.judge(said) for said in saids])
    assert first.overall is not None and 0 < first.overall < 1
    for _ in range(5):
        rng.shuffle(saids)
        again = profile.total(saids, [profile.judge(said) for said in saids])
        assert again.overall == pytest.approx(first.overall, abs=2e-15)
        assert dict(again.lines) == pytest.approx(dict(first.lines), abs=2e-15)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("without", [None, *sorted(KINDS)])
def test_groups_are_the_same_sum(name: str, without: str | None) -> None:
    kinds = [kind for kind in sorted(KINDS) if kind != without]
    saids = [
        Said(str(n), kinds[n * n % len(kinds)], "", None,
             "A" if kinds[n * n % len(kinds)] not in VSI_BENCH[:4] else "3", ("A", "3", "4")[n % 3])
        for n in range(400)
    ]  # fmt: skip
    present = {said.kind for said in saids}
    saids += [Said(f"x{k}", k, "", None, "3", "3") for k in kinds if k not in present]
    profile = profiles_of("vsi-bench")[name]
    judged = [profile.judge(said) for said in saids]
    overall = profile.total(saids, judged).overall
    if overall is None:
        assert without is not None and name in ("official", "lmms-eval")
        return
    scores = np.asarray([one.score for one in judged])
    groups = profile.groups(saids)
    told = sum(group.weight * scores[group.members].mean() for group in groups if group.weight)
    assert overall == pytest.approx(told, abs=1e-6 if name == "lmms-eval" else 1e-12)
