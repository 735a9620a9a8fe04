"""`geovr study report` on studies made up for the purpose."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from geovr import cli_json
from geovr.cli import app
from geovr.errors import UserError
from geovr.evaluation.mra import mean_relative_accuracy
from geovr.study.curves import learning_curves
from geovr.study.page import FILES, write_report
from geovr.study.results import find_study, load_results
from geovr.study.summary import Summary, summarise
from geovr.study.table import grids, markdown, notes
from tests.report.html import Page
from tests.study.made import answered, questions, write_config, write_run, write_study

SHARES = {
    "text": {"turn": 0.3, "path_length": 0.4, "dominant_colour": 0.9},
    "all": {"turn": 0.8, "path_length": 0.7, "dominant_colour": 0.5},
    "planted": {"turn": 0.3, "path_length": 0.4, "dominant_colour": 0.9},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("studies") / "made"
    write_study(place, SHARES)
    return place


@pytest.fixture(scope="module")
def summary(root: Path) -> Summary:
    return summarise(load_results(root), root)


@pytest.fixture(autouse=True)
def in_words() -> Iterator[None]:
    """What one test asks for in JSON, the next doesn't."""
    yield
    cli_json.start(False)


@pytest.fixture
def changed(root: Path, tmp_path: Path) -> Path:
    """A copy that a test may change; answers stay in the store of the original."""
    return Path(shutil.copytree(root, tmp_path / "made"))


def hand_scores(root: Path, arm: str, seed: int, kind: str) -> list[float]:
    """Scores of a run's answers, straight from its file."""
    lines = (root / f"store/evaluation/{arm}-{seed}/predictions.jsonl").read_text().splitlines()
    found = []
    for row in map(json.loads, lines):
        if row["kind"] != kind:
            continue
        if row["options"]:
            found.append(float(row["text"] == row["answer"]))
        else:
            right = row["text"] != "nothing"
            found.append(mean_relative_accuracy(float(row["text"]), float(row["answer"])) if right
                         else 0.0)  # fmt: skip
    return found


def test_scores_and_differences_are_those_of_the_answers(root: Path, summary: Summary) -> None:
    by_hand = {
        (arm, seed): np.mean([np.mean(hand_scores(root, arm, seed, k)) for k in summary.kinds])
        for arm in SHARES
        for seed in (1, 2, 3)
    }
    assert summary.kinds == ("path_length", "turn") and summary.controls == ("dominant_colour",)
    assert summary.others == ("object_counting",)
    for arm in summary.arms:
        own = [float(by_hand[arm.name, seed]) for seed in (1, 2, 3)]
        line = arm.lines["mean"]
        assert list(line.score.by_seed.values()) == pytest.approx(own)
        assert line.score.mean == pytest.approx(np.mean(own))
        assert line.score.sd == pytest.approx(np.std(own, ddof=1))
        assert arm.train_seconds is not None and arm.train_seconds.mean == pytest.approx(102)
        if arm.name == "text":
            assert line.gap is None and line.nll_gap is None
            continue
        gaps = [own[seed - 1] - float(by_hand["text", seed]) for seed in (1, 2, 3)]
        assert line.gap is not None
        assert list(line.gap.by_seed.values()) == pytest.approx(gaps)
        assert line.gap.interval.mean == pytest.approx(np.mean(gaps))
    gains = {a.name: g for a in summary.arms if (g := a.lines["mean"].gap) is not None}
    assert gains["all"].interval.low > 0.2  # made with 0.4
    assert gains["planted"].interval.verdict == "not distinguishable"
    colour = summary.arms[1].lines["dominant_colour"].gap
    assert colour is not None and colour.interval.high < 0
    nll = summary.arms[1].lines["mean"].nll_gap
    assert nll is not None and nll.interval.high < 0  # right answers were made likelier


def test_another_arm_can_be_the_reference(root: Path, summary: Summary) -> None:
    turned = summarise(load_results(root, "all"), root)
    ours, theirs = (
        next(arm for arm in found.arms if arm.name == name).lines["mean"].gap
        for found, name in ((summary, "all"), (turned, "text"))
    )
    assert ours is not None and theirs is not None
    assert theirs.interval.mean == pytest.approx(-ours.interval.mean)
    assert theirs.interval.low == pytest.approx(-ours.interval.high)
    with pytest.raises(UserError, match="'none' is none of the arms"):
        load_results(root, "none")


def test_what_another_study_trained_has_no_time(changed: Path) -> None:
    for seed in (1, 2, 3):
        path = changed / f"runs/text/{seed}/done.json"
        told = json.loads(path.read_text()) | {"seconds": {"evaluate": 10.0}}
        path.write_text(json.dumps(told))
    found = summarise(load_results(changed), changed)
    assert [arm.train_seconds is None for arm in found.arms[:2]] == [True, False]
    write_report(load_results(changed), found, changed)
    first = (changed / "table.md").read_text().split("| text & co | 3 of 3 |")[1].splitlines()[0]
    assert first.endswith("|  |")


