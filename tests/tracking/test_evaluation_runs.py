"""What an evaluation and a training leave in MLflow, and the commands that show it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geovr import tracking
from geovr.artifacts import Checkpoint, ClipSet
from geovr.errors import UserError
from geovr.evaluation.report import make_scores, metric_name, metrics
from geovr.evaluation.tracked import experiment_of, log_evaluation
from geovr.runs_table import differing, metric, sections
from geovr.storage import Store
from geovr.tracking_runs import Runs, Told, start_sweep
from tests.workspace import REPOSITORY, Workspace, make_workspace


def documented(heading: str) -> list[str]:
    """Names of metrics in a section of docs/metrics.md."""
    page = (REPOSITORY / "docs/metrics.md").read_text()
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def held_to(names: set[str], patterns: list[str], free: str) -> None:
    """Every name fits a pattern, and every pattern but those of `free` has a name."""
    as_regex = {
        pattern: re.compile(re.sub(r"<\w+>", r"[A-Za-z0-9_. -]+", re.escape(pattern)
                                   .replace(r"\<", "<").replace(r"\>", ">")))
        for pattern in patterns
    }  # fmt: skip
    unknown = {name for name in names if not any(r.fullmatch(name) for r in as_regex.values())}
    assert not unknown
    idle = {p for p, r in as_regex.items() if not any(r.fullmatch(name) for name in names)}
    assert not {pattern for pattern in idle if not re.search(free, pattern)}


@pytest.fixture
def home_of_flown(flown: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setitem(os.environ, "GEOVR_HOME", str(flown.root / ".geovr"))
    return flown


def test_the_names_of_metrics_are_those_documented(home_of_flown: Workspace) -> None:
    details = home_of_flown.manifest("evaluation")["details"]
    mlflow = tracking.client()
    training = mlflow.get_run(details["mlflow_run_id"]).data.metrics
    own = mlflow.get_run(details["evaluation_run_id"]).data.metrics
    evaluated = {name for name in training if name.startswith("eval/")}
    assert evaluated == set(own)
    held_to(evaluated, documented("Of an evaluation"), free="^$")
    losses = set(training) - evaluated
    held_to(losses, documented("Of a training"), free="skipped_steps|system")


def test_a_kind_of_any_name_is_a_metric_that_mlflow_takes(tmp_path: Path) -> None:
    kinds = ["Positional Relationship (Cam.–Obj.)", "a/b//c", "..", "MSR", "速度", "x  y?"]
    names = [metric_name(kind) for kind in kinds]
    assert names == [
        "Positional Relationship Cam. Obj", "a b c", "unnamed", "MSR", "unnamed", "x y",
    ]  # fmt: skip
    with tracking.run("e", "n", key="k") as run:
        run.log_results({f"eval/{name}_low": 0.5 for name in names})
    assert len(tracking.client().get_run(run.run_id).data.metrics) == 5


def test_metrics_are_the_scores() -> None:
    test = pd.DataFrame(
        [("room_size_estimation", None, "10", f"s{n}") for n in range(20)],
        columns=["kind", "options", "answer", "scene"],
    )
    texts = ["10"] * 15 + ["many"] * 5
    scores = make_scores(
        test, test, np.asarray(test["scene"]), {"model": texts, "blanked": ["5"] * 20},
        np.full(20, 2.0), benchmark_digest="d", binned=False, resamples=200, seed=0, published=21,
    )  # fmt: skip
    told = metrics(scores)
    kind = "eval/room_size_estimation"
    assert told[kind] == told["eval/mean"] == 0.75 and told[f"{kind}_n"] == 20
    assert told[f"{kind}_low"] < 0.75 < told[f"{kind}_high"]
    assert told["eval/coverage"] == 20 / 21 and told["eval/unparsed"] == 5
    assert told[f"{kind}_nll"] == 2.0 and told[f"{kind}_over_constant"] == -0.25
    # 5 of 10 is half off: of the ten thresholds only the first holds
    assert told[f"{kind}_blanked"] == pytest.approx(0.1) and f"{kind}_shuffled" not in told


def test_an_evaluation_has_a_run_in_the_experiment_of_its_protocol(
    home_of_flown: Workspace,
) -> None:
    manifest = home_of_flown.manifest("evaluation")
    details = manifest["details"]
    mlflow = tracking.client()
    own = mlflow.get_run(details["evaluation_run_id"])
    assert mlflow.get_experiment(own.info.experiment_id).name == "geovr/eval/own/flow"
    tags, params = own.data.tags, own.data.params
    assert tags["geovr.training_run"] == details["mlflow_run_id"]
    assert tags["geovr.checkpoint"] == manifest["inputs"]["checkpoint"]
    assert tags["geovr.predictions"].endswith(details["predictions_key"])
    assert own.info.status == "FINISHED" and tags["stage"] == "evaluate"
    assert params["protocol"] == "flow" and params["batch_rows"] == "4"
    assert params["decoding"] == "expected_score" and params["resamples"] == "2000"
    given = {d.dataset.name: d.tags for d in own.inputs.dataset_inputs}
    assert set(given) == {"benchmark", "clips"}
    artifacts = {file.path for file in mlflow.list_artifacts(own.info.run_id, "evaluation")}
    assert artifacts == {f"evaluation/{name}" for name in (
        "geometry.json", "predictions.jsonl", "report.json", "table.md")}  # fmt: skip
    kept = mlflow.download_artifacts(own.info.run_id, "evaluation/predictions.jsonl")
    said = home_of_flown.root / ".geovr/store" / details["predictions_key"]
    assert Path(kept).read_bytes() == said.read_bytes()
    back = mlflow.get_run(details["mlflow_run_id"]).data.tags
    assert back["geovr.evaluation_run"] == own.info.run_id


def test_an_evaluation_tried_again_goes_on_in_its_run(
    flown: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = make_workspace(tmp_path / "work", flown.root)
    monkeypatch.setitem(os.environ, "GEOVR_HOME", str(again.root / ".geovr"))
    run_id = again.manifest("evaluation")["details"]["evaluation_run_id"]
    mlflow = tracking.client()

    def told() -> tuple[dict[str, Any], int, int]:
        run = mlflow.get_run(run_id)
        history = mlflow.get_metric_history(run_id, "eval/mean")
        runs = mlflow.search_runs([run.info.experiment_id])
        return run.data.metrics, len(history), len(runs)

    before = told()
    assert before[1:] == (1, 1)
    again.inline("evaluate")
    assert told() == before
    assert again.manifest("evaluation")["details"]["evaluation_run_id"] == run_id


def test_what_is_too_large_is_named_by_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="geovr")
    store = Store.open(str(tmp_path / "store"))
    store.put("p.jsonl", b"x" * 2000)
    with tracking.run("e", "train", key="k") as run:
        training = run.run_id
    common: dict[str, Any] = {
        "inputs": {}, "config": {}, "counts": {}, "store": store.uri, "content": 1,
    }  # fmt: skip
    for name in ("checkpoint", "clips", "report"):
        (tmp_path / name).mkdir()
    for name in ("report.json", "table.md"):
        (tmp_path / "report" / name).write_text("{}")
    checkpoint = Checkpoint.commit(
        tmp_path / "checkpoint", details={"mlflow_run_id": training}, **common
    )
    published = {"benchmark": "vsi-bench", "revision": "r1"}
    clips = ClipSet.commit(tmp_path / "clips", details={"benchmark": published}, **common)
    details = {
        "key": "a", "benchmark_digest": "b" * 64, "predictions_key": "p.jsonl",
        "predictions_sha256": "s", "protocol": "vsi-bench/official",
    }  # fmt: skip

    def log(most_mb: float, **params: Any) -> set[str]:
        run_id = log_evaluation(
            "g", checkpoint=checkpoint, clips=clips, store=store, directory=tmp_path / "report",
            details=details, params=params, metrics={"eval/mean": 0.5}, tags={}, most_mb=most_mb,
        )  # fmt: skip
        run = tracking.client().get_run(run_id)
        experiment = tracking.client().get_experiment(run.info.experiment_id)
        assert experiment.name == "g/eval/vsi-bench/official"
        assert run.data.params["revision"] == "r1"
        files = tracking.client().list_artifacts(run_id, "evaluation")
        return {file.path for file in files}

    small = log(0.002, batch_rows=1)
    assert "evaluation/predictions.jsonl" in small and not caplog.text
    assert log(0.0019, batch_rows=2) == small - {"evaluation/predictions.jsonl"}
    assert "p.jsonl has 0.002 MB, so MLflow is told its place only" in caplog.text


def test_names_of_experiments() -> None:
    assert experiment_of("geovr", "vsi-bench", "vsi-bench/official") == (
        "geovr/eval/vsi-bench/official"
    )
    assert experiment_of("g", "own", "flow") == "g/eval/own/flow"
    assert experiment_of("g", "a b", "x/y z") == "g/eval/a_b/x_y_z"


def put_runs() -> tuple[str, str, str]:
    """Two trainings of a sweep and an evaluation, on this test's own database."""
    parent = start_sweep("geovr", "rates")
    found = []
    for rate, score in ((0.1, 0.4), (0.2, 0.6)):
        with tracking.run("geovr", f"train-{rate}", key=f"k{rate}") as run:
            run.set_tags({tracking.PARENT_TAG: parent})
            run.log_params({"rate": rate, "steps": 5})
            run.log_results({"eval/mean": score, "eval/mean_low": score - 0.05,
                             "eval/mean_high": score + 0.05, "loss": 1.25})  # fmt: skip
            run.log_dataset("clips", "s3://x", "c" * 64, "training", {})
        found.append(run.run_id)
    with tracking.run("geovr/eval/own/flow", "eval-1", key="e") as run:
        run.set_tags({"geovr.training_run": found[1]})
        run.log_results({"eval/mean": 0.6})
    mlflow = tracking.client()
    mlflow.create_registered_model("geovr")
    mlflow.create_model_version("geovr", "s3://x", run_id=found[1])
    mlflow.set_registered_model_alias("geovr", "champion", "1")
    return found[0], found[1], run.run_id


