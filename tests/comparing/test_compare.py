"""Which questions and protocols may be compared, what is said about it, and the table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geovr.comparing import compare as comparing
from geovr.comparing.compare import compare
from geovr.comparing.sources import Side, baseline_of, side_of
from geovr.comparing.table import cells
from geovr.errors import UserError
from geovr.evaluation import comparison
from geovr.evaluation.comparison import MEAN
from geovr.evaluation.profiles.profile import Group, Judged, Profile, Total
from geovr.storage import sha256_bytes
from tests.workspace import Workspace


def answer(number: int, kind: str = "turn", right: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{kind}{number}", "scene": f"s{number}", "kind": kind, "options": None,
        "answer": "10", "text": "10" if right else "99", **more,
    }  # fmt: skip


def side(right: int, count: int = 20, name: str = "m", **more: Any) -> Side:
    return Side(name, [answer(n, right=n < right) for n in range(count)], **more)


def test_the_same_questions_are_compared_without_a_word() -> None:
    found = compare(side(15, name="a"), side(5, name="b"))
    assert (found.a, found.b, found.scoring, found.scenes, found.notes) == (
        "a",
        "b",
        "flow",
        20,
        [],
    )
    mean = found.lines[0]
    assert mean.difference.mean == pytest.approx(0.5) and mean.verdict == "above"
    assert found.told()["lines"][0]["a"] == 0.75 and found.told()["lines"][0]["verdict"] == "above"
    assert cells(mean)[:4] == ("MEAN", "20", "75.0", "25.0") and cells(mean)[4].startswith(
        "+50.0 ["
    )
    json.dumps(found.told())


def test_a_question_more_or_another_one_is_refused_by_name_and_left_out_on_request() -> None:
    a, b = side(15, name="a"), side(5, 18, name="b")
    b.rows[3]["answer"] = "11"
    b.rows[4]["options"] = ["A. x"]
    b.rows[5]["kind"] = "path_length"
    a.rows[6]["question"] = "How far?"
    b.rows[6]["question_sha256"] = sha256_bytes(b"How wide?")
    with pytest.raises(UserError) as refused:
        compare(a, b)
    told = str(refused.value)
    assert "2 were answered by a only: turn18, turn19" in told
    assert "4 ids name different questions: turn3 (answer), turn4 (options), turn5 (kind)" in told
    assert "turn6 (question)" in told and "--common compares the 14 that are common" in told
    found = compare(a, b, common=True)
    assert (
        found.lines[0].items == 14 and "the 14 questions that are common; 2 were" in found.notes[0]
    )
    # right in b of those left: 0, 1, 2; in a also 7 to 14
    assert found.lines[0].difference.mean == pytest.approx(8 / 14)
    a.rows[6]["question"] = "How wide?"
    assert "turn6" not in compare(a, b, common=True).notes[0]
    other = Side("c", [answer(n, "path_length") for n in range(3)])
    with pytest.raises(UserError, match="have no question in common"):
        compare(a, other, common=True)


def test_a_question_answered_twice_is_named() -> None:
    a = side(3)
    with pytest.raises(UserError, match=r"b: 1 questions were answered twice: turn7;"):
        compare(a, Side("b", [*a.rows, answer(7)]), common=True)


def test_other_digests_and_protocols_are_refused() -> None:
    known: dict[str, Any] = {"protocol": "vsi/official", "protocol_digest": "d1"}
    compare(side(3, **known), side(4, **known))
    with pytest.raises(UserError, match="digests of their benchmarks differ"):
        compare(side(3, benchmark_digest="x"), side(3, benchmark_digest="y"))
    assert compare(side(3, benchmark_digest="x"), side(3, benchmark_digest=None)).notes == []
    other = side(4, protocol="vsi/easi", protocol_digest="d2", name="b")
    with pytest.raises(UserError, match=r"official, b by vsi/easi: .*--common"):
        compare(side(3, **known), other)
    (note,) = compare(side(3, **known), other, common=True).notes
    assert "the difference may be the protocol's" in note
    with pytest.raises(UserError, match="contents of that name differ"):
        compare(side(3, **known), side(3, **known | {"protocol_digest": "d3"}))
    (note,) = compare(side(3, **known), side(4)).notes
    assert "by an unknown one, so they may differ in that" in note


def test_lines_by_type_and_none() -> None:
    kinds = ("object_rel_direction_easy", "object_rel_direction_hard", "route_planning")
    rows = [answer(n, kind, right=n < 4) for kind in kinds for n in range(8)]
    a, b = Side("a", rows), Side("b", [row | {"text": "99"} for row in rows])
    assert [line.kind for line in compare(a, b).lines] == [
        MEAN, "object_rel_direction", "route_planning",
    ]  # fmt: skip
    assert [line.kind for line in compare(a, b, by="type").lines] == [MEAN, *kinds]
    assert [line.kind for line in compare(a, b, by="none").lines] == [MEAN]


def test_a_profile_is_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    always = Profile(
        "lenient", ("bench",), "here",
        judge=lambda said: Judged(1.0 if said.text else 0.0, said.text),
        total=lambda said, judged: Total(
            None, {}, "KeyError: 'x'" if said[0].text == "10" else None
        ),
        groups=lambda said: [Group("all", np.ones(len(said), dtype=bool), 1.0)],
    )  # fmt: skip
    for module in (comparison, comparing):
        monkeypatch.setattr(
            module, "profiles_of", lambda name: {"lenient": always} if name == "bench" else {}
        )
    a, b = side(20, benchmark="bench"), side(0, benchmark="bench")
    found = compare(a, b, profile="lenient")
    assert found.lines[0].difference.mean == 0.0
    assert found.notes == [
        "upstream's own code ends on the answers of A (KeyError: 'x'); the mean is of what there is"
    ]
    for default in (compare(a, b), compare(a, b, profile="flow")):
        assert default.scoring == "flow" and default.lines[0].difference.mean == 1.0
    with pytest.raises(UserError, match="--profile strict: bench can be scored by flow, lenient"):
        compare(a, b, profile="strict")
    with pytest.raises(UserError, match="--profile lenient: questions of your own can be scored"):
        compare(side(1), side(2), profile="lenient")
    with pytest.raises(UserError, match="of bench and other, which are scored apart; --prof"):
        compare(a, side(2, benchmark="other"))
    assert compare(a, side(2, benchmark="other"), profile="flow").scoring == "flow"


def test_by_default_a_benchmark_is_scored_as_published_and_own_questions_by_the_flow(
    tmp_path: Path,
) -> None:
    def written(name: str, text: str, **header: Any) -> Side:
        rows = [
            answer(n, "object_abs_distance", answer="-3", text=text if n else "word")
            for n in range(6)
        ]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, [{"header": header}, *rows])))
        return side_of(str(path), tmp_path)

    # the official scorer gives every number full marks where the target is negative
    sides = [written(name, text, benchmark="vsi-bench") for name, text in (("a", "9"), ("b", "x"))]
    found = compare(sides[0], sides[1])
    assert (found.scoring, found.lines[0].ours, found.notes) == ("official", 5 / 6, [])
    assert compare(sides[0], sides[1], profile="flow").lines[0].ours == 0.0
    assert compare(sides[0], sides[1], profile="strict").scoring == "strict"
    other = replace(sides[1], benchmark="vsi-bench-debiased")
    assert compare(sides[0], other).scoring == "official"  # of the same scorers
    for header in ({}, {"benchmark": None}, {"benchmark": "own"}):
        own = [written(name, text, **header) for name, text in (("a", "9"), ("b", "x"))]
        found = compare(own[0], own[1])
        assert (found.scoring, found.lines[0].ours, found.notes) == ("flow", 0.0, [])


def test_a_side_on_which_the_upstreams_code_ends_is_told() -> None:
    rows = [answer(n, "object_abs_distance", answer="3", text="3") for n in range(4)]
    a = Side("a", rows, benchmark="vsi-bench")
    b = replace(a, name="b", rows=[*rows[:3], rows[3] | {"text": None}])
    (note,) = compare(a, b).notes
    assert note.startswith("upstream's own code ends on the answers of B (AttributeError: ")
    assert note.endswith("; the mean is of what there is")
    assert compare(a, b).lines[0].theirs == 0.75
    assert compare(a, b, profile="flow").notes == []


def test_files_are_read_with_and_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    lines = [json.dumps(answer(n)) for n in range(3)]
    path.write_text("\n".join(lines))
    assert side_of(str(path), tmp_path).protocol is None
    header = {"benchmark": "vsi-bench", "protocol": "vsi/official", "protocol_digest": "d"}
    path.write_text("\n".join([json.dumps({"header": header}), *lines]))
    read = side_of(str(path), tmp_path)
    assert (read.benchmark, read.protocol, read.protocol_digest) == tuple(header.values())
    assert len(read.rows) == 3
    with pytest.raises(UserError, match=r"nothing\.jsonl: can't be read"):
        side_of(str(tmp_path / "nothing.jsonl"), tmp_path)


def test_baselines_of_a_bare_file(tmp_path: Path) -> None:
    rows = [
        answer(n, right=False, answer="10" if n else "40", blanked_text="10", shuffled_text=None)
        for n in range(5)
    ]
    known = Side("m", rows)
    blank, notes = baseline_of(known, "blanked", tmp_path)
    assert [row["text"] for row in blank.rows] == ["10"] * 5 and not notes
    assert compare(known, blank).lines[0].theirs == 0.8
    with pytest.raises(UserError, match="5 questions were not asked shuffled"):
        baseline_of(known, "shuffled", tmp_path)
    frequent, notes = baseline_of(known, "most_frequent", tmp_path)
    assert {row["text"] for row in frequent.rows} == {"10"}
    assert "learnt from the very questions" in notes[0]
    with pytest.raises(UserError, match="--against champion: choose one of blanked, "):
        baseline_of(known, "champion", tmp_path)


def told(flown: Workspace, *arguments: str) -> dict[str, Any]:
    text = flown.inline("compare", *arguments, "--json")
    found: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return found


def test_every_name_of_an_evaluation_means_the_same_answers(flown: Workspace) -> None:
    details = flown.manifest("evaluation")["details"]
    file = f".geovr/store/{details['predictions_key']}"
    report = json.loads((flown.root / "artifacts/evaluation/report.json").read_text())
    for name in (
        file, "artifacts/model_version", details["mlflow_run_id"], "models:/geovr@champion",
        "models:/geovr/1",
    ):  # fmt: skip
        found = told(flown, name, "artifacts/evaluation")
        mean = found["lines"][0]
        assert mean["a"] == mean["b"] == pytest.approx(report["headline"]["score"]["mean"])
        assert mean["p"] == 1.0 and mean["verdict"] == "not distinguishable"
        assert mean["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "scenes": 4}
        assert {line["kind"]: line["a"] for line in found["lines"][1:]} == pytest.approx(
            {line["kind"]: line["score"]["mean"] for line in report["kinds"]}
        )


def test_a_model_and_its_baselines_agree_with_the_report(flown: Workspace, tmp_path: Path) -> None:
    report = json.loads((flown.root / "artifacts/evaluation/report.json").read_text())
    for which in ("blanked", "shuffled", "most_frequent", "best_constant"):
        found = told(flown, "artifacts/evaluation", "--against", which)
        assert (
            found["notes"] == []
            and found["b"] == f"artifacts/evaluation, {which.replace('_', ' ')}"
        )
        assert found["lines"][0]["b"] == pytest.approx(report["headline"][which])
        by_kind = {line["kind"]: line for line in found["lines"]}
        for line in report["kinds"]:
            assert by_kind[line["kind"]]["b"] == pytest.approx(line[which])
            if which == "best_constant":
                expected = line["over_constant"]
                assert by_kind[line["kind"]]["difference"] == pytest.approx(expected)


def test_the_table_the_plot_and_the_numbers(flown: Workspace, tmp_path: Path) -> None:
    plot, numbers = tmp_path / "forest.png", tmp_path / "numbers.json"
    shown = flown.inline(
        "compare", "artifacts/evaluation", "--against", "blanked", "--output", str(plot)
    )
    assert "MEAN" in shown and "A - B [95 %]" in shown and "room_size_estimation" in shown
    assert "clustered by scene" in shown and f"written: {plot}" in shown
    picture = np.asarray(Image.open(plot).convert("RGB"))
    assert picture.shape[1] > 500 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
    first = plot.read_bytes()
    again = ["compare", "artifacts/evaluation", "--against", "blanked", "--output"]
    flown.inline(*again, str(plot))
    assert plot.read_bytes() == first
    flown.inline(*again, str(numbers), "--by", "none")
    assert [line["kind"] for line in json.loads(numbers.read_text())["lines"]] == [MEAN]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["artifacts/evaluation"], "give B, or --against a baseline"),
        (["artifacts/evaluation", "x", "--against", "blanked"], "one of the two"),
        (["artifacts/checkpoint", "artifacts/evaluation"], "this is a Checkpoint, which holds no"),
        (["artifacts/evaluation", "models:/geovr@nobody"], "there is no such version"),
        (["artifacts/evaluation", "0" * 32], "no such run"),
        (["artifacts/evaluation", "--against", "blanked", "--by", "scene"], "kind, type, none"),
        (["artifacts/evaluation", "--against", "blanked", "--output", "x.pdf"], "end it with .png"),
        (
            ["artifacts/evaluation", "--against", "blanked", "--profile", "official"],
            "--profile official: questions of your own can be scored by flow",
        ),
    ],
)
def test_mistakes_end_with_2_and_say_what_to_do(
    flown: Workspace, arguments: list[str], message: str
) -> None:
    assert message in flown.inline("compare", *arguments, code=2)
