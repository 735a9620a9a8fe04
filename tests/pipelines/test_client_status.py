"""status and cancel: what KFP knows of runs, and ending them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.pipelines.cluster import Cluster


@pytest.fixture
def runs(cluster: Cluster) -> list[Any]:
    """One that succeeded, one that failed in train, one that goes on."""
    for name in ("first", "second", "third"):
        cluster.submit("--name", name, "--set", f"train.seed={len(cluster.state.runs)}")
    first, second, third = cluster.state.runs
    cluster.state.finish(first)
    cluster.state.task(second, "ingest", "SUCCEEDED")
    cluster.state.task(second, "train-driver", "SUCCEEDED")
    cluster.state.task(second, "train", "FAILED", "out of memory")
    cluster.state.finish(second, "FAILED")
    third.state = "RUNNING"
    return [first, second, third]


def test_the_newest_runs_and_the_schedules(cluster: Cluster, runs: list[Any]) -> None:
    cluster.schedule("--name", "nightly")
    told = cluster("status", "--json").json
    found = {one["name"]: one for one in told["runs"]}
    assert {name: one["state"] for name, one in found.items()} == {
        "first": "succeeded", "second": "failed", "third": "running",
    }  # fmt: skip
    assert found["second"]["failed_stage"] == "train"
    assert found["third"]["finished"] is None, "KFP says 1970 of what has not ended"
    assert found["first"]["data"].startswith("files-")
    assert [one["name"] for one in told["schedules"]] == ["nightly"]
    table = cluster("status").out
    assert re.search(r"second .* failed .* train", table) and "nightly" in table
    assert len(cluster("status", "--limit", "2", "--json").json["runs"]) == 2


def test_one_run_by_id_or_name_with_its_stages(cluster: Cluster, runs: list[Any]) -> None:
    for wanted in ("second", runs[1].run_id):
        stages = cluster("status", wanted, "--json").json["run"]["stages"]
        assert [(one["stage"], one["state"], one["error"]) for one in stages] == [
            ("ingest", "succeeded", None), ("train", "failed", "out of memory"),
        ]  # fmt: skip
    shown = cluster("status", "second").out
    assert "out of memory" in shown and "data: files-" in shown
    none = cluster("status", "fourth")
    assert none.code == 2 and "no run of this id or name" in none.err


def test_nothing_yet_is_no_error(cluster: Cluster) -> None:
    assert cluster("status").out == "no runs and no schedules in experiment geovr\n"
    assert cluster("status", "--json").json == {"status": "done", "runs": [], "schedules": []}
    assert cluster.server.written() == [], "looking makes nothing"


def test_cancel_ends_a_run_and_leaves_ended_ones(cluster: Cluster, runs: list[Any]) -> None:
    told = cluster("cancel", "third", "--wait")
    assert told.code == 0
    assert "is being cancelled" in told.out and "canceled" in told.out
    assert [one.state for one in runs] == ["SUCCEEDED", "FAILED", "CANCELED"]
    again = cluster("cancel", "third", "--json").json
    assert again["cancelled"] is False and again["run"]["state"] == "canceled"
    assert "was succeeded already" in cluster("cancel", runs[0].run_id).out
    assert sum(one.endswith(":terminate") for one in cluster.server.written()) == 1


def test_a_run_that_ends_just_before_it_is_cancelled(cluster: Cluster, runs: list[Any]) -> None:
    def before(method: str, path: str) -> None:
        if path.endswith(":terminate"):
            cluster.state.finish(runs[2])

    cluster.server.before = before
    told = cluster("cancel", "third")
    assert told.code == 0, told.err
    assert runs[2].state == "SUCCEEDED"
