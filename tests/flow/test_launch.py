"""Training on one process, two, and two nodes: the same losses; and TorchX's rough edges."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.workspace import Workspace


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    workspace.inline("ingest")
    workspace.inline("extract_targets")
    return workspace


def local_cwd(nodes: int, processes: int) -> tuple[str, str]:
    launch = f"{{scheduler: local_cwd, nodes: {nodes}, processes_per_node: {processes}}}"
    return ("--set", f"train.launch={launch}")


def test_one_process_torchrun_and_two_nodes_give_one_loss_curve(ready: Workspace) -> None:
    ready.inline("train", "--output", "artifacts/one", "--set", "store=.geovr/one")
    ready.run(
        "torchrun", "--standalone", "--nproc-per-node", "2", "-m", "geovr", "train",
        "--output", "artifacts/torchrun", "--set", "store=.geovr/torchrun",
    )  # fmt: skip
    ready.geovr(
        "launch", "train", "--scheduler", "local_cwd", "--nodes", "2",
        "--output", "artifacts/nodes", "--set", "store=.geovr/nodes",
    )  # fmt: skip
    one = ready.curve("one")
    assert len(one) == 6
    np.testing.assert_allclose(ready.curve("torchrun"), one, rtol=1e-4)
    np.testing.assert_allclose(ready.curve("nodes"), one, rtol=1e-4)


def test_a_worker_reports_the_users_mistake_through_torchx(ready: Workspace) -> None:
    out = ready.geovr("train", "--set", "train.clips_per_batch=3", *local_cwd(1, 2), code=2)
    assert "UserError: train.clips_per_batch: 3 clips can't be shared evenly by 2" in out
    assert "starting again" not in out


@pytest.mark.fault(48)
def test_paths_are_never_read_by_a_shell(ready: Workspace, tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    output = f"artifacts/a b $(touch {sentinel.name}) ${{HOME}}"
    ready.geovr("extract_targets", "--output", output, "--set",
                "extract_targets.launch={scheduler: local_cwd, processes_per_node: 2}")  # fmt: skip
    assert (ready.root / output / "manifest.json").is_file()
    assert not list(ready.root.rglob("sentinel"))


@pytest.mark.fault(32)
@pytest.mark.slow
def test_sigterm_saves_and_leaves_no_orphans(ready: Workspace) -> None:
    ready.params({"train": {"steps": 400}})
    process = ready.start("geovr", "train", *local_cwd(1, 2))
    store = ready.root / ".geovr/store/training"
    deadline = time.monotonic() + 120
    while not list(store.glob("*/steps/*/manifest.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 75, output
    time.sleep(1)
    running = [
        path for path in Path("/proc").glob("[0-9]*/cmdline")
        if _reads(path).find(b"geovr-job-") >= 0 and str(ready.root).encode() in _cwd(path)
    ]  # fmt: skip
    assert not running


def _reads(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _cwd(path: Path) -> bytes:
    try:
        return os.fsencode((path.parent / "cwd").readlink())
    except OSError:
        return b""


@pytest.mark.slow
def test_killed_launcher_and_a_rerun_goes_on(ready: Workspace) -> None:
    ready.params({"train": {"steps": 60, "checkpoint_every": 1}})
    ready.kill_when_checkpointed("geovr", "train", *local_cwd(1, 2))
    ready.geovr("train", *local_cwd(1, 2))
    ready.geovr(
        "train", "--output", "artifacts/whole", "--set", "store=.geovr/other", *local_cwd(1, 2)
    )
    assert ready.curve() == ready.curve("whole")
    assert (
        ready.manifest("checkpoint")["details"]["files"]
        == (ready.manifest("whole")["details"]["files"])
    )
