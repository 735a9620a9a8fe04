"""The report of a real tiny run: all that is promised is there, well formed, and escaped."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from geovr.artifacts import EvalReport, ModelVersion
from geovr.config import canonical_json
from geovr.evaluation.geometry.measure import NUMBERS
from geovr.evaluation.geometry.report import GeometryReport
from geovr.evaluation.report import Scores
from geovr.evaluation.scorers import score
from geovr.geometry.depth_errors import ALIGNMENTS
from geovr.report.config import ReportConfig
from geovr.report.gather import ORDER
from geovr.report.geometry import brief
from geovr.report.make import make_report
from geovr.stages import STAGES
from tests.hostile import FILE, QUESTION
from tests.report.html import Page
from tests.workspace import REPOSITORY, Workspace


@pytest.fixture(scope="module")
def source(flown: Workspace) -> str:
    return (flown.root / "artifacts/model_version/report.html").read_text()


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def artifact(flown: Workspace, name: str) -> Path:
    return flown.root / "artifacts" / name


def test_the_page_is_well_formed_and_needs_nothing_else(source: str, page: Page) -> None:
    assert source.startswith("<!doctype html>") and not page.faults
    assert all(count == 1 for count in page.ids().values())
    assert not page.of("script", "link", "iframe", "object")
    assert not re.search(r"@import|url\(", source)
    targets = page.reached()
    assert len(targets) > 20
    assert all(t.startswith(("data:image/", "#")) for t in targets)
    assert {t[1:] for t in targets if t.startswith("#")} <= set(page.ids())
    assert len(source) < 2_000_000


def test_who_can_not_see_it_can_read_it(page: Page) -> None:
    assert [a["lang"] for a in page.of("html")] == ["en"]
    assert all(image.get("alt") for image in page.of("img"))
    drawn = page.of("svg")
    assert drawn and all("aria-label" in a or a.get("aria-hidden") == "true" for a in drawn)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all("scope" in header for header in page.of("th"))
    assert all(a["tabindex"] == "0" for a in page.of("div") if a.get("class") == "scroll")


def test_the_flow_has_each_stage_with_its_counts(flown: Workspace, page: Page) -> None:
    flow = page.table("Stage")
    assert tuple(flow) == ORDER == tuple(stage.name for stage in STAGES)
    clips, targets, checkpoint, evaluation = (
        flown.manifest(name)["counts"] for name in ("clips", "targets", "checkpoint", "evaluation")
    )
    assert flow["ingest"][1] == f"{clips['videos_in']} videos {clips['questions_in']} questions"
    assert flow["ingest"][2].startswith(f"{clips['clips']} clips {clips['questions']} questions")
    assert flow["ingest"][3] == f"{clips['videos_quarantined']} videos quarantined"
    assert flow["extract_targets"][2].startswith(f"{targets['targets']} targets")
    assert flow["extract_targets"][3] == f"{targets['clips_of_other_splits']} clips of other splits"
    assert flow["train"][1:3] == [f"{checkpoint['clips']} clips", f"{checkpoint['steps']} steps"]
    asked = evaluation["questions"]
    assert flow["evaluate"][1:3] == [f"{asked} questions", f"{asked} answers"]
    for gate in ("check_clips", "check_targets"):
        held = flown.manifest(f"{gate.removeprefix('check_')}_report")["counts"]["held"]
        assert f"{held} expectations held" in flow[gate][2] and "passed" in flow[gate][2]
    assert flow["register"][0] == "it wrote this page"


def test_the_times_are_those_of_the_records(flown: Workspace, page: Page) -> None:
    store = flown.root / ".geovr/store/records"
    runs = [json.loads(path.read_text()) for path in store.glob("*/*/*.json")]
    first = {run["stage"]: run for run in sorted(runs, key=lambda r: r["began"], reverse=True)}
    flow = page.table("Stage")
    for stage in ORDER[:-1]:
        assert flow[stage][0] == f"{first[stage]['seconds']:.1f} s", stage


def test_scores_are_those_of_the_evaluation(flown: Workspace, page: Page) -> None:
    scores = Scores.model_validate_json((artifact(flown, "evaluation") / "report.json").read_text())
    for line in (scores.headline, *scores.kinds):
        score, over = line.score, line.over_constant
        assert (
            f"{100 * score.mean:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]" in page.text
        )
        assert f"{100 * over.mean:+.1f} [{100 * over.low:.1f}, {100 * over.high:.1f}]" in page.text
        assert f"{line.kind} n = {line.items}" in page.text.replace("mean of 6 kinds", "mean")
    bars = [a["aria-label"] for a in page.of("svg") if a.get("class") == "scorebar"]
    wanted = [f"score {100 * k.score.mean:.1f}," for k in (scores.headline, *scores.kinds)]
    assert [bar.partition(" interval")[0] for bar in bars] == wanted
    decision = flown.manifest("model_version")["details"]
    assert f"{decision['name']} version {decision['version']}" in page.text
    assert f"Promotion {decision['decision']}: {decision['reason']}." in page.text


def test_every_loss_term_has_its_curve(flown: Workspace, page: Page) -> None:
    lines = (artifact(flown, "checkpoint") / "curve.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    charts = [a["aria-label"] for a in page.of("svg") if a.get("class") == "chart"]
    terms = {name: last[name] for name in last if name == "loss" or name.startswith("loss/")}
    assert len(charts) == len(terms) == 6
    for name, value in terms.items():
        short = "total" if name == "loss" else name.removeprefix("loss/")
        assert any(c.startswith(f"{short} loss over 6 steps") and c.endswith(f"to {value:.3g}")
                   for c in charts)  # fmt: skip


def test_geometry_is_that_of_the_evaluation(flown: Workspace, page: Page) -> None:
    text = (artifact(flown, "evaluation") / "geometry.json").read_text()
    report = GeometryReport.model_validate_json(text)

    def told(name: str) -> str:
        value = report.means[name].value
        return f"{brief(value.mean)} [{brief(value.low)}, {brief(value.high)}]"

    depth, others = page.table("Depth"), page.table("Camera and scale")
    assert len(depth) == 3 and len(others) == len(NUMBERS) - 9
    guess = [report.means[f"abs_rel_{way}"].constant or 0.0 for way in ALIGNMENTS[1:]]
    median, squares = (
        f"{told(f'abs_rel_{way}')} constant {brief(one)}"
        for way, one in zip(ALIGNMENTS[1:], guess, strict=True)
    )
    assert depth["AbsRel"] == [told("abs_rel"), median, squares]
    assert others["pose AUC@30"] == [told("auc_30"), "0.000", "4"]
    drawn = [a["aria-label"] for a in page.of("svg") if a.get("class") == "histogram"]
    assert len(drawn) == 3 and all("of 4 clips: mean" in label for label in drawn)
    for clip, value in report.worst("rotation_deg", 5):
        assert f"{clip.clip_id} ({brief(value)})" in page.text


def test_clips_show_frames_both_depths_and_both_paths(page: Page) -> None:
    plans = [a["aria-label"] for a in page.of("svg") if a.get("class") == "plan"]
    assert len(plans) == 4 and all("by the teacher and the model" in label for label in plans)
    assert sum("test-" in label for label in plans) == sum("train-" in label for label in plans)
    alts = [image["alt"] for image in page.of("img")]
    frames, failed = ReportConfig().frames, ReportConfig().worst_clips
    for kind, clips in (("frame", 4 + failed), ("teacher's depth", 4), ("model's depth", 4)):
        assert sum(alt.startswith(f"{kind} at") for alt in alts) == clips * frames
    assert page.text.count("depth AbsRel") == 4
    assert page.text.count("The oracle was asked about it for this page alone.") == 2


def test_the_worst_answers_are_the_worst(flown: Workspace, page: Page) -> None:
    worst = page.text.partition("Worst answers The lowest")[2].partition("Made from")[0]
    shown = [float(score) for score in re.findall(r"score ([\d.]+) %", worst)]
    assert len(shown) == ReportConfig().worst and shown == sorted(shown)
    questions = pd.read_parquet(artifact(flown, "clips") / "questions.parquet")
    asked = [text for text in questions["question"] if re.sub(r"\s+", " ", text) in worst]
    assert asked and worst.count(" truth ") - 1 == len(shown)


def test_the_worst_clips_come_with_frames_and_all_their_answers(
    flown: Workspace, page: Page
) -> None:
    shown = page.text.partition("Worst clips The clips")[2].partition("Worst answers")[0]
    told = re.findall(r"(\S+) ([\d.]+) % over (\d+) questions", shown)
    assert len(told) == ReportConfig().worst_clips
    assert [float(score) for _, score, _ in told] == sorted(float(score) for _, score, _ in told)
    details = flown.manifest("evaluation")["details"]
    kept = flown.root / ".geovr/store" / details["predictions_key"]
    rows = [row for row in map(json.loads, kept.read_text().splitlines()) if "text" in row]
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["clip_id"], []).append(
            score(row["text"], row["answer"], row["options"])
        )
    means = {clip: sum(found) / len(found) for clip, found in scores.items()}
    assert means[told[0][0]] == min(means.values())
    for clip, mean, count in told:
        assert int(count) == len(scores[clip]) and float(mean) == round(100 * means[clip], 1)


def test_a_champion_is_compared_with_kind_by_kind(flown: Workspace) -> None:
    evaluation = EvalReport.load(artifact(flown, "evaluation"))
    decision = flown.manifest("model_version")["details"]
    gains = {
        "mean": {"mean": 0.051, "low": 0.012, "high": 0.09},
        "path_length": {"mean": -0.2, "low": -0.31, "high": -0.1},
        "turn": {"mean": 0.0, "low": -0.1, "high": 0.1},
    }
    tested = [
        {"kind": "mean", "p_adjusted": 0.0004, "verdict": "above"},
        {"kind": "path_length", "p_adjusted": 0.08, "verdict": "not distinguishable"},
    ]
    judged = {
        "approved": False,
        "table": tested,
        "reason": "it is <worse>",
        "champion": 4,
        "gains": gains,
    }
    with contextlib.chdir(flown.root):
        made = make_report(ReportConfig(clips=0), evaluation, (), decision, judged).decode()
        first = make_report(ReportConfig(clips=0), evaluation, (), decision, None).decode()
    page = Page(made)
    assert not page.faults and "Against the champion" not in first
    assert "Promotion refused: it is <worse>." in page.text and "to version 4" in page.text
    table = page.table("Kind of question")
    assert list(table) == ["mean", "path_length", "turn"]
    assert table["mean"][1:] == ["+5.1 [1.2, 9.0]", "<0.001", "better"]
    assert table["path_length"][1:] == ["-20.0 [-31.0, -10.0]", "0.080", "not distinguishable"]
    assert table["turn"][-1] == "not distinguishable"
    labels = [a["aria-label"] for a in page.of("svg") if a.get("class") == "forest"]
    assert labels[1] == "path_length: -20.0 points, interval -31.0 to -10.0"


def test_what_users_wrote_is_only_text(flown: Workspace, source: str, page: Page) -> None:
    assert FILE in page.text and QUESTION.strip() in page.text
    assert "<script" not in source and 'onerror="' not in source
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    template = "".join(path.read_text() for path in REPOSITORY.glob("geovr/report/*.j2"))
    assert re.findall(r"{{[^}]*\|\s*safe[^}]*}}", template) == ["{{ css|safe }}"]


def test_it_is_made_again_with_the_same_bytes(flown: Workspace, tmp_path: Path) -> None:
    version = ModelVersion.load(artifact(flown, "model_version"))
    with contextlib.chdir(flown.root):
        first, second = (make_report(ReportConfig(), version) for _ in range(2))
    assert first == second
    out = tmp_path / "again.html"
    told = flown.inline("report", "--output", str(out))
    assert out.read_bytes() == first and f"{out}: " in told
    flow = Page(first.decode()).table("Stage")
    assert re.fullmatch(r"[\d.]+ s", flow["register"][0])


def test_a_run_is_found_by_its_mlflow_id_when_its_directories_are_gone(
    flown: Workspace, tmp_path: Path
) -> None:
    run = flown.manifest("checkpoint")["details"]["mlflow_run_id"]
    whole = tmp_path / "whole.html"
    flown.inline("report", "artifacts/model_version", "--output", str(whole))
    kept = artifact(flown, "").rename(flown.root / "away")
    try:
        flown.inline("report", run, "--output", str(tmp_path / "run.html"))
        unknown = flown.inline("report", "0" * 32, code=2)
    finally:
        kept.rename(flown.root / "artifacts")
    assert (tmp_path / "run.html").read_bytes() == whole.read_bytes()
    assert "no such run" in unknown


def test_mlflow_has_the_page(flown: Workspace, source: str) -> None:
    run = flown.manifest("checkpoint")["details"]["mlflow_run_id"]
    place = flown.root / ".geovr/mlflow-artifacts"
    logged = list(place.glob(f"*/{run}/artifacts/report/report.html"))
    assert [path.read_text() for path in logged] == [source]


def test_what_names_no_run_is_refused_in_words(flown: Workspace, tmp_path: Path) -> None:
    assert "this is a ClipSet; give one of" in flown.inline("report", "artifacts/clips", code=2)
    assert "no manifest.json" in flown.inline("report", "data", code=2)
    shutil.copytree(artifact(flown, "model_version"), tmp_path / "old")
    path = tmp_path / "old/manifest.json"
    path.write_text(canonical_json(json.loads(path.read_text()) | {"kind": "Nothing"}))
    assert "not a manifest this version reads" in flown.inline("report", str(path.parent), code=2)
