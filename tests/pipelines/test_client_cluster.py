"""submit and schedule with a cluster's settings, and with data that come in windows of time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipelines.cluster import Cluster

INLINE = (
    "steps: {extract_targets: {launches: false}, train: {launches: false},"
    " evaluate: {launches: false}}\n"
)
WINDOW = (
    "ingest={videos: 'videos/{start:%Y}', window: {every: 1d}, workers: 1,"
    " questions: [{path: questions.jsonl, split: train}]}"
)


@pytest.fixture
def settings(cluster: Cluster) -> Path:
    file = cluster.root / "cluster.yaml"
    file.write_text(INLINE + "labels: {team: maps}\n")
    return file


def test_the_clusters_settings_are_part_of_the_version(cluster: Cluster, settings: Path) -> None:
    cluster.schedule("--cluster", str(settings))
    first = cluster.state.versions[-1].display_name
    settings.write_text(INLINE + "labels: {team: roads}\n")
    assert cluster.schedule("--cluster", str(settings), "--json").json["action"] == "replaced"
    assert cluster.state.versions[-1].display_name != first
    cluster.schedule("--cluster", "none.yaml")
    told = cluster.schedule("--cluster", "none.yaml")
    assert told.code == 2 and "none.yaml" in told.err


def test_a_stage_that_would_run_in_a_launchers_pod_is_refused(
    cluster: Cluster, settings: Path
) -> None:
    settings.write_text("labels: {team: maps}\n")
    told = cluster.submit("--cluster", str(settings))
    assert told.code == 2 and "extract_targets.launch.scheduler: inline" in told.err
    assert not cluster.state.runs


def test_a_store_in_a_pod_is_refused(cluster: Cluster) -> None:
    told = cluster.submit("--set", "store=.geovr/store")
    assert told.code == 2 and "store: .geovr/store: a pod's own disk" in told.err
    assert not cluster.state.runs
    told = cluster.submit("--set", "store=.geovr/store", "--dry-run")
    assert told.code == 0 and "a pod's own disk" in told.err


def test_a_run_of_now_reads_the_window_of_now_and_its_name_is_of_the_data(
    cluster: Cluster, settings: Path
) -> None:
    for year in range(2020, 2100):
        (cluster.root / f"videos/{year}").mkdir()
        (cluster.root / f"videos/{year}/a.mp4").write_bytes(b"a")
    options = ("--cluster", str(settings), "--set", WINDOW, "--json")
    first = cluster.submit(*options)
    assert first.code == 0, first.err
    assert first.err == "" or "unknown" not in first.err
    sent = json.loads(cluster.state.runs[0].runtime_config.parameters["ingest"])
    assert sent["scheduled"].endswith("Z")
    assert cluster.submit(*options).json["action"] == "adopted", "the same data a moment later"


def test_a_schedule_leaves_the_time_to_kubeflow(cluster: Cluster, settings: Path) -> None:
    assert cluster.schedule("--cluster", str(settings), "--set", WINDOW).code == 0
    (one,) = cluster.state.schedules
    assert json.loads(one.runtime_config.parameters["ingest"])["scheduled"] is None
