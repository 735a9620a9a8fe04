"""`geovr study run`: what is done stays, what is stopped goes on, what fails is told."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from geovr.artifacts import git_sha
from tests.workspace import Workspace

OFF = {f"train.objectives.{name}": False for name in ("camera", "depth", "scale", "features")}


def make_study(workspace: Workspace, **changes: Any) -> Path:
    """A study of two arms and one seed on the workspace's scenes."""
    values = {
        "name": "mine",
        "about": "Does geometry help?",
        "base": "params.yaml",
        "reference": "text",
        "seeds": [1],
        "set": {"train.steps": 3, "evaluate.shuffled": False},
        "arms": [
            {"name": "text", "label": "text only", "set": OFF},
            {"name": "all", "label": "all four"},
        ],
    }
    path = workspace.root / "mine.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    return path


def done(workspace: Workspace, arm: str, seed: int = 1) -> dict[str, Any]:
    path = workspace.root / f"artifacts/study/mine/runs/{arm}/{seed}/done.json"
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def content(workspace: Workspace, arm: str) -> str:
    """Digest of a run's checkpoint: weights and heads."""
    manifest = workspace.manifest(f"study/mine/runs/{arm}/1/checkpoint")
    return str(manifest["content_digest"])


def test_a_study_runs_once_and_its_runs_are_nested(workspace: Workspace) -> None:
    make_study(workspace)
    told = workspace.geovr("study", "run", "mine.yaml")
    assert "2 runs done, 0 were done before" in told
    first = {arm: done(workspace, arm) for arm in ("text", "all")}
    assert set(first["all"]["seconds"]) == {"train", "evaluate"}

    told = workspace.geovr("study", "run", "mine.yaml")
    assert "0 runs done, 2 were done before" in told
    assert {arm: done(workspace, arm) for arm in ("text", "all")} == first

    runs = json.loads(workspace.geovr("runs", "list", "--json"))["runs"]
    by_name = {run["name"]: run for run in runs}
    top = by_name["study mine"]["id"]
    for arm in ("text", "all"):
        assert by_name[f"study mine, {arm}"]["parent"] == top
        key = workspace.manifest(f"study/mine/runs/{arm}/1/checkpoint")["details"]["key"]
        assert by_name[f"train-{key[:8]}"]["parent"] == by_name[f"study mine, {arm}"]["id"]


@pytest.mark.slow
def test_other_seeds_stay_in_the_study_and_other_parameters_dont(workspace: Workspace) -> None:
    make_study(workspace)
    root = workspace.root / "artifacts/study/mine"

    def report() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(workspace.inline("study", "report", "mine", "--json"))
        return told

    workspace.geovr("study", "run", "mine.yaml", "--arms", "text")
    workspace.geovr("study", "run", "mine.yaml", "--arms", "text", "--seeds", "4")
    assert report()["arms"][0]["seeds"] == [1, 4]
    # stopped before it trains anything: what stands was made otherwise
    other = ["--set", "train.steps=4", "--arms", "all"]
    process = workspace.start("geovr", "study", "run", "mine.yaml", *other)
    log = root / "runs/all/1/train.log"
    while not log.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    told = workspace.inline("study", "run", "mine.yaml", code=2)
    assert f"process {process.pid} is at work on this study" in told
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)
    assert "made with other parameters" in workspace.inline("study", "report", "mine", code=2)
    # nothing is lost by that
    assert "0 runs done, 1 were" in workspace.geovr("study", "run", "mine.yaml", "--arms", "text")
    told = report()
    assert told["arms"][0]["seeds"] == [1, 4]
    assert told["stale"] == []
    assert told["commits"] == {git_sha(): 2}
    # and what a store lost is made again
    for path in (workspace.root / ".geovr/store/evaluation").glob("*/predictions.jsonl"):
        path.unlink()
    told = workspace.geovr("study", "run", "mine.yaml", "--arms", "text")
    assert "1 runs done, 0 were done before" in told


@pytest.mark.slow
def test_only_what_changed_runs_again(workspace: Workspace) -> None:
    make_study(workspace)
    workspace.geovr("study", "run", "mine.yaml")
    text = done(workspace, "text")
    changed = [
        {"name": "text", "label": "text only", "set": OFF},
        {"name": "all", "label": "all four", "set": {"train.objectives.camera_weight": 1.0}},
    ]
    make_study(workspace, arms=changed)
    assert "1 runs done, 1 were done before" in workspace.geovr("study", "run", "mine.yaml")
    assert done(workspace, "text") == text
    # other questions are another result
    path = workspace.root / "data/rooms/test_questions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "2 runs done, 0 were done before" in workspace.geovr("study", "run", "mine.yaml")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_study_that_ends_early_goes_on_to_the_same_weights(
    workspace: Workspace, tmp_path: Path, number: signal.Signals
) -> None:
    steps = {"train.steps": 150, "train.checkpoint_every": 5, "evaluate.shuffled": False}
    make_study(workspace, set=steps)
    process = workspace.start("geovr", "study", "run", "mine.yaml", "--jobs", "1")
    log = workspace.root / "artifacts/study/mine/runs/text/1/train.log"
    deadline = time.monotonic() + 200
    while not list((workspace.root / ".geovr/store/training").glob("*/steps/*/manifest.json")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    told, _ = process.communicate(timeout=100)
    assert process.returncode == (75 if number == signal.SIGTERM else -number), told
    while "stopped after step" not in log.read_text():  # the run ends with its study
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    assert not (log.parent / "done.json").exists()
    workspace.geovr("study", "run", "mine.yaml", "--arms", "text")
    resumed = content(workspace, "text")

    make_study(workspace, set=steps | {"store": str(tmp_path / "other")})
    workspace.geovr("study", "run", "mine.yaml", "--arms", "text")
    assert content(workspace, "text") == resumed


def test_a_failed_run_is_told_and_the_others_go_on(workspace: Workspace) -> None:
    arms = [
        {"name": "text", "label": "text only", "set": OFF | {"train.resume_from": "0" * 24}},
        {"name": "all", "label": "all four"},
    ]
    make_study(workspace, arms=arms)
    told = workspace.geovr("study", "run", "mine.yaml", code=2)
    assert "1 of 2 runs failed: text/1" in told
    assert "train.resume_from" in told
    assert done(workspace, "all")
    assert not (workspace.root / "artifacts/study/mine/runs/text/1/done.json").exists()


def test_a_wrong_key_is_told_before_anything_is_made(workspace: Workspace) -> None:
    arms = [
        {"name": "text", "label": "text only", "set": OFF},
        {"name": "all", "label": "all four", "set": {"train.objectives.camra": True}},
    ]
    make_study(workspace, arms=arms)
    told = workspace.inline("study", "run", "mine.yaml", code=2)
    assert "arm all" in told
    assert "did you mean 'camera'" in told
    assert not (workspace.root / "artifacts/study/mine/clips").exists()
