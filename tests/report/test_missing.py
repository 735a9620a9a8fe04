"""What a run lacks is said in its page: older runs, no heads, no teacher, refused gates."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from geovr.artifacts import Checkpoint, EvalReport, ModelVersion
from geovr.evaluation.geometry.report import GeometryReport, write
from geovr.report.config import ReportConfig
from geovr.report.make import make_report, report_of_registration
from tests.report.html import Page
from tests.workspace import Workspace

SMALL = ReportConfig(clips=1, worst=1)


@pytest.fixture
def own(flown: Workspace, tmp_path: Path) -> Workspace:
    """A copy that a test may damage; its manifests still name the store of the original."""
    return Workspace(Path(shutil.copytree(flown.root, tmp_path / "own", symlinks=True)))


def page_of(workspace: Workspace, config: ReportConfig = SMALL, name: str = "evaluation") -> Page:
    kind: Any = {"evaluation": EvalReport, "model_version": ModelVersion, "checkpoint": Checkpoint}
    root = kind[name].load(workspace.root / "artifacts" / name)
    with contextlib.chdir(workspace.root):
        page = Page(make_report(config, root).decode())
    assert not page.faults
    return page


@pytest.fixture
def no_records(flown: Workspace) -> Any:
    """The store as an older version left it."""
    records = flown.root / ".geovr/store/records"
    away = records.rename(records.with_name("away"))
    yield
    away.rename(records)


def test_a_run_without_records_shows_what_lies_beside_it(
    flown: Workspace, no_records: None
) -> None:
    page = page_of(flown, name="model_version")
    flow = page.table("Stage")
    assert flow["ingest"][2].startswith("12 clips") and flow["ingest"][0] == "unknown"
    assert "no record that it judged this run's data" in flow["check_clips"][2]
    assert "Promotion approved" in page.text and "Time in stages unknown" in page.text


def test_an_evaluation_alone_shows_itself(
    flown: Workspace, no_records: None, tmp_path: Path
) -> None:
    place = tmp_path / "a/b/c/evaluation"
    shutil.copytree(flown.root / "artifacts/evaluation", place)
    with contextlib.chdir(tmp_path):
        page = Page(make_report(SMALL, EvalReport.load(place)).decode())
    assert not page.faults and "not registered" in page.text
    assert page.text.count("Not shown") >= 4
    assert "no record of Checkpoint" in page.text and "the clips were not found" in page.text
    assert "displacement" in page.text


def test_a_checkpoint_is_a_run_so_far(flown: Workspace) -> None:
    page = page_of(flown, name="checkpoint")
    assert "no evaluation of it was given" in page.text
    assert "camera path of rooms/train-" in str(page.of("svg"))


def test_panels_can_be_switched_off(flown: Workspace) -> None:
    off = page_of(flown, ReportConfig(panels="off", clips=2))
    assert "not shown: switched off by register.report.panels: off" in off.text
    alts = [image["alt"] for image in off.of("img")]
    assert any(alt.startswith("teacher's depth") for alt in alts)
    assert not any(alt.startswith("model's depth") for alt in alts)
    none = page_of(flown, ReportConfig(clips=0, worst_clips=0))
    assert "register.report.clips: 0" in none.text and "frame at" not in str(none.of("img"))


def test_a_large_model_is_not_run_on_a_cpu(
    flown: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    page = page_of(flown, ReportConfig(clips=1, panels_cpu_mb=1))
    assert "there is no GPU here, and its weights of" in page.text


def test_without_heads_and_without_ground_truth_it_says_so(
    flown: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("<b>no memory</b>")

    monkeypatch.setattr("geovr.report.panels.Predictor", broken)
    root = EvalReport.load(flown.root / "artifacts/evaluation")
    with contextlib.chdir(tmp_path):  # ground truth is named relative to the work directory
        page = Page(make_report(SMALL, root).decode())
    assert not page.faults
    assert "not shown: it failed: RuntimeError: <b>no memory</b>." in page.text
    assert "The teacher was not asked about this split, and can't be now" in page.text


def test_geometry_that_was_not_measured_is_explained(own: Workspace) -> None:
    truth = own.root / "data/rooms/ground_truth"
    (truth / "test-00002.safetensors").unlink()
    own.inline("evaluate")
    some = page_of(own)
    assert "say of 3 clips, against exact ground truth" in some.text
    assert "1 clip has no numbers:" in some.text
    assert "rooms/test-00002: no ground truth: test-00002.safetensors is missing" in some.text
    own.inline("evaluate", "--set", "evaluate.geometry.clips=2")
    assert "2 more clips were left out by evaluate.geometry.clips." in page_of(own).text
    own.inline("evaluate", "--set", "evaluate.geometry={}")
    none = page_of(own)
    assert "Not shown: the evaluation was given no ground truth" in none.text
    report = own.root / "artifacts/evaluation"
    silent = GeometryReport(silent="the checkpoint holds no heads")
    manifest = EvalReport.load(report).manifest
    write(silent, report)
    EvalReport.commit(
        report, inputs=manifest.inputs, config=manifest.config, counts=manifest.counts,
        store=manifest.store, content="mute", details=manifest.details,
    )  # fmt: skip
    assert "Not shown: the checkpoint holds no heads." in page_of(own).text


def test_lost_answers_and_clips_are_told(own: Workspace, flown: Workspace) -> None:
    away = flown.root / ".geovr/store/evaluation"
    clips = flown.root / ".geovr/store/clips"
    moved = [path.rename(path.with_name(f"{path.name}.away")) for path in (away, clips)]
    try:
        page = page_of(flown)
    finally:
        for path in moved:
            path.rename(path.with_suffix(""))
    assert page.text.count("no such object; run the stage that writes it again") == 3


@pytest.mark.slow
def test_a_refused_gate_is_shown_with_its_rows(own: Workspace) -> None:
    """The gate refused, and the user went on by hand: the page doesn't hide it."""
    store = ["--set", f"store={own.root / 'second'}"]
    own.inline("ingest", *store)
    own.params({"check_clips": {"thresholds": {"max_quarantined_videos": 0.0}}})
    own.inline("check_clips", *store, code=3)
    for stage in ("extract_targets", "train", "evaluate", "register"):
        own.inline(stage, *store, "--set", "train.steps=1", "--set", "register.report.clips=0")
    page = Page((own.root / "artifacts/model_version/report.html").read_text())
    assert not page.faults
    assert "refused" in page.table("Stage")["check_clips"][2]
    assert "check_clips: refused" in page.text and "Few videos were put aside" in page.text
    assert "check_targets Not shown: no record that it judged" in page.text


def test_a_page_that_fails_undoes_no_registration(
    flown: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def broken(*_: Any) -> bytes:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("geovr.report.make.make_report", broken)
    (tmp_path / "report.html").write_text("an older one")
    report_of_registration(
        SMALL,
        Checkpoint.load(flown.root / "artifacts/checkpoint"),
        EvalReport.load(flown.root / "artifacts/evaluation"),
        {},
        tmp_path,
        {},
    )
    assert not (tmp_path / "report.html").exists()
    assert "a fault of ours" in caplog.text and "geovr report" in caplog.text
