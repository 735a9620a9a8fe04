"""The study of objectives, small: from scenes to the page, and through another door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from geovr.artifacts import Checkpoint, EvalReport
from geovr.evaluation.predictions import read
from tests.workspace import REPOSITORY, Workspace

pytestmark = pytest.mark.slow
STEPS, SCENES = 200, {"preset": "study", "train": 500, "test": 100}


def shipped(root: Path, **changes: Any) -> Path:
    """The shipped study with its base, in a work directory, with some changes."""
    study = yaml.safe_load((REPOSITORY / "pipelines/studies/objectives.yaml").read_text())
    study |= {"arms": study["arms"][:2]} | changes
    path = root / "small.yaml"
    path.write_text(yaml.safe_dump(study))
    base = yaml.safe_load((REPOSITORY / "pipelines/studies/base.yaml").read_text())
    base["extract_targets"]["launch"] = {"scheduler": "inline"}
    (root / "base.yaml").write_text(yaml.safe_dump(base))
    return path


def answers(directory: Path) -> list[dict[str, Any]]:
    report = EvalReport.load(directory)
    rows = read(report.store, report.manifest.details["key"]).rows
    return [{k: row[k] for k in ("id", "text", "blanked_text", "nll")} for row in rows]


def test_a_small_study_from_scenes_to_page(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    study = {"seeds": [2], "scenes": SCENES, "set": {"train.steps": STEPS}}
    shipped(tmp_path, **study)
    workspace.geovr("study", "run", "small.yaml")
    told = workspace.geovr("study", "report", "objectives")
    assert "text only" in told
    assert "all four" in told
    root = tmp_path / "artifacts/study/objectives"
    for name in ("table.md", "results.json", "study.html", "gains.svg", "curves.svg"):
        assert (root / name).stat().st_size > 500
    text, every = (root / "runs" / arm / "2" for arm in ("text", "all"))
    for run, terms in ((text, {"text"}), (every, {"text", "camera", "depth", "scale", "features"})):
        lines = (run / "checkpoint/curve.jsonl").read_text().splitlines()
        curve = [json.loads(line) for line in lines]
        assert len(curve) == STEPS
        assert {k.removeprefix("loss/") for k in curve[-1] if k.startswith("loss/")} == terms
        # it learns something, and all that it is asked to
        for term in terms:
            first, last = (
                sum(m[f"loss/{term}"] for m in part) for part in (curve[:20], curve[-20:])
            )
            assert last < 0.97 * first, f"{run}: {term}"
    # the same clips and questions, in the same order
    assert [row["id"] for row in answers(text / "evaluation")] == [
        row["id"] for row in answers(every / "evaluation")
    ]


def test_the_pipeline_gives_the_numbers_of_the_study(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    scenes = {"preset": "study", "train": 48, "test": 16}
    shipped(tmp_path, seeds=[2], scenes=scenes, set={"train.steps": 20})
    workspace.geovr("study", "run", "small.yaml", "--arms", "all")
    root = tmp_path / "artifacts/study/objectives"
    run = root / "runs/all/2"

    # another store, so that nothing is found done, and the study's clips
    params = yaml.safe_load((run / "params.yaml").read_text())
    params["store"] = ".geovr/other"
    params["ingest"] = {"clips": str(root / "clips")}
    params["check_clips"] = params["register"] = {}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    workspace.pipeline("--set", "register.model_name=small-study")
    found = next((tmp_path / ".geovr/other/training").glob("*/finished.json"))
    ours = Checkpoint.load(run / "checkpoint").manifest.details
    theirs = json.loads(found.read_text())
    assert found.parent.name == ours["key"]
    assert theirs["files"] == ours["files"]  # the weights, to the last bit
    key = EvalReport.load(run / "evaluation").manifest.details["predictions_key"]
    first = (tmp_path / ".geovr/store" / key).read_text().splitlines()
    second = (tmp_path / ".geovr/other" / key).read_text().splitlines()
    assert first[1:] == second[1:]
    assert len(first) > 16
