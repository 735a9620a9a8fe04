"""What a study's report leaves in MLflow."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from geovr import tracking
from geovr.cli import app
from geovr.errors import UserError
from geovr.study.page import FILES
from geovr.study.results import load_results
from geovr.study.summary import summarise
from geovr.study.tracked import parent_of
from geovr.tracking_runs import start_sweep
from tests.study.made import write_study
from tests.tracking.test_evaluation_runs import documented, held_to


def test_the_parent_run_gets_numbers_and_files(tmp_path: Path) -> None:
    write_study(tmp_path, {"text": {"turn": 0.2}, "all": {"turn": 0.9}}, seeds=(1, 2), scenes=8)
    summary = summarise(load_results(tmp_path), tmp_path)
    with pytest.raises(UserError, match=r"parent_run\.txt: missing.*--log"):
        parent_of(tmp_path)
    run_id = start_sweep("studies", "made")
    (tmp_path / "parent_run.txt").write_text(run_id + "\n")
    assert parent_of(tmp_path) == run_id
    ended = CliRunner().invoke(app, ["study", "report", str(tmp_path), "--log"])
    assert ended.exit_code == 0, ended.output
    logged = tracking.run_of(run_id).data.metrics
    gap = summary.arms[1].lines["mean"].gap
    assert gap is not None
    assert logged["study/all/gain"] == pytest.approx(gap.interval.mean)
    assert logged["study/all/gain_low"] == pytest.approx(gap.interval.low)
    assert "study/text/gain" not in logged
    kept = {item.path for item in tracking.client().list_artifacts(run_id, "study")}
    assert kept == {f"study/{name}" for name in FILES}
    held_to(set(logged), documented("Of a study"), free="^$")


def test_a_parent_run_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "parent_run.txt").write_text("0" * 32)
    with pytest.raises(UserError, match=r"0{32}: no such run"):
        parent_of(tmp_path)
