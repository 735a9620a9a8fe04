"""What holds for every registered profile, whatever a model said."""

from __future__ import annotations

import importlib
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geovr.evaluation.benchmarks.stills import SPAR_NUMBERS, SPAR_TEXT
from geovr.evaluation.benchmarks.table import BENCHMARKS, BLINK_TASKS
from geovr.evaluation.profiles import revsi, spar, spbench, vsi_kinds, vsti
from geovr.evaluation.profiles.profile import Judged, Profile, Said
from geovr.evaluation.profiles.table import MODULES, profiles_of
from tests.workspace import REPOSITORY

REVSI = (
    "object_rel_direction_forward_easy", "object_rel_direction_backward_hard", "route_planning",
    "object_rel_distance_closest", "object_counting_single", "object_counting_multiple",
    "object_abs_distance", "room_size_estimation_single",
)  # fmt: skip
KINDS = {
    "vsti-bench": ("camera_movement_direction", "camera_displacement", "camera_obj_abs_dist"),
    "spbench-si": ("object_rel_direction", "object_rel_distance", "object_counting"),
    "spar-bench": ("position_matching", "spatial_imagination_oc", SPAR_TEXT, *SPAR_NUMBERS[:3]),
    "blink-spatial": BLINK_TASKS,
    **dict.fromkeys(("revsi-16", "revsi-32", "revsi-64", "revsi-all"), REVSI),
}
VSI = (
    "object_counting", "object_abs_distance", "object_rel_direction_easy", "route_planning",
    "object_rel_direction_medium", "object_rel_direction_hard", "room_size_estimation",
)  # fmt: skip
ANY_KINDS = ("around", "among", "Speed", "Camera perspective - Relative Direction")
SOURCES = ("ADE20K", "COCO", "Omni3D")
OPTIONS = ("A. left", "B. right", "C. a chair", "D. D")
PIECES = (
    *"ABCDEFabcd", "left", "right", ".", ")", "(", ":", "*", "`", "\n", " ", "the answer is ",
    "Answer:", "<think>", "</think>", "<answer>", "</answer>", "[", "]", "{", "}", "3", "2.5", "-",
    "/", "1,200", "1e999", "three", "twenty-one", "a ", "nan", "inf", "٣", "（", ",",
    "move_right:0.3",
)  # fmt: skip
ALL = sorted(
    {
        (profile.benchmarks[0], profile.name)
        for module in MODULES
        for profile in importlib.import_module(f"geovr.evaluation.profiles.{module}").PROFILES
    }
)
texts = st.none() | st.text(max_size=12) | st.lists(st.sampled_from(PIECES)).map("".join)


@st.composite
def answers(draw: st.DrawFn, benchmark: str) -> list[Said]:
    """Answers to questions of some kinds of a benchmark, one of them unknown."""
    usual = VSI if benchmark.startswith("vsi") else KINDS.get(benchmark, ANY_KINDS)
    kinds = draw(st.lists(st.sampled_from((*usual, "unheard of")), min_size=1, unique=True))
    found = []
    for number in range(draw(st.integers(0, 12))):
        options = draw(st.sampled_from((OPTIONS, OPTIONS[:2], ("G. up", "H. down"), None)))
        truths = (
            [option[0] for option in options] if options else ["3", "0.5", "0", "-2", "x", "nan"]
        )
        found.append(
            Said(
                id=f"{draw(st.sampled_from(('around', 'among', 'translation')))}_{number}",
                kind=draw(st.sampled_from(kinds)),
                question="Which?",
                options=options,
                answer=draw(st.sampled_from(truths)),
                text=draw(texts),
                extra=draw(st.sampled_from([{}, *({"source": s} for s in SOURCES)])),
            )
        )
    return found


def judged_by(profile: Profile, saids: list[Said]) -> list[Judged]:
    """Judgements, each within its bounds."""
    judged = [profile.judge(said) for said in saids]
    for one in judged:
        assert isinstance(one.score, float) and 0.0 <= one.score <= 1.0
        assert one.stops is None or one.score == 0.0
    return judged


