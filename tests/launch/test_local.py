"""A job on this machine: what is tried again and what isn't, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geovr.errors import GateRefused, Interrupted, UserError
from geovr.launch import agent, local
from geovr.launch.channel import Channel, Told, Work
from geovr.launch_config import LaunchConfig
from tests.workspace import Workspace


@pytest.mark.fault(32)
@pytest.mark.parametrize(
    ("codes", "error", "again"),
    [
        ([None, 1], None, True),
        ([75, 75], "Interrupted", True),
        ([1, 75], None, True),
        ([1, 1], None, False),
        ([2, 2], "UserError", False),
        ([2, None], "UserError", False),
        ([3, 75], "GateRefused", False),
    ],
)
def test_lost_and_interrupted_nodes_are_tried_again(
    codes: list[int | None], error: str | None, again: bool
) -> None:
    told = None if error is None else Told(error=error, message="")
    assert local.can_retry(codes, told) is again


def test_a_channel_keeps_the_first_words_that_no_restart_can_heal(tmp_path: Path) -> None:
    channel = Channel(str(tmp_path))
    for error in (Interrupted("a"), UserError("b"), GateRefused("c"), Interrupted("d")):
        channel.tell(error)
    told = channel.told()
    assert told is not None and told.final
    assert repr(told.exception()) == repr(UserError("b"))
    channel.put_exit_code(1, 2)
    assert channel.exit_codes(3) == [None, 2, None]
    channel.start(Work(stage="train", config={}, inputs={}))
    assert channel.told() is None and channel.exit_codes(3) == [None] * 3


@pytest.mark.parametrize(
    ("told", "workers", "code"),
    [
        (None, [1, 1], 1),
        (None, [-9, 1], 75),
        (None, [75], 75),
        (UserError("x"), [1], 2),
        (UserError("x"), [-15, 2], 2),
        (GateRefused("x"), [1], 3),
        (Interrupted("x"), [1], 1),
    ],
)
def test_agents_of_all_nodes_end_with_the_code_of_the_mistake(
    tmp_path: Path, told: Exception | None, workers: list[int], code: int
) -> None:
    """Where the mistake was made on another node, the own workers only lost their connections."""
    channel = Channel(str(tmp_path))
    if told is not None:
        channel.tell(told)
    assert agent._code(channel, workers) == code


@pytest.mark.fault(36)
def test_what_a_killed_agent_leaves_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(local, "_GRACE_S", 0.5)
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    mine = subprocess.Popen([sys.executable, "-c", stubborn, str(tmp_path)])
    other = subprocess.Popen([sys.executable, "-c", stubborn, f"{tmp_path}-other"])
    try:
        local._end_all(str(tmp_path))
        assert mine.wait(timeout=10) == -signal.SIGKILL
        assert other.poll() is None
        assert f"process {mine.pid} of an ended job did not stop" in caplog.text
    finally:
        for process in (mine, other):
            process.kill()
            process.wait()


@pytest.mark.fault(36)
def test_an_agent_that_died_without_a_word_breaks_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_GRACE_S", 0.2)
    channel = Channel(str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lost = local.LostAgent(LaunchConfig(scheduler="local_cwd", nodes=2), channel)
    channel.put_agent(0, os.getpid())
    assert not lost()
    channel.put_agent(1, dead.pid)
    assert not lost(), "the others have some time to notice"
    time.sleep(0.3)
    assert lost()
    channel.put_exit_code(1, 75)
    assert not lost(), "it said how it ended"


def ready(workspace: Workspace) -> Workspace:
    workspace.inline("ingest")
    workspace.inline("extract_targets")
    return workspace


def agents(root: Path) -> dict[int, int]:
    """Node -> process of the agents that work in a directory."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            told = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
            here = (path / "cwd").readlink() == root
        except OSError:
            continue
        if here and b"geovr.launch.agent" in told.split(b"\0"):
            node = next(v for v in told.split(b"\0") if v.startswith(b"GEOVR_NODE="))
            found[int(node.removeprefix(b"GEOVR_NODE="))] = int(path.name)
    return found


def kill_agent(workspace: Workspace, process: subprocess.Popen[str], node: int) -> None:
    """Kill a node's agent once the job has made a checkpoint that was not there before."""
    steps = workspace.root / ".geovr/store/training"
    known = set(steps.glob("*/steps/*/manifest.json"))
    deadline = time.monotonic() + 120
    while not (
        set(steps.glob("*/steps/*/manifest.json")) - known and len(agents(workspace.root)) == 2
    ):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(agents(workspace.root)[node], signal.SIGKILL)


@pytest.mark.fault(36)
@pytest.mark.slow
def test_a_killed_agent_costs_a_restart_and_no_work(workspace: Workspace) -> None:
    """Node 0 keeps the rendezvous and dies in training; node 1 dies before the nodes have met."""
    ready(workspace)
    workspace.params({"train": {"steps": 40, "checkpoint_every": 2}})
    launch = ("launch", "train", "--scheduler", "local_cwd", "--nodes", "2")
    process = workspace.start("geovr", *launch)
    kill_agent(workspace, process, 0)
    while agents(workspace.root):
        time.sleep(0.01)
    while 1 not in agents(workspace.root):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    started = agents(workspace.root)[1]
    time.sleep(1)
    os.kill(started, signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "node 0 was lost; starting again from what is done (1 of 3)" in output
    assert "starting again from what is done (2 of 3)" in output
    workspace.geovr(*launch, "--output", "artifacts/whole", "--set", "store=.geovr/other")
    assert workspace.curve() == workspace.curve("whole")
    files = [workspace.manifest(name)["details"]["files"] for name in ("checkpoint", "whole")]
    assert files[0] == files[1]
    assert not agents(workspace.root)


@pytest.mark.slow
def test_retries_end(workspace: Workspace) -> None:
    """With none left, the interruption is the user's to know."""
    ready(workspace)
    workspace.params({"train": {"steps": 400, "checkpoint_every": 2}})
    process = workspace.start(
        "geovr", "launch", "train", "--scheduler", "local_cwd", "--nodes", "2", "--max-retries", "0"
    )
    kill_agent(workspace, process, 1)
    output, _ = process.communicate(timeout=200)
    assert process.returncode in (1, 75), output
    assert "starting again" not in output
