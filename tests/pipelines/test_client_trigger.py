"""submit --trigger-on-new-data: a run for data that no run has seen, and for nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from geovr.errors import UserError
from geovr.ingesting.config import IngestConfig
from pipelines.client.data import data_version
from tests.pipelines.cluster import Cluster


def trigger(cluster: Cluster, *arguments: str) -> dict[str, str]:
    told = cluster.submit("--trigger-on-new-data", "--json", *arguments)
    assert told.code == 0, told.err
    return dict(told.json)


def test_a_run_is_made_when_the_data_changed_and_else_none(cluster: Cluster) -> None:
    assert trigger(cluster)["action"] == "created"
    (run,) = cluster.state.runs
    cluster.state.finish(run)
    written = len(cluster.server.written())
    # other parameters are no new data
    told = trigger(cluster, "--set", "train.steps=9")
    assert told["message"] == f"no new data since run {run.display_name} ({run.run_id})"
    assert len(cluster.server.written()) == written, "nothing is uploaded for no run"
    (cluster.root / "videos/a.mp4").write_bytes(b"changed")
    assert trigger(cluster)["action"] == "created"
    assert len({one.display_name for one in cluster.state.runs}) == 2


def test_data_that_failed_is_not_tried_again_and_again(cluster: Cluster) -> None:
    trigger(cluster)
    cluster.state.finish(cluster.state.runs[0], "FAILED")
    told = trigger(cluster)
    assert told["action"] == "failed before" and "--retry-failed" in told["message"]
    assert trigger(cluster, "--retry-failed")["action"] == "created"
    names = [run.display_name for run in cluster.state.runs]
    assert names == [names[0], f"{names[0]}-2"]
    assert trigger(cluster)["action"] == "adopted"


def test_a_trigger_that_cannot_see_the_data_makes_no_run(cluster: Cluster) -> None:
    (cluster.root / "questions.jsonl").unlink()
    told = cluster.submit("--trigger-on-new-data")
    assert told.code == 2 and "questions.jsonl: no such file" in told.err
    assert cluster.state.runs == []
    # one who wants a run gets it, and is told
    told = cluster.submit()
    assert told.code == 0 and "warning: the data's version is unknown here" in told.err


def test_a_folders_version_is_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/a.mp4").write_bytes(b"a")
    config = IngestConfig(videos=str(tmp_path / "v"))
    first = data_version(config)
    assert data_version(config) == first
    (tmp_path / "v/a.mp4").touch()
    assert data_version(config) == first
    (tmp_path / "v/a.mp4").rename(tmp_path / "v/b.mp4")
    assert data_version(config).key != first.key
    (tmp_path / "list.txt").write_text("v/b.mp4\n")
    listed = IngestConfig(videos=str(tmp_path / "list.txt"))
    before = data_version(listed)
    (tmp_path / "v/b.mp4").write_bytes(b"b")
    assert data_version(listed).key != before.key


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    yield
    server.stop()


def test_a_prefixs_version_is_what_its_listing_tells(s3: None) -> None:
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")

    def put(key: str, data: bytes) -> None:
        client.put_object(Bucket="bucket", Key=key, Body=data)

    put("v/a.mp4", b"a")
    put("q.jsonl", b"{}")
    put("q.jsonl.old", b"{}")
    config = IngestConfig.model_validate(
        {"videos": "s3://bucket/v", "questions": [{"path": "s3://bucket/q.jsonl", "split": "test"}]}
    )
    first = data_version(config)
    put("v/a.mp4", b"a")
    put("q.jsonl.old", b"other")
    put("w/a.mp4", b"beside")
    assert data_version(config) == first
    put("v/a.mp4", b"b")
    second = data_version(config)
    put("q.jsonl", b"{ }")
    assert len({first.key, second.key, data_version(config).key}) == 3
    with pytest.raises(UserError, match="nothing is stored"):
        data_version(IngestConfig(videos="s3://bucket/none"))


def command(directory: Path, *arguments: str) -> None:
    subprocess.run(arguments, cwd=directory, check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    (root / "rooms/videos").mkdir(parents=True)
    (root / "rooms/videos/a.mp4").write_bytes(b"a")
    (root / "rooms/q.jsonl").write_text("{}\n")
    command(root, "git", "init", "-q", "-b", "main")
    command(root, sys.executable, "-m", "dvc", "init", "-q")
    return root


def commit(root: Path, *, data: bool = True) -> str:
    if data:
        command(root, sys.executable, "-m", "dvc", "add", "-q", "rooms")
    command(root, "git", "add", "-A", ".")
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    command(root, "git", *who, "commit", "-q", "-m", "data")
    told = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    )
    return told.stdout.strip()


def test_dvcs_version_is_the_datas_and_the_run_reads_that_commit(
    cluster: Cluster, repo: Path
) -> None:
    first = commit(repo)
    source = (
        f"ingest={{dvc: {{repo: 'file://{repo}', rev: main, path: rooms}}, videos: videos,"
        " questions: [{path: q.jsonl, split: train}]}"
    )
    assert trigger(cluster, "--set", source)["action"] == "created"
    (run,) = cluster.state.runs
    parameters = run.runtime_config.parameters
    assert f'"rev": "{first}"' in parameters["ingest"]
    assert f"at {first[:12]}, DVC md5 " in run.description
    (repo / "README").write_text("a commit that leaves the data as it is\n")
    second = commit(repo, data=False)
    assert second != first
    assert trigger(cluster, "--set", source)["action"] == "adopted"
    (repo / "rooms/videos/b.mp4").write_bytes(b"b")
    third = commit(repo)
    assert trigger(cluster, "--set", source)["action"] == "created"
    assert f'"rev": "{third}"' in cluster.state.runs[-1].runtime_config.parameters["ingest"]


def test_dvcs_data_is_not_needed_for_its_version(tmp_path: Path, repo: Path) -> None:
    sha = commit(repo)
    command(tmp_path, "git", "clone", "-q", str(repo), "clone")  # without DVC's cache or remote
    versions = [
        data_version(
            IngestConfig.model_validate(
                {"dvc": {"repo": str(place), "rev": rev, "path": path}, "videos": "videos"}
            )
        )
        for place, rev, path in [
            (repo, None, "rooms"), (tmp_path / "clone", "main", "rooms"),
            (repo, sha, "rooms/videos"),
        ]
    ]  # fmt: skip
    assert len({one.key for one in versions}) == 1 and versions[0].key.endswith(".dir")
    assert {one.rev for one in versions} == {sha}
    for rev, path in [("nothing", "rooms"), (None, "nowhere")]:
        with pytest.raises(UserError, match=rev or path):
            data_version(
                IngestConfig.model_validate(
                    {"dvc": {"repo": str(repo), "rev": rev, "path": path}, "videos": "v"}
                )
            )
