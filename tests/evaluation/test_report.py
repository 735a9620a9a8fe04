"""Baselines, intervals and the table, on answers made up for the purpose."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from geovr.evaluation.baselines import best_constant, most_frequent
from geovr.evaluation.kinds import VSI_BENCH, headline
from geovr.evaluation.mra import mean_relative_accuracy
from geovr.evaluation.report import Scores, make_scores, metrics, render_markdown
from geovr.evaluation.statistics import Interval, SceneBootstrap

RANDOM = np.random.default_rng(5)


def test_best_constant_beats_every_other_number_tried() -> None:
    answers = [str(v) for v in np.round(RANDOM.lognormal(1, 0.6, 60), 2)]
    best = float(best_constant(answers, numeric=True))

    def mean(value: float) -> float:
        return float(np.mean([mean_relative_accuracy(value, float(a)) for a in answers]))

    assert mean(best) >= max(mean(float(a)) for a in answers)
    assert mean(best) >= max(mean(v) for v in np.linspace(0.1, 20, 100)) - 0.005


def test_most_frequent_answer_and_ties() -> None:
    assert most_frequent(["B", "A", "B", "C"]) == "B"
    assert most_frequent(["C", "A"]) == "A"
    assert best_constant(["B", "B", "A"], numeric=False) == "B"


def test_the_bootstrap_resamples_scenes_not_questions() -> None:
    """Ten copies of a question in each scene tell no more than one."""
    values = RANDOM.normal(size=40)
    scenes = np.arange(40).astype(str)
    every = np.ones(40, dtype=bool)
    one = SceneBootstrap(scenes, 2000, 0).groups_mean(values, [every])
    copies = SceneBootstrap(np.repeat(scenes, 10), 2000, 0).groups_mean(
        np.repeat(values, 10), [np.repeat(every, 10)]
    )
    assert copies.low == pytest.approx(one.low, abs=0.05)
    assert copies.high == pytest.approx(one.high, abs=0.05)
    standard = values.std() / np.sqrt(40)
    assert one.high - one.low == pytest.approx(2 * 1.96 * standard, rel=0.15)


@pytest.mark.parametrize(
    "low, high, verdict", [(0.1, 0.4, "above"), (-0.1, 0.2, "not distinguishable"),
                           (-0.3, -0.1, "below"), (0.0, 0.2, "not distinguishable")]
)  # fmt: skip
def test_verdicts(low: float, high: float, verdict: str) -> None:
    assert Interval((low + high) / 2, low, high).verdict == verdict
    assert Interval((low + high) / 2, low, high, scenes=2).verdict == verdict
    # a single scene has no spread to tell anything by
    assert Interval((low + high) / 2, low, high, scenes=1).verdict == "not distinguishable"


def test_a_single_scene_is_above_nothing() -> None:
    right, groups = np.ones(4), [np.ones(4, bool)]
    alone = SceneBootstrap(np.asarray(["s"] * 4), 100, 0).groups_mean(right, groups)
    several = SceneBootstrap(np.asarray(["s", "s", "t", "u"]), 100, 0).groups_mean(right, groups)
    assert (alone.low, alone.high, alone.scenes, several.scenes) == (1, 1, 1, 3)
    assert (alone.verdict, several.verdict) == ("not distinguishable", "above")


def benchmark(scenes: int) -> pd.DataFrame:
    rows = []
    for n in range(scenes):
        rows.append((f"r{n}", "room_size_estimation", None, str(10 + n % 7), f"s{n}"))
        rows.append((f"t{n}", "turn", ["A. left", "B. right"], "AB"[n % 2], f"s{n}"))
        rows.append((f"c{n}", "dominant_colour", ["A. red", "B. blue"], "A", f"s{n}"))
        for level in ("easy", "medium", "hard"):
            kind = f"object_rel_direction_{level}"
            rows.append((f"{level}{n}", kind, ["A. l", "B. r"], "A", f"s{n}"))
    return pd.DataFrame(rows, columns=["id", "kind", "options", "answer", "scene"])


def test_coverage_is_told_and_a_likelihood_that_nobody_knows_is_left_out() -> None:
    test = benchmark(4)
    told = np.zeros(len(test))
    told[test["kind"] == "turn"] = np.nan
    scores = make_scores(
        test, test, np.asarray(test["scene"]), {"model": list(test["answer"])}, told,
        benchmark_digest="d", binned=False, resamples=50, seed=0, published=30,
    )  # fmt: skip
    flat = metrics(scores)
    assert flat["eval/coverage"] == pytest.approx(24 / 30)
    assert "eval/turn_nll" not in flat and flat["eval/dominant_colour_nll"] == 0.0
    assert render_markdown(scores).startswith("24 of 30 questions answered. ")
    again = Scores.model_validate_json(scores.model_dump_json())
    assert again == scores and again.kinds[1].nll is None
    # a report of an earlier version
    old = Scores.model_validate({k: v for k, v in again.model_dump().items() if k != "published"})
    assert old.coverage_told == "24 of 24 questions answered"
    assert metrics(old)["eval/coverage"] == 1.0


def test_answers_in_words_have_no_score_here_and_are_counted_as_unread() -> None:
    test = benchmark(3)
    words = test["kind"] == "turn"
    test.loc[words, "answer"] = "3 left,up:1"
    test.loc[words, "options"] = None
    said = ["3" if word else answer for word, answer in zip(words, test["answer"], strict=True)]
    scores = make_scores(
        test, test, np.asarray(test["scene"]), {"model": said}, np.zeros(len(test)),
        benchmark_digest="d", binned=False, resamples=50, seed=0,
    )  # fmt: skip
    by_kind = {line.kind: line for line in scores.kinds}
    assert scores.unparsed == 3 and by_kind["turn"].score.mean == 0.0
    assert by_kind["turn"].best_constant == by_kind["turn"].most_frequent == 0.0
    assert by_kind["room_size_estimation"].score.mean == 1.0


def test_a_report_says_who_is_above_what() -> None:
    test = benchmark(60)
    right = list(test["answer"])
    scores = make_scores(
        test, test, np.asarray(test["scene"]), {"model": right, "blanked": ["A"] * len(test)},
        np.zeros(len(test)), benchmark_digest="d", binned=False, resamples=200, seed=0,
    )  # fmt: skip
    by_kind = {line.kind: line for line in scores.kinds}
    assert scores.headline_kinds == ("room_size_estimation", "turn")
    assert by_kind["room_size_estimation"].score.mean == 1.0
    assert by_kind["room_size_estimation"].verdict == "above"
    assert by_kind["turn"].best_constant == 0.5 and by_kind["turn"].blanked == 0.5
    assert by_kind["dominant_colour"].verdict == "not distinguishable"
    assert by_kind["object_rel_direction"].items == 180
    assert scores.unparsed == 0
    text = render_markdown(scores)
    assert "dominant_colour (control)" in text
    assert "object_rel_direction (not in the mean)" in text


def test_directions_are_averaged_by_difficulty_not_by_item() -> None:
    test = benchmark(4)
    test = test[test["kind"].str.startswith("object_rel")]
    uneven = pd.concat([test, *[test[test["kind"].str.endswith("easy")]] * 3])
    texts = ["A" if kind.endswith("easy") else "B" for kind in uneven["kind"]]
    scores = make_scores(
        test, uneven, np.asarray(uneven["scene"]), {"model": texts}, np.zeros(len(uneven)),
        benchmark_digest="d", binned=False, resamples=50, seed=0,
    )  # fmt: skip
    assert scores.kinds[0].score.mean == pytest.approx(1 / 3)


def test_the_mean_of_vsi_bench_is_that_of_its_eight_kinds() -> None:
    """Directions weigh one eighth, a third of that each difficulty, whatever the item counts."""
    rows = [
        (kind, None, "4")
        for kind in ("object_counting", "object_abs_distance", "object_size_estimation")
        for _ in range(5)
    ]
    rows += [("room_size_estimation", None, "4")] * 2
    choices = [
        "object_rel_distance", "object_rel_direction_easy", "object_rel_direction_medium",
        "object_rel_direction_hard", "route_planning", "obj_appearance_order",
    ]  # fmt: skip
    rows += [(kind, ["A. a", "B. b"], "A") for n, kind in enumerate(choices) for _ in range(n + 1)]
    test = pd.DataFrame(rows, columns=["kind", "options", "answer"])
    test["scene"] = [f"s{n % 3}" for n in range(len(test))]
    # right: rooms (1), easy and hard directions (2/3), routes (1); half of the counts (2 of 5)
    texts = [
        "4" if kind == "room_size_estimation" or (kind == "object_counting" and n < 2)
        else "A" if kind in (choices[1], choices[3], "route_planning") else "B"
        for n, kind in enumerate(test["kind"])
    ]  # fmt: skip
    scores = make_scores(
        test, test, np.asarray(test["scene"]), {"model": texts}, np.zeros(len(test)),
        benchmark_digest="d", binned=False, resamples=50, seed=0,
    )  # fmt: skip
    assert scores.headline_kinds == VSI_BENCH
    assert scores.headline.score.mean == pytest.approx((1 + 2 / 3 + 1 + 2 / 5) / 8)
    assert scores.headline.items == len(test)
    assert "MEAN of 8 VSI-Bench kinds" in render_markdown(scores)


def test_what_a_mean_is_taken_over() -> None:
    clip_level = headline(["object_counting", "turn", "room_size_estimation", "dominant_colour"])
    assert clip_level.kinds == ("room_size_estimation", "turn")
    part = headline(["route_planning", "object_rel_direction_hard", "dominant_colour"])
    assert part.kinds == ("object_rel_direction", "route_planning")
    assert headline(["dominant_colour", "something"]).kinds == ("something",)
    assert headline(["dominant_colour"]).kinds == ("dominant_colour",)


@pytest.mark.fault(43)
def test_unreadable_numbers_are_counted() -> None:
    test = benchmark(3)
    texts = ["many" if kind == "room_size_estimation" else "A" for kind in test["kind"]]
    scores = make_scores(
        test, test, np.asarray(test["scene"]), {"model": texts}, np.zeros(len(test)),
        benchmark_digest="d", binned=False, resamples=50, seed=0,
    )  # fmt: skip
    assert scores.unparsed == 3
