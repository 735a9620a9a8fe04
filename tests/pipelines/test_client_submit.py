"""submit: one run for one piece of work, whoever asks for it and however often."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from typing import Any

import kfp_server_api as kfp_api
import pytest

from geovr.cli import stopped
from pipelines.client.runs import ensure
from pipelines.client.server import Address, connect
from tests.kfp_server import lost
from tests.pipelines.cluster import Cluster


def names(cluster: Cluster) -> list[str]:
    return [run.display_name for run in cluster.state.runs]


def going(cluster: Cluster) -> list[Any]:
    return [run for run in cluster.state.runs if run.state in ("PENDING", "RUNNING")]


def test_the_first_run_makes_all_it_needs_and_says_what_it_is(cluster: Cluster) -> None:
    told = cluster.submit("--json", "--experiment", "nightly", "--pipeline-root", "s3://b/root")
    assert told.code == 0, told.err
    assert told.json["action"] == "created"
    (run,) = cluster.state.runs
    assert told.json["run"]["run_id"] == run.run_id
    assert cluster.server.written() == [
        "POST /experiments", "POST /pipelines", "POST /pipelines/upload_version", "POST /runs",
    ]  # fmt: skip
    (experiment,), (pipeline,) = cluster.state.experiments, cluster.state.pipelines
    assert (experiment.display_name, pipeline.name) == ("nightly", "geovr-training")
    assert run.experiment_id == experiment.experiment_id
    assert run.service_account == "geovr-pipeline"
    assert run.runtime_config.pipeline_root == "s3://b/root"
    assert json.loads(run.runtime_config.parameters["ingest"])["videos"] == "videos"
    labels = dict(line.split(": ", 1) for line in run.description.splitlines())
    assert labels["data"].startswith("files-") and labels["by"] == "submit"
    assert labels["pipeline"] == cluster.state.versions[0].display_name
    assert run.display_name == f"geovr-{labels['work']}"


def test_the_same_work_is_not_run_twice(cluster: Cluster) -> None:
    first = cluster.submit("--json").json
    again = cluster.submit("--json").json
    assert (again["action"], again["run"]["run_id"]) == ("adopted", first["run"]["run_id"])
    cluster.state.finish(cluster.state.runs[0])
    done = cluster.submit("--json").json
    assert (done["action"], done["run"]["run_id"]) == ("done before", first["run"]["run_id"])
    assert len(cluster.state.versions) == len(cluster.state.pipelines) == 1


@pytest.mark.parametrize("ended", ["FAILED", "CANCELED", "CANCELING"])
def test_a_run_that_did_not_succeed_gives_its_name_to_the_next_try(
    cluster: Cluster, ended: str
) -> None:
    for number in (1, 2, 3):
        assert cluster.submit("--json").json["action"] == "created"
        assert len(cluster.state.runs) == number
        cluster.state.runs[-1].state = ended
    first = names(cluster)[0]
    assert names(cluster) == [first, f"{first}-2", f"{first}-3"]


@pytest.mark.parametrize("what", ["parameters", "data", "images", "account"])
def test_other_work_is_another_run(cluster: Cluster, what: str) -> None:
    cluster.submit()
    more: list[str] = []
    if what == "data":
        (cluster.root / "videos/b.mp4").write_bytes(b"b")
    elif what == "images":
        cluster.images("registry.example/geovr/cpu@sha256:" + "b" * 64)
    else:
        more = {"parameters": ["--set", "train.steps=7"], "account": ["--service-account", "x"]}[
            what
        ]
    assert cluster.submit("--json", *more).json["action"] == "created"
    assert len(set(names(cluster))) == 2
    assert len(cluster.state.versions) == (2 if what == "images" else 1)


def test_a_name_of_ones_own_is_for_one_piece_of_work(cluster: Cluster) -> None:
    assert cluster.submit("--json", "--name", "trial").json["run"]["name"] == "trial"
    assert cluster.submit("--json", "--name", "trial").json["action"] == "adopted"
    other = cluster.submit("--name", "trial", "--set", "train.steps=7")
    assert other.code == 2 and "did other work" in other.err and "--name" in other.err
    # a filter that ignores case and takes _ for any character finds more than is meant
    cluster.submit("--name", "Trial", "--set", "train.steps=8")
    cluster.submit("--name", "tri_l", "--set", "train.steps=9")
    assert names(cluster) == ["trial", "Trial", "tri_l"]
    assert cluster.submit("--name", "a b").code == 2


def test_names_are_found_on_whatever_page_they_stand(cluster: Cluster) -> None:
    cluster.state.most = 2
    cluster.submit("--name", "trial")
    for number in range(7):
        cluster.submit("--name", f"trial-{number}x", "--set", f"train.steps={number + 1}")
    assert cluster.submit("--json", "--name", "trial").json["action"] == "adopted"
    assert len(cluster.state.runs) == 8


def test_of_two_at_once_one_run_goes_on_and_both_can_tell_which(cluster: Cluster) -> None:
    """Both have looked and found nothing before either makes its run."""
    looked, told = threading.Barrier(2, timeout=20), []
    cluster.submit("--set", "train.steps=3")  # experiment, pipeline and version are there
    cluster.state.runs.clear()

    def before(method: str, path: str) -> None:
        if (method, path.rpartition("/")[2]) == ("POST", "runs"):
            looked.wait()

    cluster.server.before = before
    experiment = cluster.state.experiments[0].experiment_id

    def ask() -> None:
        server = connect(Address(cluster.server.url))
        told.append(ensure(server, experiment, "geovr-x", lambda name: body_of(cluster, name)))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cluster.state.runs) == 2
    (kept,) = going(cluster)
    # the later of the two to look has seen both, and has told of the one that is kept
    assert [outcome for outcome in told if outcome.cancelled]
    assert all(outcome.run.run_id == kept.run_id for outcome in told if outcome.cancelled)
    (other,) = [run for run in cluster.state.runs if run is not kept]
    assert other.state in ("CANCELING", "CANCELED")


def body_of(cluster: Cluster, name: str) -> Any:
    version = cluster.state.versions[0]
    return kfp_api.V2beta1Run(
        experiment_id=cluster.state.experiments[0].experiment_id,
        display_name=name,
        pipeline_version_reference=kfp_api.V2beta1PipelineVersionReference(
            version.pipeline_id, version.pipeline_version_id
        ),
        runtime_config=kfp_api.V2beta1RuntimeConfig(
            dict.fromkeys(cluster.state.specs[version.pipeline_version_id], "{}")
        ),
    )


def test_doubles_of_a_submit_that_was_killed_are_cancelled_by_the_next(cluster: Cluster) -> None:
    first = cluster.submit("--json").json["run"]
    body = body_of(cluster, first["name"])
    body.description = cluster.state.runs[0].description
    double = cluster.state.create_run(body)
    told = cluster.submit("--json").json
    assert told["action"] == "adopted" and len(told["cancelled"]) == 1
    assert len(going(cluster)) == 1
    assert {told["run"]["run_id"], *told["cancelled"]} == {first["run_id"], double.run_id}


def test_a_lost_answer_makes_no_second_run(cluster: Cluster) -> None:
    cluster.submit("--name", "warm")
    written = len(cluster.server.requests)
    cluster.submit("--name", "warm2", "--set", "train.steps=2")
    requests = cluster.server.requests[written:]
    at = next(i for i, one in enumerate(requests) if (one[0], one[1][-5:]) == ("POST", "/runs"))
    cluster.server.faults = [*[None] * at, lost]
    told = cluster.submit("--json", "--name", "third", "--set", "train.steps=4")
    assert told.code == 0, told.err
    assert names(cluster) == ["warm", "warm2", "third"]


@pytest.mark.parametrize("lost_at", range(8))
def test_any_one_answer_may_be_lost(cluster: Cluster, lost_at: int) -> None:
    cluster.server.faults = [*[None] * lost_at, lost]
    assert cluster.submit().code == 0
    state = cluster.state
    assert [len(x) for x in (state.experiments, state.pipelines, state.versions)] == [1, 1, 1]
    assert len(state.runs) == 1


def test_waiting_tells_of_stages_and_ends_as_the_run_does(cluster: Cluster) -> None:
    seen = []

    def after(method: str, path: str) -> None:
        if method == "GET" and "/runs/" in path:
            seen.append(path)
            (run,) = cluster.state.runs
            if len(seen) == 1:
                run.state = "RUNNING"
                cluster.state.task(run, "ingest", "RUNNING")
            elif len(seen) == 2:
                cluster.state.task(run, "ingest", "SUCCEEDED")
            else:
                cluster.state.finish(run)

    cluster.server.after = after
    told = cluster.submit("--wait", "--json")
    assert told.code == 0, told.err
    assert "ingest: running\ningest: succeeded" in told.err
    assert told.json["run"]["state"] == "succeeded"


@pytest.mark.parametrize(
    ("stage", "error", "code", "words"),
    [
        ("check-clips", "GateRefused: 3 rows, see s3://b/report", 3, "GateRefused: run .* s3://b"),
        ("check-clips", None, 1, "RunFailed: .*check_clips.*doesn't tell whether the gate refused"),
        ("train", "out of memory", 1, "RunFailed: .*failed in train: out of memory"),
    ],
)
def test_a_red_run_says_where_and_a_gate_is_named_only_where_kfp_tells(
    cluster: Cluster, stage: str, error: str | None, code: int, words: str
) -> None:
    def after(method: str, path: str) -> None:
        if (method, path.rpartition("/")[2]) == ("POST", "runs"):
            cluster.state.task(cluster.state.runs[0], "ingest", "SUCCEEDED")
            cluster.state.task(cluster.state.runs[0], stage, "FAILED", error)
            cluster.state.finish(cluster.state.runs[0], "FAILED")

    cluster.server.after = after
    told = cluster.submit("--wait")
    assert told.code == code
    assert re.search(words, told.err), told.err


def test_a_signal_ends_the_waiting_and_not_the_run(cluster: Cluster) -> None:
    def after(method: str, path: str) -> None:
        if method == "GET" and "/runs/" in path:
            os.kill(os.getpid(), signal.SIGTERM)

    was = signal.signal(signal.SIGTERM, stopped)
    try:
        cluster.server.after = after
        told = cluster.submit("--wait")
    finally:
        signal.signal(signal.SIGTERM, was)
    (run,) = going(cluster)
    assert told.code == 75
    assert f"python -m pipelines cancel {run.run_id}" in told.err


def test_images_that_no_cluster_has_are_not_sent(cluster: Cluster) -> None:
    told = cluster("submit")
    assert told.code == 2 and "--images" in told.err and "make images" in told.err
    assert cluster.server.requests == []
    shown = cluster("submit", "--dry-run")
    assert shown.code == 0 and "warning: no image for" in shown.err


def test_a_dry_run_shows_the_requests_that_are_sent(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = cluster.submit("--dry-run", "--json").json["requests"]
    assert cluster.server.requests == []
    cluster.submit()
    sent = [one for one in cluster.server.requests if one[0] != "GET"]
    assert [(one["method"], one["path"]) for one in shown] == [one[:2] for one in sent]
    state = cluster.state
    ids = {
        "<experiment_id>": state.experiments[0].experiment_id,
        "<pipeline_id>": state.pipelines[0].pipeline_id,
        "<pipeline_version_id>": state.versions[0].pipeline_version_id,
    }

    def filled(value: Any) -> Any:
        text = json.dumps(value)
        for placeholder, real in ids.items():
            text = text.replace(placeholder, real)
        return json.loads(text)

    assert [filled(one.get("body")) for one in shown] == [one[3] for one in sent]
    assert [filled(one.get("query", {})) for one in shown] == [one[2] for one in sent]
