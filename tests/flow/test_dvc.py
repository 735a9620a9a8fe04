"""The flow through DVC: what runs again, and what doesn't."""

from __future__ import annotations

import re
import time

import pytest

from tests.workspace import Workspace


@pytest.fixture
def tracked(workspace: Workspace) -> Workspace:
    workspace.run("dvc", "init", "--no-scm", "--quiet")
    for name in ("videos", "ground_truth", "train_questions.jsonl", "test_questions.jsonl"):
        workspace.run("dvc", "add", "--quiet", f"data/rooms/{name}")
    return workspace


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


def test_repro_runs_what_changed_and_nothing_else(tracked: Workspace) -> None:
    everything = ["ingest", "check_clips", "extract_targets", "check_targets", "train",
                  "evaluate", "register"]  # fmt: skip
    first = stages_run(tracked.run("dvc", "repro"))
    assert sorted(first) == sorted(everything)
    assert tracked.manifest("clips")["details"]["dvc"]["md5"].endswith(".dir")

    began = time.monotonic()
    assert stages_run(tracked.run("dvc", "repro")) == []
    # the promise is 10 s on an idle machine
    assert time.monotonic() - began < 30

    tracked.params({"train": {"steps": 4}})
    assert stages_run(tracked.run("dvc", "repro")) == ["train", "evaluate", "register"]
    assert len(tracked.curve()) == 4


@pytest.mark.slow
def test_a_killed_train_resumes_from_the_stores_checkpoint(tracked: Workspace) -> None:
    tracked.params({"train": {"checkpoint_every": 1, "steps": 30}})
    tracked.run("dvc", "repro", "check_targets")
    tracked.kill_when_checkpointed("dvc", "repro", "train")
    steps = (tracked.root / ".geovr/store/training").glob("*/steps/*/manifest.json")
    assert list(steps)
    tracked.run("dvc", "repro")
    tracked.geovr(
        "train", "--output", "artifacts/whole", "--set", "store=.geovr/other",
        "--targets", "artifacts/targets", "--clips", "artifacts/clips",
    )  # fmt: skip
    assert tracked.curve() == tracked.curve("whole")