def test_baselines_stand_beside_the_arms(root: Path, summary: Summary) -> None:
    text = summary.arms[0].lines["mean"]
    assert text.blanked is not None and text.blanked.mean == 0  # they say nothing
    assert text.shuffled is not None and text.shuffled.by_seed == text.score.by_seed
    known = {line.kind: line.best_constant for line in load_results(root).runs[0].scores.kinds}
    assert summary.best_constant["turn"] == known["turn"]
    mean = (known["turn"] + known["path_length"]) / 2
    assert summary.best_constant["mean"] == pytest.approx(mean)
    main, geometric, objects, controls = grids(summary)
    rows = {row.label: row for row in main.rows}
    assert rows["best constant"].cells[1] == (f"{100 * mean:.1f}",)
    assert {"text & co, video blanked", "all & co, frames shuffled"} <= set(rows)
    assert "planted & co (planted: noise)" in rows
    assert [h.split("\n")[0] for h in geometric.headings] == ["arm", "path length", "turn"]
    assert [h.split("\n")[0] for h in objects.headings] == ["arm", "object counting"]
    assert [h.split("\n")[0] for h in controls.headings] == ["arm", "dominant colour"]
    assert len(rows) == len(geometric.rows) == 3 + 1 + 6


def test_the_notes_say_how_it_was_done(summary: Summary) -> None:
    told = " ".join(notes(summary))
    assert "maximum expected score" in told and "scenes and seeds, crossed" in told
    assert "Differences are to text & co" in told and "2,000 resamples" in told
    assert "Missing" not in told and "30 held-out scenes" in told


def test_a_run_of_other_parameters_is_left_out_and_told(changed: Path) -> None:
    path = changed / "runs/all/2/done.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"key": "older"}))
    results = load_results(changed)
    assert results.stale == (("all", 2),)
    found = summarise(results, changed)
    assert found.missing == found.stale == (("all", 2),)
    told = "\n".join(notes(found))
    assert "Left out, as made with other parameters, clips or targets: all with seed 2." in told
    assert "Missing" not in told


def test_code_that_changed_between_runs_is_told(changed: Path) -> None:
    found = summarise(load_results(changed), changed)
    assert f"Commit of the code that trained: {'c' * 40}." in notes(found)
    rows = answered(questions(30), SHARES["all"], 102)
    write_run(changed, "all", 2, rows, commit="d" * 40)
    text = "\n".join(notes(summarise(load_results(changed), changed)))
    assert "trained by different code" in text
    assert f"{'d' * 40} (1 runs)" in text


def test_differences_to_another_reference_are_not_logged(changed: Path) -> None:
    ended = CliRunner().invoke(
        app, ["study", "report", str(changed), "--log", "--reference", "all"]
    )
    assert isinstance(ended.exception, UserError)
    assert "leave out --log or --reference" in str(ended.exception)


def test_a_missing_run_is_told_and_the_rest_compared_on_shared_seeds(changed: Path) -> None:
    (changed / "runs/all/2/done.json").unlink()
    found = summarise(load_results(changed), changed)
    assert found.missing == (("all", 2),)
    gap = found.arms[1].lines["mean"].gap
    assert gap is not None and list(gap.by_seed) == [1, 3]
    assert "Missing, not done: all with seed 2." in notes(found)
    assert any("share fewer seeds" in note for note in notes(found))
    assert "| all & co | 2 of 3 |" in markdown(found)
    for seed in (1, 2, 3):
        (changed / f"runs/text/{seed}/done.json").unlink()
    results = load_results(changed)
    found = summarise(results, changed)
    assert all(arm.lines["mean"].gap is None for arm in found.arms)
    assert any("No differences: no run of the reference text" in note for note in notes(found))
    # there is nothing to draw differences of: that of an earlier report goes
    (changed / "gains.svg").write_text("old")
    assert "gains.svg" not in [path.name for path in write_report(results, found, changed)]
    assert not (changed / "gains.svg").exists()


def test_one_seed_has_no_spread_and_the_table_says_so(tmp_path: Path) -> None:
    write_study(tmp_path, SHARES, seeds=(5,))
    found = summarise(load_results(tmp_path), tmp_path)
    line = found.arms[1].lines["mean"]
    assert line.score.sd is None and line.gap is not None
    assert any("with one seed they say nothing of what another" in note for note in notes(found))
    assert "(" not in grids(found)[0].rows[1].cells[1][0]
    assert all(c.sd_N is None for c in learning_curves(load_results(tmp_path))["text"])
    write_report(load_results(tmp_path), found, tmp_path)
    assert "deviation" not in (tmp_path / "study.html").read_text()


