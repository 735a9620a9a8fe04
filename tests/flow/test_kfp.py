"""The flow through Kubeflow Pipelines' local runner, green and red."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.workspace import Workspace


def outputs(workspace: Workspace, name: str) -> list[Path]:
    return sorted((workspace.root / ".geovr/kfp").glob(f"*/*/{name}/manifest.json"))


def test_a_run_is_green_and_shows_its_result(workspace: Workspace) -> None:
    out = workspace.pipeline()
    for shown in ("check_clips", "MEAN of 6 geometric kinds", "Registered geovr version 1"):
        assert shown in out
    for name in ("clips", "clips_report", "targets", "targets_report", "checkpoint",
                 "evaluation", "model_version"):  # fmt: skip
        assert outputs(workspace, name), name


@pytest.mark.fault(20)
def test_not_a_number_in_depth_ends_red_before_training(workspace: Workspace) -> None:
    scene = workspace.root / "data/rooms/ground_truth/train-00003.safetensors"
    truth = load_file(scene)
    truth["depth_NHW"] = truth["depth_NHW"].copy()
    truth["depth_NHW"][2, 5, 7] = np.nan
    save_file(truth, scene)
    out = workspace.pipeline(code=3)
    assert "GateRefused: check_targets" in out and "rooms/train-00003" in out
    assert "Depth is a finite number everywhere" in out
    assert not outputs(workspace, "checkpoint")
    assert not (workspace.root / ".geovr/store/training").exists()
    reports = list((workspace.root / ".geovr/store/reports/check_targets").glob("*/report.html"))
    assert len(reports) == 1 and "rooms/train-00003" in reports[0].read_text()


@pytest.mark.slow
def test_killed_in_training_and_run_again_it_goes_on(workspace: Workspace) -> None:
    workspace.params({"train": {"checkpoint_every": 1, "steps": 30}})
    workspace.kill_when_checkpointed("python", "-m", "pipelines", "run", "--local")
    workspace.pipeline()
    resumed = outputs(workspace, "checkpoint")[-1].parent / "curve.jsonl"
    workspace.pipeline("--set", "store=.geovr/other")
    whole = outputs(workspace, "checkpoint")[-1].parent / "curve.jsonl"
    assert whole != resumed
    assert curve(whole) == curve(resumed)


def curve(path: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in path.read_text().splitlines()]
