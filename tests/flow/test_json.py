"""`--json`: one object on stdout, of success and of every kind of failure; the rest on stderr."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import pytest

from tests.workspace import BIN, Workspace, environment


def ask(work: Workspace, *arguments: str, code: int) -> tuple[dict[str, Any], str]:
    """The object, and what stderr has."""
    done = subprocess.run(
        [BIN / "geovr", *arguments, "--json"],
        cwd=work.root, env=environment(work.root), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    told = json.loads(done.stdout)
    assert told["exit_code"] == code
    return told, done.stderr


def test_a_stage_that_is_done(workspace: Workspace) -> None:
    told, log = ask(workspace, "ingest", code=0)
    manifest = workspace.manifest("clips")
    assert (told["status"], told["stage"], told["kind"]) == ("done", "ingest", "ClipSet")
    assert told["digest"] == manifest["content_digest"] and told["counts"] == manifest["counts"]
    assert told["used"]["clips"] == manifest["counts"]["clips"] and told["seconds"] > 0
    assert told["output"] == "artifacts/clips"
    assert "ingest: done in " in log and "; quarantined nothing; wrote artifacts/clips" in log


def test_a_mistake_and_a_refusal(workspace: Workspace) -> None:
    told, log = ask(workspace, "ingest", "--set", "ingest.nonsense=1", code=2)
    assert (told["status"], told["error"]) == ("failed", "UserError")
    assert "nonsense" in told["message"] and told["message"] in log
    workspace.inline("ingest")
    told, _ = ask(workspace, "check_clips", "--set", "check_clips.thresholds.min_side=4000", code=3)
    assert (told["status"], told["error"]) == ("refused", "GateRefused")
    assert "report" in told["message"]


def test_stopped_by_a_signal(workspace: Workspace) -> None:
    (workspace.root / "more").mkdir()
    process = subprocess.Popen(
        [BIN / "geovr", "simulate", "--output", "more", "--scenes", "4000+0", "--processes", "1",
         "--json"],
        cwd=workspace.root, env=environment(workspace.root), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while not list(workspace.root.glob("more/ground_truth/*.safetensors")):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    told = json.loads(out)
    assert (told["status"], told["error"], told["exit_code"]) == ("interrupted", "Interrupted", 75)


def test_the_commands_beside_the_flow(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(workspace.inline("recipes", "--json"))
    assert "2b-vggt-4gpu" in told and all(isinstance(text, str) for text in told.values())
    told, _ = ask(workspace, "simulate", "--output", "few", "--scenes", "1+1", code=0)
    assert told["scenes"] == {"test": 1, "train": 1} and told["made"] == 2