def test_an_arm_without_blanked_answers_or_likelihoods_lacks_those_alone(tmp_path: Path) -> None:
    write_config(tmp_path, ["text", "all"], [1])
    rows = questions(10)
    write_run(tmp_path, "text", 1, answered(rows, {}, 1))
    bare = [row | {"nll": None} for row in answered(rows, {}, 2, views=())]
    write_run(tmp_path, "all", 1, bare)
    found = summarise(load_results(tmp_path), tmp_path)
    text, other = (arm.lines["mean"] for arm in found.arms)
    assert text.blanked is not None and text.nll is not None
    assert other.blanked is None and other.shuffled is None
    assert other.nll is None and other.nll_gap is None and other.gap is not None
    labels = [row.label for row in grids(found)[0].rows]
    assert "text & co, video blanked" in labels and "all & co, video blanked" not in labels


def test_runs_that_do_not_belong_together_are_refused(changed: Path, tmp_path: Path) -> None:
    rows = answered(questions(31), {}, 1)
    write_run(changed, "all", 1, rows)
    with pytest.raises(UserError, match=r"runs/all/1: other questions than .*runs/text/1"):
        summarise(load_results(changed), changed)
    write_run(changed, "all", 1, rows, scoring="official")
    with pytest.raises(UserError, match=r"all/1: scored by official; set evaluate.scoring to flow"):
        summarise(load_results(changed), changed)


def test_curves_are_means_over_seeds(root: Path) -> None:
    curves = learning_curves(load_results(root))
    assert list(curves) == ["text", "depth"]
    assert [curve.arm for curve in curves["depth"]] == ["all", "planted"]
    curve = curves["text"][0]
    # 40 steps: means of 3, whose first and last would be of fewer
    assert curve.step_N.tolist() == list(range(1, 39))
    middle = np.mean([2.2 + 5 / (1 + step) for step in (9, 10, 11)])
    assert curve.mean_N[9] == pytest.approx(middle)
    assert curve.sd_N == pytest.approx(np.full(38, 0.1))


def test_the_page_needs_nothing_else_and_escapes_what_it_tells(
    root: Path, summary: Summary, tmp_path: Path
) -> None:
    results = load_results(root)
    assert [p.name for p in write_report(results, summary, tmp_path / "a")] == list(FILES)
    write_report(results, summary, tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    source = (tmp_path / "a/study.html").read_text()
    page = Page(source)
    assert source.lstrip().startswith("<!doctype html>") and not page.faults
    assert all(target.startswith("#") for target in page.reached())
    assert {target[1:] for target in page.reached()} <= set(page.ids())
    assert not page.of("script", "link", "iframe", "object", "img")
    assert not re.search(r"@import|url\(|https?:", source)
    assert "Does it &lt;help&gt;?" in source and "text &amp; co" in source
    assert all("aria-label" in a or a.get("aria-hidden") == "true" for a in page.of("svg"))
    gap = summary.arms[1].lines["mean"].gap
    assert gap is not None
    assert f"{100 * gap.interval.mean:+.1f}" in page.table("arm")["all & co"][2]
    numbers = json.loads((tmp_path / "a/results.json").read_text())
    assert numbers["arms"][1]["lines"]["mean"]["gap"]["interval"]["low"] == gap.interval.low


def test_charts_stand_alone(root: Path, summary: Summary, tmp_path: Path) -> None:
    write_report(load_results(root), summary, tmp_path)
    for name in ("curves.svg", "gains.svg"):
        text = (tmp_path / name).read_text()
        drawing = ElementTree.fromstring(text)
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
        assert "class=" not in text and "var(" not in text and "<style" not in text
        assert text.count("http") == 1  # the name of the format, which nothing asks for
        marks = [e for e in drawing.iter() if e.tag.endswith(("path", "circle", "polygon"))]
        assert all("stroke" in e.attrib or "fill" in e.attrib for e in marks) and len(marks) > 5
    # two arms, and a mean and four kinds of each
    assert (tmp_path / "gains.svg").read_text().count("<circle") == 10


def test_the_command_writes_and_prints(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = Path("artifacts/study/made")
    shutil.copytree(root, place)
    told = CliRunner().invoke(app, ["study", "report", "made"])
    assert told.exit_code == 0, told.output
    assert "mean of 2 geometric kinds" in told.output and "all & co" in told.output
    assert all(f"written: artifacts/study/made/{name}" in told.output for name in FILES)
    assert "| all & co | 3 of 3 |" in (place / "table.md").read_text()
    spoken = CliRunner().invoke(app, ["study", "report", str(place), "--output", "o", "--json"])
    numbers = json.loads(spoken.stdout)
    assert numbers["exit_code"] == 0 and numbers["arms"][1]["name"] == "all"
    assert numbers["files"] == [f"o/{name}" for name in FILES]
    refused = CliRunner().invoke(app, ["study", "report", "made", "--log"]).exception
    assert isinstance(refused, UserError) and "parent_run.txt" in str(refused)


def test_what_is_no_study_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"nowhere: no directory, .*`geovr study run` makes one"):
        find_study("nowhere")
    with pytest.raises(UserError, match=r"no study\.json.*`geovr study run`"):
        load_results(tmp_path)
    write_config(tmp_path / "artifacts/study/made", ["text"], [1])
    with pytest.raises(UserError, match=r"no run is done yet; `geovr study run` goes on"):
        load_results(find_study("made"))
