"""The flow through the command line: every stage, errors as users read them, kill and resume."""

from __future__ import annotations

import subprocess
import time

import pytest

from geovr.stages import STAGES
from tests.workspace import BIN, Workspace


def test_help_answers_at_once() -> None:
    best = 9.0
    for _ in range(5):
        began = time.monotonic()
        out = subprocess.run([BIN / "geovr", "--help"], capture_output=True, text=True, check=True)
        best = min(best, time.monotonic() - began)
    assert all(stage.name in out.stdout for stage in STAGES)
    # the promise is 0.5 s on an idle machine; three times that says heavy imports crept in
    assert best < 1.5


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['geovr', '--help']\n"
        "from geovr.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'mlflow', 'great_expectations', 'kfp', 'pandas', 'numpy', 'pydantic'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    result = subprocess.run([BIN / "python", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.fault(31, 46)
def test_the_seven_stages_then_killed_training_resumes(workspace: Workspace) -> None:
    """One workspace through all stages; the training is killed once and goes on bit for bit."""
    for stage in ("ingest", "check_clips", "extract_targets", "check_targets"):
        workspace.inline(stage)
    workspace.inline("train", "--output", "artifacts/whole", "--set", "store=.geovr/other")
    slow = ("geovr", "train", "--set", "train.checkpoint_every=1")
    workspace.kill_when_checkpointed(*slow)
    log = workspace.inline("train")
    assert workspace.curve() == workspace.curve("whole")
    whole, resumed = workspace.manifest("whole"), workspace.manifest("checkpoint")
    assert resumed["content_digest"] == whole["content_digest"]
    assert resumed["details"]["files"] == whole["details"]["files"]
    assert "6 steps" in log
    table = workspace.inline("evaluate")
    assert "MEAN of 6 geometric kinds" in table and "dominant_colour (control)" in table
    workspace.inline("register")
    first = workspace.manifest("model_version")["details"]
    assert first["leakage"] == "none"
    assert (first["version"], first["decision"], first["champion"]) == (1, "approved", 1)
    workspace.inline("register")
    assert workspace.manifest("model_version")["details"]["version"] == 1

    log = workspace.inline("train")
    assert "trained already" in log
    log = workspace.inline("extract_targets")
    assert "0 teacher calls, 8 reused" in log
    log = workspace.inline("ingest")
    assert "(0 decoded, 12 reused)" in log

    workspace.params({"train": {"steps": 3}})
    for stage in ("train", "evaluate", "register"):
        workspace.inline(stage)
    second = workspace.manifest("model_version")["details"]
    assert second["version"] == 2
    assert second["decision"] == "refused"  # four scenes tell nothing
    out = workspace.inline("promote", "--version", "2", code=3)
    assert "refused: 4 scenes are too few to tell it from version 1" in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train", "--set", "train.stepz=1"], "stepz: unknown key; did you mean 'steps'"),
        (["ingest", "--set", "ingest.videos=none"], "none: no such folder"),
        (["check_clips"], "artifacts/clips: no such file or directory"),
        (["train", "--params", "none.yaml"], "none.yaml: neither a file nor a recipe"),
        (["simulate", "--output", "x", "--scenes", "many"], "--scenes many: write it as"),
        (["ingest", "--questions", "data/q.jsonl"], "write it as train:FILE"),
    ],
)
def test_mistakes_are_named_and_exit_2(
    workspace: Workspace, arguments: list[str], message: str
) -> None:
    out = workspace.inline(*arguments, code=2)
    assert message in out
    assert "Traceback" not in out


def test_a_mistake_on_the_command_line_exits_2(workspace: Workspace) -> None:
    assert "No such option" in workspace.geovr("train", "--bogus", code=2)
    assert "UserError: none.yaml" in workspace.geovr("train", "--params", "none.yaml", code=2)