@pytest.mark.parametrize("benchmark, name", ALL)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_scores_and_sums(benchmark: str, name: str, data: st.DataObject) -> None:
    profile = profiles_of(benchmark)[name]
    saids = data.draw(answers(benchmark))
    judged = judged_by(profile, saids)
    total = profile.total(saids, judged)
    groups = profile.groups(saids)
    assert (total.overall is None) == (total.stops is not None)
    assert all(0.0 <= line <= 1.0 for line in total.lines.values())
    assert all(len(group.members) == len(saids) for group in groups)

    order = list(range(len(saids)))
    random.Random(len(saids)).shuffle(order)
    again = profile.total([saids[i] for i in order], [judged[i] for i in order])
    if total.overall is None:
        assert again.overall is None
        return
    assert 0.0 <= total.overall <= 1.0
    assert again.overall == pytest.approx(total.overall, abs=1e-12)
    assert again.lines == pytest.approx(dict(total.lines), abs=1e-12)
    scores = np.asarray([one.score for one in judged])
    summed = sum(g.weight * scores[g.members].mean() for g in groups if g.members.any())
    assert summed == pytest.approx(total.overall, abs=1e-12)


@pytest.mark.parametrize("benchmark, name", ALL)
def test_one_answer_that_ends_the_upstream_ends_the_sum(benchmark: str, name: str) -> None:
    profile = profiles_of(benchmark)[name]
    saids = [Said("7", "unheard of", "q", OPTIONS, "A", "A")]
    total = profile.total(saids, [Judged(0.0, None, "ValueError: told so")])
    assert total.overall is None and "ValueError: told so" in str(total.stops)


NUMERIC = {
    "revsi-16": "object_abs_distance",
    "vsti-bench": "camera_displacement",
    "spbench-si": "object_abs_distance",
    "spar-bench": "depth_prediction_oc_mv",
}


CHOSEN = {
    "revsi-16": "route_planning",
    "vsti-bench": "camera_movement_direction",
    "spbench-si": "object_rel_distance",
    "spar-bench": "position_matching",
    **dict.fromkeys(("mmsi-bench", "viewspatial-bench", "mindcube", "sti-bench", "cv-bench"), "k"),
    "blink-spatial": BLINK_TASKS[0],
}


@pytest.mark.parametrize("benchmark, name", [pair for pair in ALL if pair[0] in NUMERIC])
@given(
    target=st.integers(10, 9000), near=st.integers(0, 5000), further=st.integers(0, 5000),
    above=st.booleans(),
)  # fmt: skip
def test_a_closer_number_never_scores_less(
    benchmark: str, name: str, target: int, near: int, further: int, above: bool
) -> None:
    judge, sign = profiles_of(benchmark)[name].judge, 1 if above else -1

    def score(error: int) -> float:
        value = max(target + sign * error, 0) / 100
        kind = NUMERIC[benchmark]
        return judge(Said("1", kind, "q", None, f"{target / 100}", f"{value:.2f}")).score

    assert score(near) >= score(near + further)
    assert score(0) == 1.0


ALL_KINDS = {
    "vsi-bench": vsi_kinds.CHOICES + vsi_kinds.NUMBERS,
    "revsi-16": revsi._CHOICES + revsi._NUMBERS,
    "vsti-bench": vsti._CHOICES + vsti._NUMBERS,
    "spbench-si": spbench._ALL_CHOICES + spbench._ALL_NUMBERS,
    "spar-bench": (*spar._CHOICES, *SPAR_NUMBERS, SPAR_TEXT),
    "blink-spatial": BLINK_TASKS,
    "own": ("turn", "path_length"),
}
ALL_NUMERIC = {
    "vsi-bench": vsi_kinds.NUMBERS,
    "revsi-16": revsi._NUMBERS,
    "vsti-bench": vsti._NUMBERS,
    "spbench-si": spbench._ALL_NUMBERS,
    "spar-bench": (*SPAR_NUMBERS, SPAR_TEXT),
    "own": ("path_length",),
}
UNREADABLE = (None, "", "  ", "The", "None", "gibberish words here", "Gibberish. Words")
"""Neither number nor letter in these to any upstream: the first letter, which lmms-eval reads of
BLINK and CV-Bench, is a T, N or G, which is no option, and no option's text is in them."""
WORDED = ("A. left", "B. right", "C. the chair", "D. a dog")