def test_runs_are_listed_sorted_and_found_by_name() -> None:
    first, second, evaluated = put_runs()
    known = Runs()
    listed = known.listed(None, 20, None)
    assert [run.name for run in listed] == ["eval-1", "train-0.2", "train-0.1", "rates"]
    assert [run.id for run in known.listed("geovr/eval", 20, None)] == [evaluated]
    assert [run.name for run in known.listed("geovr", 2, None)] == ["eval-1", "train-0.2"]
    by_score = known.listed("geovr", 20, "eval/mean")
    assert [run.metrics["eval/mean"] for run in by_score] == [0.6, 0.6, 0.4]
    assert known.one("train-0.1").id == first and known.one(second[:12]).id == second
    run = known.one(second)
    assert run.versions == ("geovr 1 (champion)",) == known.one(evaluated).versions
    assert run.parent == start_sweep("geovr", "rates") != start_sweep("geovr", "other")
    assert run.datasets[0].digest == "c" * 64
    for reference, message in (("nobody", "names no run"), ("0" * 32, "no such run"),
                               ("", "names no run")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            known.one(reference)
    with tracking.run("geovr", "train-0.1", key="twin"):
        pass
    with pytest.raises(UserError, match=r"names 2 runs: .*give an id"):
        known.one("train-0.1")
    with pytest.raises(UserError, match=r"there is none .*geovr/eval/own/flow"):
        known.listed("none", 20, None)
    with pytest.raises(UserError, match="no run has this metric"):
        known.listed(None, 20, "eval/nothing")
    with pytest.raises(UserError, match="not the name of a metric"):
        known.listed(None, 20, "a` DESC")


def test_runs_side_by_side() -> None:
    first, second, _ = put_runs()
    known = Runs()
    runs = [known.one(first), known.one(second)]
    assert differing(runs) == {"rate": ["0.1", "0.2"]}
    told = dict(sections(runs, all_params=False))
    assert told["parameter that differs"] == [["rate", "0.1", "0.2"]]
    assert told["metric [95 %]"] == [
        ["eval/mean", "0.400 [0.350, 0.450]", "0.600 [0.550, 0.650]"], ["loss", "1.25", "1.25"],
    ]  # fmt: skip
    assert told["data"] == [["clips (training)", "c" * 12, "c" * 12]]
    assert ["versions", "-", "geovr 1 (champion)"] in told["run"]
    assert metric({"loss": 2.0}, "loss") == "2" and metric({}, "loss") == ""


def test_the_commands(flown: Workspace) -> None:
    details = flown.manifest("evaluation")["details"]
    training, own = details["mlflow_run_id"], details["evaluation_run_id"]
    for command in (["runs"], ["runs", "list"]):
        shown = flown.inline(*command)
        assert training[:8] in shown and "geovr 1" in shown and "geovr/eval/own/flow" in shown
    told = json.loads(flown.inline("runs", "--experiment", "geovr/eval", "--json"))
    assert own in [run["id"] for run in told["runs"]]
    assert {run["experiment"] for run in told["runs"]} == {"geovr/eval/own/flow"}
    shown = flown.inline("runs", "show", training[:10])
    assert "optim.learning_rate" in shown and "eval/room_size_estimation" in shown
    shown = flown.inline("runs", "compare", training, own)
    assert "parameter that differs" in shown and "evaluation run" in shown
    told = json.loads(flown.inline("runs", "compare", training, own, "--json"))
    assert [run["id"] for run in told["runs"]] == [training, own] and "steps" in told["params"]
    assert "two runs or more" in flown.inline("runs", "compare", training, code=2)


def test_a_training_is_nested_in_the_sweep_that_it_is_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("ingest", "extract_targets"):
        workspace.inline(stage)
    parent = workspace.inline("runs", "sweep", "rates").strip()
    assert workspace.inline("runs", "sweep", "rates").strip() == parent
    monkeypatch.setenv("GEOVR_PARENT_RUN", "sweep-1")
    assert "not an MLflow run's id" in workspace.inline("train", code=2)
    monkeypatch.setenv("GEOVR_PARENT_RUN", parent)
    workspace.inline("train", "--set", "train.steps=1")
    details = workspace.manifest("checkpoint")["details"]

    def parent_of(run_id: str) -> str | None:
        told = json.loads(workspace.inline("runs", "show", run_id, "--json"))
        found: str | None = told["run"]["parent"]
        return found

    assert parent_of(details["mlflow_run_id"]) == parent
    # a finished training that another sweep comes by is shown there, and not trained again
    other = workspace.inline("runs", "sweep", "steps").strip()
    log = workspace.inline("train", "--set", "train.steps=1", "--set", f"train.parent_run={other}")
    assert "trained already" in log and parent_of(details["mlflow_run_id"]) == other
    assert workspace.manifest("checkpoint")["details"]["key"] == details["key"]


def test_told_is_json(tmp_path: Path) -> None:
    _, second, _ = put_runs()
    run: Told = Runs().one(second)
    told = json.loads(json.dumps(run.told()))
    assert told["datasets"] == [{"name": "clips", "digest": "c" * 64, "context": "training"}]
    assert told["params"] == {"rate": "0.2", "steps": "5"} and told["status"] == "FINISHED"
