"""`geovr score`: each question exactly once, raw answers untouched, every score with its doubt."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geovr.artifacts import EvalReport
from geovr.errors import GateRefused, UserError
from geovr.evaluation.benchmarks.lock import ids_digest
from geovr.evaluation.predictions import parse, predictions_key
from geovr.evaluation.scoring import score
from geovr.evaluation.statistics import SceneBootstrap
from geovr.storage import Store, sha256_bytes, sha256_file
from tests import published
from tests.bench.scoring import write

# the three questions of published.vsi, answered
ROWS = [
    {"id": 0, "kind": "object_counting", "answer": "4", "text": "5", "scene": "a"},
    {"id": 1, "kind": "object_rel_direction_easy", "answer": "B", "text": "(B)", "scene": "b"},
    {"id": 2, "kind": "room_size_estimation", "answer": "21.3", "text": "21 m", "scene": "a"},
]


def saved(path: Path, rows: list[dict[str, Any]], **header: Any) -> str:
    lines = [{"header": {"benchmark": "vsi-bench", **header}}] if header else []
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, *rows]))
    return str(path)


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "geovr", "score", *arguments], capture_output=True, text=True
    )


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return published.vsi(tmp_path / "vsi")


@pytest.mark.parametrize(
    "rows, options, told",
    [
        ([*ROWS, ROWS[1]], {}, r"4 answers to 3 .*\n  1 answered more than once: '1'"),
        (ROWS[:1], {}, r"1 answers to 3 .*--partial.*\n  2 not answered: '1', '2'"),
        ([*ROWS, {**ROWS[0], "id": 77}], {}, r"1 not of .*vsi: '77'"),
        ([*ROWS, {**ROWS[0], "id": 77}], {"partial": True}, r"1 not of .*vsi: '77'"),
        ([*ROWS, ROWS[0]], {"partial": True}, r"answered more than once: '0'"),
        ([{**ROWS[0], "answer": "5"}, *ROWS[1:]], {}, r"another kind or answer than .*: '0'"),
        ([*ROWS[:2], {**ROWS[2], "kind": "object_counting"}], {}, r"another kind or answer.*'2'"),
    ],
)  # fmt: skip
def test_a_reference_names_what_is_double_missing_or_foreign(
    tmp_path: Path, reference: Path, rows: list[Any], options: dict[str, Any], told: str
) -> None:
    uri = saved(tmp_path / "p.jsonl", rows, schema=1)
    with pytest.raises(GateRefused, match=told):
        score(uri, reference=reference, **options)


@pytest.mark.parametrize(
    "header, rows, told",
    [
        ({"questions": 4}, ROWS, r"3 answers to 4 questions.*\n  1 not answered; --reference"),
        ({"questions": 2}, ROWS, r"1 too many"),
        ({"questions": 3}, [*ROWS[:2], ROWS[0]], r"answered more than once: '0'"),
        ({"questions": 3, "ids_sha256": ids_digest([0, 1, 3])}, ROWS, r"not those of ids_sha256"),
    ],
)
def test_a_header_tells_how_many_and_which(
    tmp_path: Path, header: dict[str, Any], rows: list[Any], told: str
) -> None:
    with pytest.raises(GateRefused, match=told):
        score(saved(tmp_path / "p.jsonl", rows, **header))


def test_a_whole_file_passes(tmp_path: Path) -> None:
    header = {"questions": 3, "ids_sha256": ids_digest([0, 1, 2])}
    found = score(saved(tmp_path / "p.jsonl", ROWS, **header))
    assert (found.answers, found.expected, found.expected_by) == (3, 3, "the file's header")
    assert found.notes == [] and found.missing == []


def test_partial_scores_what_is_there_and_tells_the_coverage(
    tmp_path: Path, reference: Path
) -> None:
    uri = saved(tmp_path / "p.jsonl", ROWS[::2], schema=1)
    found = score(uri, reference=reference, partial=True)
    assert (found.answers, found.expected, found.missing) == (2, 3, ["1"])
    # 5 of 4, and 21 of 21.3
    assert found.profiles["official"].overall.score == (0.6 + 1.0) / 2
    done = cli(uri, "--reference", str(reference), "--partial")
    assert done.returncode == 0 and "2/3" in done.stdout and "not answered: '1'" in done.stdout


def test_exit_codes_and_json(tmp_path: Path, reference: Path) -> None:
    whole = saved(tmp_path / "whole.jsonl", ROWS, schema=1)
    before = sha256_file(Path(whole))
    done = cli(whole, "--reference", str(reference), "--profile", "all", "--json",
               "--output", str(tmp_path / "scores.json"))  # fmt: skip
    assert done.returncode == 0 and sha256_file(Path(whole)) == before
    told = json.loads(done.stdout)
    assert (told["status"], told["answers"], told["expected"]) == ("done", 3, 3)
    assert json.loads((tmp_path / "scores.json").read_text())["profiles"] == told["profiles"]
    assert told["profiles"]["official"]["unparsed"] == {"1": "(B)"}
    assert told["profiles"]["geovr-paper"]["unparsed"] == {"1": "(B)", "2": "21 m"}
    assert told["profiles"]["strict"]["overall"]["score"] == (0.6 + 1 + 1) / 3
    stops = told["profiles"]["lmms-eval"]["overall"]["stops"]
    assert stops == "KeyError: 'object_rel_direction_medium_accuracy'"

    refused = cli(saved(tmp_path / "twice.jsonl", [*ROWS, ROWS[2]], schema=1), "--json")
    assert refused.returncode == 3
    failure = json.loads(refused.stdout)
    assert failure["status"] == "refused" and "answered more than once: '2'" in failure["message"]

    mistaken = cli(whole, "--profile", "best")
    assert mistaken.returncode == 2 and "official, lmms-eval, easi" in mistaken.stderr


def test_which_are_pruned_comes_from_the_reference_or_the_answers(
    tmp_path: Path, reference: Path
) -> None:
    uri = saved(tmp_path / "p.jsonl", ROWS, schema=1)
    parts = score(uri, profile="easi", reference=reference).profiles["easi"].parts
    assert {name: part.score for name, part in parts.items()} == {
        "full": pytest.approx((0.6 + 1 + 1) / 3),
        "debiased": (0.6 + 1) / 2,
        "pruned": 1.0,
        "gap": pytest.approx((0.6 + 1 + 1) / 3 - 0.8),
    }
    assert score(uri, profile="easi").profiles["easi"].parts == {}
    marked = [{**row, "extra": {"pruned": row["id"] == 1}} for row in ROWS]
    uri = saved(tmp_path / "marked.jsonl", marked, schema=1)
    assert score(uri, profile="easi").profiles["easi"].parts == parts


def test_a_release_that_lists_the_pruned_ids_apart(tmp_path: Path, reference: Path) -> None:
    rows = [json.loads(line) for line in (reference / "test.jsonl").read_text().splitlines()]
    published.jsonl(reference / "test.jsonl", [{**r, "pruned": None} for r in rows])
    uri = saved(tmp_path / "p.jsonl", ROWS, schema=1)
    found = score(uri, profile="easi", reference=reference).profiles["easi"]
    assert found.parts["pruned"].items == 1
    (reference / "pruned_ids.txt").unlink()
    for table in reference.glob("test_*"):
        table.unlink()
    assert score(uri, profile="easi", reference=reference).profiles["easi"].parts == {}


def test_answers_in_the_store_of_an_evaluation(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    data = Path(saved(tmp_path / "p.jsonl", ROWS, questions=3)).read_bytes()
    store.put(predictions_key("k"), data)
    (tmp_path / "report").mkdir()
    details = {"key": "k", "predictions_sha256": sha256_bytes(data)}
    EvalReport.commit(
        tmp_path / "report", inputs={}, config={}, counts={}, store=store.uri, content={},
        details=details,
    )  # fmt: skip
    found = score(str(tmp_path / "report"), profile="strict")
    assert found.profiles["strict"].overall.score == (0.6 + 1 + 1) / 3


@pytest.mark.parametrize(
    "content, told",
    [
        ("", "holds no answer"),
        ('{"id": 1, "kind": "object_counting", "answer": "3", "text": 3}', "text that is none: 3"),
        ('{"id": [1], "kind": "x", "answer": "3", "text": "3"}', "id that is none"),
        ('{"id": 1, "kind": ["x"], "answer": "3", "text": "3"}', "kind that is none"),
        ('{"id": 1, "kind": "x", "answer": null, "text": "3"}', "answer that is none"),
        ('{"id": 1, "kind": "x", "answer": "3", "text": "3", "options": 7}', "options that is"),
        ('{"id": 1, "kind": "x", "answer": "3", "text": "3", "options": "AB"}', "options"),
        ('{"id": 1, "kind": "x", "answer": "3", "text": "3", "extra": 7}', "extra that is none"),
        ('{"id": 1, "kind": "x", "answer": "3"}', "text missing"),
        ('{"id": 1, "kind": "x", "answer": "3", "text": "3"}', "add --benchmark"),
        ('{"header": {"benchmark": "nobody-s"}}\n{"id": 1, "kind": "x", "answer": "", "text": ""}',
         "no profile scores it"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match=told):
        score(str(path))


def test_neither_file_nor_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no manifest\.json"):
        score(str(tmp_path))
    with pytest.raises(UserError, match="no such file"):
        score(str(tmp_path / "nothing.jsonl"))


def test_a_file_without_header_is_taken_by_its_kinds_and_says_so(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "scene"} for row in ROWS]
    found = score(saved(tmp_path / "p.jsonl", rows), profile="official")
    assert found.benchmark == "vsi-bench" and found.expected == 5130
    assert [note.split()[0] for note in found.notes] == ["taken", "3", "answers"]


def test_an_answer_may_hold_line_separators(tmp_path: Path) -> None:
    row = {"id": 1, "kind": "route_planning", "answer": "B", "text": "\u2028B\x85\x0b"}
    text = json.dumps(row, ensure_ascii=False)
    assert parse(text + "\n" + text, "file").rows == [row, row]


def test_what_is_listed_as_unparsed_steers_no_terminal(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "text": "\x1b[2J[bold]\ud800"}, *ROWS[1:]]
    done = cli(saved(tmp_path / "p.jsonl", rows, questions=3), "--list-unparsed")
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert r"'0': '\x1b[2J[bold]\ud800'  (official)" in done.stdout


def test_intervals_are_of_scenes_drawn_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", 400, seed=3)
    found = score(str(path), profile="official", resamples=300, seed=5).profiles["official"]
    rows = [json.loads(line) for line in path.read_text().split("\n")[1:] if line]
    from geovr.evaluation.profiles.table import profiles_of
    from geovr.evaluation.saved import said_of

    profile = profiles_of("vsi-bench")["official"]
    saids = [said_of(row, None) for row in rows]
    scores = np.asarray([profile.judge(said).score for said in saids])
    scenes = sorted({said.scene for said in saids})
    draws = np.random.default_rng(5).integers(0, len(scenes), (300, len(scenes)))
    direction = ("object_rel_direction_easy", "object_rel_direction_medium",
                 "object_rel_direction_hard")  # fmt: skip
    overall, gaps = [], []
    for draw in draws:
        drawn = [place for number in draw
                 for place, said in enumerate(saids) if said.scene == scenes[number]]  # fmt: skip

        def mean(places: list[int]) -> float:
            by_kind: dict[str, list[float]] = {}
            for place in places:
                by_kind.setdefault(saids[place].kind, []).append(scores[place])
            if len(by_kind) < 10:
                return float("nan")
            means = {kind: float(np.mean(values)) for kind, values in by_kind.items()}
            merged = np.mean([means.pop(kind) for kind in direction])
            return float(np.mean([*means.values(), merged]))

        overall.append(mean(drawn))
        gaps.append(overall[-1] - mean([p for p in drawn if not saids[p].extra["pruned"]]))
    low, high = np.nanpercentile(overall, [2.5, 97.5])
    assert (found.overall.low, found.overall.high) == pytest.approx((low, high), abs=1e-12)
    gap = found.parts["gap"]
    assert (gap.low, gap.high) == pytest.approx(np.nanpercentile(gaps, [2.5, 97.5]), abs=1e-12)


def test_one_scene_alone_has_no_interval(tmp_path: Path) -> None:
    one = [{**row, "scene": "only"} for row in ROWS]
    found = score(saved(tmp_path / "p.jsonl", one), profile="easi").profiles["easi"].overall
    assert (found.low, found.high) == (None, None) and found.score is not None


def test_a_weighted_sum_is_the_mean_of_groups_where_weights_are_shares() -> None:
    rng = np.random.default_rng(0)
    scenes, values = rng.integers(0, 9, 200), rng.random(200)
    groups, weights = [scenes < 99, values < 0.5, scenes == 3], [0.2, 0.5, 0.3]
    bootstrap = SceneBootstrap(scenes, 200, 0)
    whole = bootstrap.groups_mean(values, groups, weights)
    found = bootstrap.weighted_sum(values, groups, weights)
    assert (found.mean, found.low, found.high) == pytest.approx(
        (whole.mean, whole.low, whole.high), abs=1e-14
    )
    nothing = bootstrap.weighted_sum(values, [groups[0]] * 2, [1.0, -1.0])
    assert (nothing.mean, nothing.low, nothing.high) == (0.0, 0.0, 0.0)


def test_no_model_library_is_loaded() -> None:
    code = (
        "import sys, geovr.cli_score, geovr.evaluation.scoring, geovr.evaluation.scoring_table;"
        "from geovr.evaluation.profiles.table import profiles_of; profiles_of('vsi-bench');"
        "print([m for m in ('torch', 'transformers', 'pandas', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