@pytest.mark.parametrize("benchmark, name", ALL)
@pytest.mark.parametrize("text", UNREADABLE)
def test_nothing_is_read_where_there_is_nothing(
    benchmark: str, name: str, text: str | None
) -> None:
    judge = profiles_of(benchmark)[name].judge
    for kind in ALL_KINDS.get(benchmark, ANY_KINDS):
        numeric = kind in ALL_NUMERIC.get(benchmark, ())
        truth = "move_right:1" if kind == SPAR_TEXT else "3" if numeric else "B"
        for source in SOURCES:
            said = Said("among_1", kind, "q", None if numeric else WORDED, truth, text,
                        extra={"source": source})  # fmt: skip
            assert judge(said).read is None, (kind, judge(said))


@pytest.mark.parametrize("benchmark, name", ALL)
@settings(max_examples=40, deadline=None)
@given(text=texts, options=st.sampled_from((OPTIONS, OPTIONS[:2], ("G. up", "H. down"), None)),
       source=st.sampled_from(SOURCES))  # fmt: skip
def test_what_is_read_of_a_choice_is_an_option(
    benchmark: str, name: str, text: str | None, options: tuple[str, ...] | None, source: str
) -> None:
    judge = profiles_of(benchmark)[name].judge
    for kind in ALL_KINDS.get(benchmark, ANY_KINDS):
        if kind not in ALL_NUMERIC.get(benchmark, ()) and (options or benchmark != "own"):
            read = judge(Said("1", kind, "q", options, "A", text, extra={"source": source})).read
            letters = [option[0] for option in options] if options else list("ABCDEF")
            if options or name != "strict":  # ours takes a question without options for a number
                assert read is None or read.upper() in letters


def test_what_cv_bench_reads_of_an_options_text() -> None:
    options = ("A. 4", "B. 5")
    for source, read in (("Omni3D", "5"), ("COCO", None)):
        said = Said("1", "Count", "q", options, "B", "5", extra={"source": source})
        assert profiles_of("cv-bench")["official"].judge(said) == Judged(float(bool(read)), read)


LONG = (
    "x" + " " * 40_000 + "x", "A" + " " * 40_000 + "x", "answer" + " " * 40_000 + "x", "9" * 40_000,
    "<answer>A" * 2_000, "{" * 40_000, "`" * 40_001, "." * 40_000, "(" * 40_000, "A. " * 15_000,
    "<think>" * 6_000, "1,200 " * 8_000, "-" * 40_000, "*A" * 20_000 + "x", "[" * 40_000 + "]",
)  # fmt: skip


@pytest.mark.parametrize("benchmark, name", [p for p in ALL if p[0] in {*NUMERIC, *CHOSEN}])
def test_answers_without_end_are_judged_at_once(benchmark: str, name: str) -> None:
    judge = profiles_of(benchmark)[name].judge
    began = time.process_time()
    for text in LONG:
        judge(Said("1", NUMERIC.get(benchmark, "k"), "q", None, "3", text))
        judge(Said("1", CHOSEN.get(benchmark, "k"), "q", OPTIONS, "A", text))
    assert time.process_time() - began < 4.0


def test_the_official_profile_comes_first_and_every_benchmark_has_ours() -> None:
    for benchmark in BENCHMARKS:
        names = list(profiles_of(benchmark))
        if not names and benchmark.startswith("vsi-bench"):
            continue  # a module of their own
        assert names[0] == "official" and "strict" in names
        assert all(profile.source for profile in profiles_of(benchmark).values())


def test_what_a_choice_profile_reads_is_told() -> None:
    said = Said("1", "MSR", "q", OPTIONS, "A", "``B``")
    assert profiles_of("mmsi-bench")["official"].judge(said) == Judged(0.0, "B")
    assert profiles_of("mmsi-bench")["strict"].judge(said).read == "B"


def test_the_documents_name_every_profile() -> None:
    text = (REPOSITORY / "docs/benchmarks.md").read_text(encoding="utf-8")
    section = text.split("## Scorer profiles")[1].split("\n## ")[0]
    rows = dict(
        line.strip("| ").split(" | ")[:2] for line in section.splitlines() if "`, `" in line
    )
    for name, source in BENCHMARKS.items():
        if not name.startswith("vsi-bench"):
            (title,) = (title for title in rows if source.title.startswith(title))
            assert rows[title] == ", ".join(f"`{profile}`" for profile in profiles_of(name))
